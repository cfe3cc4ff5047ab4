//! Saves over the record that the session has loaded.

use std::sync::Arc;

use super::changes::{Changes, RebaseError};
use super::committer::{Committer, GONE, Step};
use super::own_write::{OwnWrite, Replacement};
use super::recovery::{Attempted, attempt};
use super::uncertain::UncertainWrite;
use crate::codec::Content;
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::session::committed::{StoredAt, StoredRecord};
use crate::session::state::State;
use crate::{ConflictPolicy, EventKind, Outcome, Result};

/// Number of conflicts in a store within this process that lead to a load and a retry, before the session's queue is opened.
///
/// Such a store replies sooner than a queue can wake a waiting task. The queue is for slow `update` closures, which could lose
/// every race. A shared store opens the queue at the first conflict, because merged saves cost it less.
const ALONE: u32 = 40;

impl Committer<'_> {
    /// Saves `changes` over the record that they were made on. After a conflict, saves them through the session's queue.
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
            let content = match changes.rebase(&over.content, env) {
                Ok(content) => content,
                Err(RebaseError::Identity) => return self.mark_gone(changes),
                Err(RebaseError::Error(error)) => return Err(error),
            };
            let may_confirm = changes.undecided_over.is_none() && !changes.must_replace;
            if may_confirm && content == over.content && !env.idle_has_changed(&over) {
                match self.confirm(changes, stored, &over).await? {
                    Outcome::Done => return Ok(Step::Committed),
                    Outcome::Missing => return self.mark_gone(changes),
                    Outcome::Conflict | Outcome::Exists => {}
                }
            } else {
                let replacement = Replacement::Content(content);
                let mut save = OwnWrite::new(self, changes, stored, &over, replacement);
                match attempt(env, &stored.key, over.version, &mut save).await? {
                    Attempted::Stored(version) => return Ok(self.apply_sent(version, save.last, changes)),
                    Attempted::Gone => return self.mark_gone(changes),
                    Attempted::Unknown(error) => return Err(error),
                    Attempted::NotStored => self.state().end_uncertain(),
                }
            }
            if env.conflicts == ConflictPolicy::Reject {
                return Box::pin(self.reject(changes, stored)).await;
            }
            if env.is_shared || round == ALONE.min(env.max_replays) {
                break;
            }
            over = match env.current(&stored.key).await? {
                Now::Live(current) => current,
                Now::Moved(next) if self.follow(stored, &next).await? => return Ok(Step::Again),
                Now::Moved(_) | Now::Ended | Now::Missing => return self.mark_gone(changes),
            };
        }
        let slot = env.queues.enter(&stored.key);
        Box::pin(self.save_merged(changes, stored, &slot, None)).await
    }

    /// Saves `content` over the session's record `over`, without a change that a request has made.
    pub(super) async fn save_again(
        &self,
        stored: &StoredAt,
        over: &Arc<StoredRecord>,
        content: Arc<Content>,
    ) -> Result<Outcome> {
        let changes = no_changes(&self.state(), stored);
        let replacement = Replacement::Content(content);
        let mut save = OwnWrite::new(self, &changes, stored, over, replacement);
        let outcome = match Box::pin(attempt(&self.shared.env, &stored.key, over.version, &mut save)).await? {
            Attempted::Stored(version) => {
                self.apply_sent(version, save.last, &changes);
                return Ok(Outcome::Done);
            }
            Attempted::NotStored => Outcome::Conflict,
            Attempted::Gone => Outcome::Missing,
            Attempted::Unknown(error) => return Err(error),
        };
        self.state().end_uncertain();
        Ok(outcome)
    }

    /// Decides a rotation that was discarded while it was uncertain. Returns `false` if there is none.
    ///
    /// Its tombstone may still arrive, so the record under the new id cannot be removed yet. Saving the old record again, under a new
    /// version, makes the store refuse the tombstone.
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
        self.save_again(&stored, &over, over.content.clone()).await.map(|_: Outcome| true)
    }

    /// Returns the error for a conflict under [`ConflictPolicy::Reject`], or [`Step::Again`] if the record is as it was.
    async fn reject(&self, changes: &Changes, stored: &StoredAt) -> Result<Step> {
        match self.shared.env.current(&stored.key).await? {
            Now::Live(current) => match changes.rebase(&current.content, &self.shared.env) {
                Err(RebaseError::Error(error)) => Err(error),
                Err(RebaseError::Identity) => self.mark_gone(changes),
                // At most the age of the id has changed, so the changes go over the record that is there now.
                Ok(_) => {
                    let mut state = self.state();
                    if state.epoch == changes.epoch {
                        state.follow(&stored.with(current), ConflictPolicy::Reject)?;
                    }
                    Ok(Step::Again)
                }
            },
            Now::Moved(next) if self.follow(stored, &next).await? => Ok(Step::Again),
            Now::Moved(_) | Now::Ended | Now::Missing => self.mark_gone(changes),
        }
    }

    /// Drops the operations of `changes` because the session is gone. Always returns an error of kind `Gone`.
    pub(super) fn mark_gone(&self, changes: &Changes) -> Result<Step> {
        if changes.ops.iter().any(|op| op.writes()) {
            self.emit(EventKind::Dropped);
        }
        self.state().mark_gone(changes.epoch, changes.ops_end, self.shared.env.now());
        // A login that was logged since starts a new session. The next commit reports a conflict of it.
        let _later = self.catch_up();
        Err(GONE)
    }
}

/// Returns changes without an operation, for a save of the record `stored` as it is.
pub(super) fn no_changes(state: &State, stored: &StoredAt) -> Changes {
    Changes {
        ops: Vec::new(),
        ops_end: state.ops_end() - state.log.len() as u64,
        epoch: state.epoch,
        base: stored.content.clone(),
        content: stored.content.clone(),
        stored: Some(stored.clone()),
        undecided_over: None,
        undecided: Vec::new(),
        must_replace: false,
        rotate: false,
        new_ids: state.new_ids_wanted,
    }
}
