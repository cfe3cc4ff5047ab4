//! Moves of the stored expiry.

use std::sync::Arc;

use super::committer::Committer;
use crate::codec::Content;
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::{Outcome, Result, StoreKey, Version};

impl Committer<'_> {
    pub(super) async fn touch_if_due(&self) {
        let _turn = self.shared.committing.lock().await;
        if self.touch_is_due()
            && let Err(error) = self.touch_now().await
        {
            tracing::warn!(name = %self.shared.env.name, %error, "a session's expiry could not be moved");
        }
    }

    /// Whether a tenth of the idle time-out would be gained.
    pub(super) fn touch_is_due(&self) -> bool {
        let env = &*self.shared.env;
        let state = self.shared.state();
        let Some(stored) = &state.stored else { return false };
        let gained = env.expiry(&state.base, env.now()).since(stored.expires_at);
        !gained.is_zero() && gained >= env.policy.idle(&state.base) / 10
    }

    /// Moves the expiry out of the record that this session has loaded or stored. A record that has changed since stays as it is.
    async fn touch_now(&self) -> Result<Outcome> {
        let (key, version, epoch, base) = {
            let state = self.shared.state();
            let Some(stored) = &state.stored else { return Ok(Outcome::Missing) };
            (stored.key, stored.version, state.epoch, state.base.clone())
        };
        if mutant::is(Mutant::TouchesAnyVersion) {
            let found = self.shared.env.store().load(&self.shared.env.call(), &key).await?;
            return self.touch_version(&key, found.map_or(version, |found| found.version), &base, epoch).await;
        }
        self.touch_version(&key, version, &base, epoch).await
    }

    /// Moves the expiry out, also of a record that others have saved since, as long as it is the same login's.
    pub(crate) async fn touch_current(&self) -> Result<Outcome> {
        let _turn = self.shared.committing.lock().await;
        let mut outcome = self.touch_now().await?;
        for _ in 0..self.shared.env.max_replays {
            if outcome != Outcome::Conflict {
                break;
            }
            let (key, epoch, base) = {
                let state = self.shared.state();
                let Some(stored) = &state.stored else { return Ok(Outcome::Missing) };
                (stored.key, state.epoch, state.base.clone())
            };
            outcome = match self.shared.env.current(&key).await? {
                Now::Live(current) if current.content.identity() == base.identity() => {
                    self.touch_version(&key, current.version, &current.content, epoch).await?
                }
                Now::Live(_) | Now::Moved | Now::Ended | Now::Missing => Outcome::Missing,
            };
        }
        Ok(outcome)
    }

    async fn touch_version(&self, key: &StoreKey, expected: Version, content: &Content, epoch: u64) -> Result<Outcome> {
        let env = &*self.shared.env;
        let expires_at = env.expiry(content, env.now());
        let outcome = env.store().touch(&env.call(), key, expected, expires_at).await?;
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
}
