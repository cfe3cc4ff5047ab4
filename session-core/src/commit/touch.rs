//! Touches: extend the stored expiry after a use of the session.

use std::sync::Arc;

use super::changes::Changes;
use super::committer::Committer;
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::session::committed::{StoredAt, StoredRecord};
use crate::session::state::State;
use crate::{Outcome, Result, Timestamp, Version, hours};

impl Committer<'_> {
    pub(super) async fn touch_if_due(&self) {
        let _turn = self.shared.committing.lock().await;
        let now = self.shared.env.now();
        let is_due = self.touch_is_due(&self.state(), now);
        if is_due && let Err(error) = self.touch_own().await {
            tracing::warn!(name = %self.shared.env.name, %error, "a session's expiry could not be moved");
        }
    }

    /// Whether a touch is due: a tenth of the idle time-out, or an hour, has passed since the last noted use.
    pub(super) fn touch_is_due(&self, state: &State, now: Timestamp) -> bool {
        let env = &*self.shared.env;
        if state.quiet.keeps_expiry {
            return false;
        }
        let Some(stored) = &state.stored else { return false };
        let today = env.policy.idle(&stored.content);
        let idle = stored.idle.unwrap_or(today);
        let unused = now.since(stored.expires_at.minus(idle));
        if unused.is_zero() || unused < (idle.min(today) / 10).min(hours(1)) {
            return false;
        }
        // If the absolute time-out comes first, a touch gains nothing.
        idle != today || env.policy.end(&stored.content, now) > env.life(stored, now).ends_at
    }

    /// Touches the record that this session has loaded or stored. Changes nothing if the record has been replaced since.
    async fn touch_own(&self) -> Result<Outcome> {
        let Some((stored, epoch)) = stored(&self.shared.state()) else { return Ok(Outcome::Missing) };
        self.touch_record(&stored, &stored.record, epoch).await
    }

    /// Touches the session's current record, even if other requests have saved it since. The login must still be the same.
    pub(crate) async fn touch_current(&self) -> Result<Outcome> {
        let _turn = self.shared.committing.lock().await;
        let mut outcome = self.touch_own().await?;
        for _ in 0..self.shared.env.max_replays {
            if outcome != Outcome::Conflict {
                break;
            }
            let Some((stored, epoch)) = stored(&self.shared.state()) else { return Ok(Outcome::Missing) };
            outcome = match self.shared.env.current(&stored.key).await? {
                Now::Live(current) if current.content.identity() == stored.content.identity() => {
                    self.touch_record(&stored, &current, epoch).await?
                }
                Now::Moved(next) if self.follow(&stored, &next).await? => self.touch_own().await?,
                Now::Live(_) | Now::Moved(_) | Now::Ended | Now::Missing => Outcome::Missing,
            };
        }
        Ok(outcome)
    }

    /// Extends the expiry of `record`, which is stored under the key of `stored`.
    ///
    /// A record holds the idle time-out that it was stored with. If today's differs, the record is saved again instead.
    async fn touch_record(&self, stored: &StoredAt, record: &Arc<StoredRecord>, epoch: u64) -> Result<Outcome> {
        let env = &*self.shared.env;
        if env.idle_has_changed(record) {
            // A later save by another request has noted a use already. An uncertain write must be resolved by a commit first.
            if record.version != stored.version || self.shared.state().uncertain.is_some() {
                return Ok(Outcome::Missing);
            }
            let mut over = record.clone();
            if mutant::is(Mutant::SavesAgainOverAnyVersion) {
                Arc::make_mut(&mut over).version = self.found(stored).await?;
            }
            let content = over.content.clone();
            return self.save_again(stored, &over, content).await;
        }
        let anything = mutant::is(Mutant::TouchesAnyVersion);
        let version = if anything { self.found(stored).await? } else { record.version };
        let expires_at = env.now().plus(env.policy.idle(&record.content));
        let outcome = env.store().touch(&env.call(), &stored.key, version, expires_at).await?;
        let mut state = self.shared.state();
        if outcome == Outcome::Done
            && state.epoch == epoch
            && let Some(stored) = &mut state.stored
        {
            let record = Arc::make_mut(&mut stored.record);
            record.expires_at = record.expires_at.max(expires_at);
            state.confirmed = true;
        }
        Ok(outcome)
    }

    /// Returns the stored version, for mutants that expect any version.
    async fn found(&self, stored: &StoredAt) -> Result<Version> {
        let env = &*self.shared.env;
        Ok(env.store().load(&env.call(), &stored.key).await?.map_or(stored.version, |found| found.version))
    }

    /// Confirms `changes` that leave the record `over` as it is. A touch suffices, because it fails if the record has been replaced.
    pub(super) async fn confirm(
        &self,
        changes: &Changes,
        stored: &StoredAt,
        over: &Arc<StoredRecord>,
    ) -> Result<Outcome> {
        let env = &*self.shared.env;
        let expires_at = env.now().plus(env.policy.idle(&over.content));
        let outcome = match mutant::is(Mutant::ConfirmsWithoutATouch) {
            true => Outcome::Done,
            false => env.store().touch(&env.call(), &stored.key, over.version, expires_at).await?,
        };
        if outcome == Outcome::Done {
            let mut record = StoredRecord::clone(over);
            record.expires_at = record.expires_at.max(expires_at);
            self.apply_commit(&changes.committed(stored.with(Arc::new(record))));
        }
        Ok(outcome)
    }
}

/// Returns the session's stored record and its epoch.
fn stored(state: &State) -> Option<(StoredAt, u64)> {
    state.stored.clone().map(|stored| (stored, state.epoch))
}
