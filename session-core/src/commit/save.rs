//! A save over the record that was loaded.

use std::sync::Arc;

use super::changes::{Changes, RebaseError};
use super::committer::{Committer, GONE, Step};
use super::own_write::{OwnWrite, Replacement};
use super::recovery::{Attempted, attempt};
use super::uncertain::UncertainWrite;
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::session::committed::{StoredAt, StoredRecord};
use crate::{ConflictPolicy, Outcome, Result};

/// How often a conflict in a store within the process is answered by a load, before the session's queue is opened.
///
/// Such a store answers sooner than a task that waits in a queue is woken. The queue is for slow `update` closures, which could lose
/// every race. Other stores do better with merged saves.
const ALONE: u32 = 40;

impl Committer<'_> {
    /// Saves `changes` over the record that they were made on. After a conflict they go through the session's queue.
    pub(super) async fn save_over(&self, changes: &Arc<Changes>, stored: &StoredAt) -> Result<Step> {
        let env = &*self.shared.env;
        let undecided = changes.undecided_over.clone().filter(|_| !mutant::is(Mutant::GoesOverItsOwnBase));
        let mut over = match undecided {
            Some(over) => over,
            None => {
                if let Some(slot) = env.queues.enter_if_open(&stored.key) {
                    return Box::pin(self.save_merged(changes, stored, &slot, Some(stored.record.clone()))).await;
                }
                stored.record.clone()
            }
        };
        for round in 0.. {
            let content = match changes.rebase(&over.content, env.conflicts) {
                Ok(content) => content,
                Err(RebaseError::Identity) => return self.mark_gone(changes),
                Err(RebaseError::Error(error)) => return Err(error),
            };
            if changes.undecided_over.is_none() && content == over.content && !env.idle_has_changed(&over) {
                match self.confirm(changes, stored, &over).await? {
                    Outcome::Done => return Ok(Step::Committed),
                    Outcome::Missing => return self.mark_gone(changes),
                    Outcome::Conflict | Outcome::Exists => {}
                }
            } else {
                let replacement = Replacement::Content(content);
                let mut save = OwnWrite { session: self, changes, at: stored, over: &over, replacement, last: None };
                match attempt(env, &stored.key, over.version, &mut save).await? {
                    Attempted::Stored(version) => return Ok(self.apply_sent(version, save.last, changes)),
                    Attempted::Gone => return self.mark_gone(changes),
                    Attempted::Unknown(error) => return Err(error),
                    Attempted::NotStored => self.state().uncertain = None,
                }
            }
            if env.conflicts == ConflictPolicy::Reject {
                return Box::pin(self.reject(changes, stored)).await;
            }
            if env.is_shared || round == ALONE {
                break;
            }
            over = match env.current(&stored.key).await? {
                Now::Live(current) => current,
                Now::Moved | Now::Ended | Now::Missing => return self.mark_gone(changes),
            };
        }
        let slot = env.queues.enter(&stored.key);
        Box::pin(self.save_merged(changes, stored, &slot, None)).await
    }

    /// Saves the record `over`, which this session stands on, as it is.
    pub(super) async fn save_again(&self, stored: &StoredAt, over: &Arc<StoredRecord>) -> Result<Outcome> {
        let changes = Changes::none(&self.state(), stored);
        let replacement = Replacement::Content(over.content.clone());
        let mut save = OwnWrite { session: self, changes: &changes, at: stored, over, replacement, last: None };
        let outcome = match Box::pin(attempt(&self.shared.env, &stored.key, over.version, &mut save)).await? {
            Attempted::Stored(version) => {
                self.apply_sent(version, save.last, &changes);
                return Ok(Outcome::Done);
            }
            Attempted::NotStored => Outcome::Conflict,
            Attempted::Gone => Outcome::Missing,
            Attempted::Unknown(error) => return Err(error),
        };
        self.state().uncertain = None;
        Ok(outcome)
    }

    /// Decides a rotation that was discarded while it was uncertain. `false` if there is none.
    ///
    /// Its tombstone may still arrive, and until then nobody could remove the record under the new id. Once the old record is replaced
    /// by itself, the tombstone is refused.
    pub(super) async fn decide_discarded_rotation(&self) -> Result<bool> {
        let (stored, over) = {
            let state = self.state();
            let is_rotation = state.uncertain.as_deref().is_some_and(UncertainWrite::is_rotation);
            match (state.stored.clone(), state.undecided_over()) {
                (Some(stored), Some(over)) if is_rotation && !mutant::is(Mutant::LeavesADiscardedRotation) => {
                    (stored, over)
                }
                _ => return Ok(false),
            }
        };
        self.save_again(&stored, &over).await.map(|_: Outcome| true)
    }

    /// The error for a conflict, by the policy that changes are not replayed.
    async fn reject(&self, changes: &Changes, stored: &StoredAt) -> Result<Step> {
        match self.shared.env.current(&stored.key).await? {
            Now::Live(current) => match changes.rebase(&current.content, ConflictPolicy::Reject) {
                Err(RebaseError::Error(error)) => Err(error),
                Err(RebaseError::Identity) => self.mark_gone(changes),
                Ok(_) => Ok(Step::Again),
            },
            Now::Moved | Now::Ended | Now::Missing => self.mark_gone(changes),
        }
    }

    /// Drops the operations of `changes` because the session is gone. Always an error of kind `Gone`.
    pub(super) fn mark_gone(&self, changes: &Changes) -> Result<Step> {
        self.state().mark_gone(changes.epoch, changes.ops_end, self.shared.env.now());
        // A login that was logged since starts from an empty session. If it clashes, the next commit reports that.
        let _later = self.catch_up();
        Err(GONE)
    }
}
