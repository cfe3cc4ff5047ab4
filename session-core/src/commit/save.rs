//! A save over the record that was loaded.

use std::sync::Arc;

use super::changes::{Changes, RebaseError};
use super::committer::{Committer, GONE, Step};
use super::own_write::{OwnWrite, Replacement};
use super::recovery::{Attempted, attempt};
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::session::committed::StoredAt;
use crate::{ConflictPolicy, Outcome, Result};

/// How often a conflict with another task of this process is answered by a load, before the session's queue is opened.
///
/// A store within the process answers sooner than a task that waits in a queue is woken. Other stores do better with merged saves.
const ALONE: u32 = 3;

impl Committer<'_> {
    /// Saves `changes` over the record that they were made on. After a conflict they go through the session's queue.
    pub(super) async fn save_over(&self, changes: &Arc<Changes>, stored: &StoredAt) -> Result<Step> {
        let env = &*self.shared.env;
        let undecided = changes.undecided_over.clone().filter(|_| !mutant::is(Mutant::GoesOverItsOwnBase));
        let mut over = match undecided {
            Some(over) => over,
            None => {
                if let Some(slot) = env.queues.enter_if_open(&stored.key) {
                    return Box::pin(self.save_merged(changes, stored, &slot)).await;
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
        Box::pin(self.save_merged(changes, stored, &slot)).await
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
