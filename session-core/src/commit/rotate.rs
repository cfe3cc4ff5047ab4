//! Rotation: stores the session under a new id, and a tombstone in place of its old record.

use std::sync::Arc;

use super::changes::{Changes, NewId, RebaseError};
use super::committer::{Committer, Step, TOO_MANY_CONFLICTS};
use super::own_write::{OwnWrite, Replacement};
use super::recovery::{Attempted, attempt, is_definite};
use crate::codec::Content;
use crate::manager::environment::Now;
use crate::session::committed::{CommittedState, Orphan, StoredAt};
use crate::session::log::{self, replay};
use crate::{Error, ErrorKind, Outcome, Result};

impl Committer<'_> {
    /// Stores the session under a new id, then replaces the old record by a tombstone that points to the new one.
    ///
    /// Until the second step succeeds, no client has the new id. Afterwards the old id opens nothing.
    /// So at every instant exactly one id opens the session.
    pub(super) async fn rotate_over(&self, changes: &Changes, old: &StoredAt) -> Result<Step> {
        let env = &*self.shared.env;
        let mut over = changes.undecided_over.clone().unwrap_or_else(|| old.record.clone());
        for _ in 0..=env.max_replays {
            let content = match changes.rebase(&over.content, env) {
                Ok(content) => content,
                Err(RebaseError::Identity) => return self.start_over(changes).await,
                Err(RebaseError::Error(error)) => return Err(error),
            };
            let after = self.store_under_new_id(changes, &content, &NewId::Asked).await?;
            let replacement = Replacement::Tombstone(after);
            let mut tombstone = OwnWrite::new(self, changes, old, &over, replacement);
            // Once the tombstone is stored, the new record is the session. After an error the next commit finds out which it is.
            match attempt(env, &old.key, over.version, &mut tombstone).await? {
                Attempted::Stored(version) => return Ok(self.apply_sent(version, tombstone.last, changes)),
                Attempted::Unknown(error) => return Err(error),
                Attempted::NotStored | Attempted::Gone => self.state().end_uncertain(),
            }
            self.remove_orphans().await;
            over = match env.current(&old.key).await? {
                Now::Live(current) => current,
                // A logout wins over a login that is in flight.
                Now::Ended => return self.mark_gone(changes),
                Now::Moved(next) if self.follow(old, &next).await? => return Ok(Step::Again),
                Now::Moved(_) | Now::Missing => return self.start_over(changes).await,
            };
        }
        Err(TOO_MANY_CONFLICTS)
    }

    /// Stores `content` under a new id. The record is noted as an orphan until the tombstone is stored.
    pub(super) async fn store_under_new_id(
        &self,
        changes: &Changes,
        content: &Arc<Content>,
        why: &NewId<'_>,
    ) -> Result<CommittedState> {
        let env = &*self.shared.env;
        let mut lost = Error::from(ErrorKind::Unavailable);
        for _ in 0..2 {
            let (key, record, after) = self.new_record(changes, content, why)?;
            self.state().orphans.push(Orphan { key, version: record.version, landed: false });
            let created = env.store().create(&env.call(), &key, &record).await;
            let mut state = self.state();
            match created {
                Ok(Outcome::Done) => {
                    state.orphans.iter_mut().filter(|orphan| orphan.key == key).for_each(|orphan| orphan.landed = true);
                    return Ok(after);
                }
                Ok(_) => state.orphans.retain(|orphan| orphan.key != key),
                Err(error) if is_definite(&error) => {
                    state.orphans.retain(|orphan| orphan.key != key);
                    return Err(error);
                }
                Err(error) => lost = error,
            }
        }
        Err(lost)
    }

    /// Creates a new session for a login whose old session is gone. Fails with `Gone` if `changes` have no login.
    ///
    /// Also fails if the log depends on a value that was read from the old session (`take`, `get` then `insert`, `require_unchanged`).
    async fn start_over(&self, changes: &Changes) -> Result<Step> {
        let Some(login) = log::starting_login(&changes.ops) else { return self.mark_gone(changes) };
        // The logged values are encoded in the codec of the old session.
        let empty = Content::empty(self.shared.env.now(), changes.base.codec);
        let content = replay(&changes.ops[login..], &empty, self.shared.env.now())?;
        self.create(changes, content).await
    }
}
