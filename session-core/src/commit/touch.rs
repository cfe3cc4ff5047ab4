//! Moves of the stored expiry.

use std::sync::Arc;

use super::changes::Changes;
use super::committer::Committer;
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::session::committed::{StoredAt, StoredRecord};
use crate::session::state::State;
use crate::{Outcome, Result, Version, hours};

impl Committer<'_> {
    pub(super) async fn touch_if_due(&self) {
        let _turn = self.shared.committing.lock().await;
        if self.touch_is_due()
            && let Err(error) = self.touch_own().await
        {
            tracing::warn!(name = %self.shared.env.name, %error, "a session's expiry could not be moved");
        }
    }

    /// Whether the session has not been used for a tenth of its idle time-out, or for an hour, so that its last use is to be noted.
    pub(super) fn touch_is_due(&self) -> bool {
        let env = &*self.shared.env;
        let state = self.shared.state();
        let Some(stored) = &state.stored else { return false };
        let (now, today) = (env.now(), env.policy.idle(&stored.content));
        let idle = stored.idle.unwrap_or(today);
        let unused = now.since(stored.expires_at.minus(idle));
        if unused.is_zero() || unused < (idle.min(today) / 10).min(hours(1)) {
            return false;
        }
        // Nothing is gained where the absolute time-out comes first.
        idle != today || env.policy.end(&stored.content, now) > env.life(stored, now).ends_at
    }

    /// Notes the use of the record that this session has loaded or stored. A record that has changed since stays as it is.
    async fn touch_own(&self) -> Result<Outcome> {
        let Some((stored, epoch)) = stored(&self.shared.state()) else { return Ok(Outcome::Missing) };
        self.touch_record(&stored, &stored.record, epoch).await
    }

    /// Notes the use of the session, also if others have saved its record since, as long as it is the same login's.
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
                Now::Live(_) | Now::Moved | Now::Ended | Now::Missing => Outcome::Missing,
            };
        }
        Ok(outcome)
    }

    /// Moves the expiry of `record`, which is stored under the key of `stored`.
    ///
    /// The record says with which idle time-out it was stored. If that is another one today, it is saved again instead.
    async fn touch_record(&self, stored: &StoredAt, record: &Arc<StoredRecord>, epoch: u64) -> Result<Outcome> {
        let env = &*self.shared.env;
        if env.idle_has_changed(record) {
            // What another request has saved since says what it had to say. What is uncertain is for the next commit.
            if record.version != stored.version || self.shared.state().uncertain.is_some() {
                return Ok(Outcome::Missing);
            }
            let mut over = record.clone();
            if mutant::is(Mutant::SavesAgainOverAnyVersion) {
                Arc::make_mut(&mut over).version = self.found(stored).await?;
            }
            return self.save_again(stored, &over).await;
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

    /// The version that is stored, for mutants that go over whatever is there.
    async fn found(&self, stored: &StoredAt) -> Result<Version> {
        let env = &*self.shared.env;
        Ok(env.store().load(&env.call(), &stored.key).await?.map_or(stored.version, |found| found.version))
    }

    /// Confirms changes that leave the record `over` as it is by a touch, which replaces nothing and fails if the record has changed.
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

/// What the session stands on, and its epoch.
fn stored(state: &State) -> Option<(StoredAt, u64)> {
    state.stored.clone().map(|stored| (stored, state.epoch))
}
