//! A save over the record that was loaded.

use std::sync::Arc;

use super::changes::{Changes, RebaseError};
use super::committer::{Committer, GONE, Step};
use super::joint_write::Current;
use super::recovery::{Attempted, Undecided, attempt};
use super::uncertain::{Sent, UncertainSave, UncertainWrite};
use crate::codec::Content;
use crate::manager::environment::Now;
use crate::mutant::{self, Mutant};
use crate::session::committed::StoredAt;
use crate::trail::Trail;
use crate::{ConflictPolicy, Record, Result, Session, Version};

/// A session's own save of `content` over `over`.
struct Save<'s> {
    session: &'s Session,
    changes: &'s Changes,
    stored: &'s StoredAt,
    over: &'s Current,
    content: Arc<Content>,
    last: Option<Arc<Sent>>,
}

impl Undecided for Save<'_> {
    fn record(&self) -> Result<(Record, Trail)> {
        self.session.shared.env.record(&self.content, Some(&self.over.trail))
    }

    fn note(&mut self, record: &Record, trail: Trail) -> bool {
        let stored = StoredAt { version: record.version, expires_at: record.expires_at, trail, ..self.stored.clone() };
        let after = self.changes.committed(stored, self.content.clone());
        let last = Arc::new(Sent { version: record.version, after });
        self.last = Some(last.clone());
        let save = UncertainSave { key: self.stored.key, over: self.over.clone(), last, earlier: Vec::new() };
        self.session.state().note(UncertainWrite::Save(save), self.changes.epoch)
    }

    fn sent(&self) -> Vec<Version> {
        self.session.state().sent_versions()
    }

    fn refused(&mut self) {
        self.session.state().forget_last_sent();
    }
}

impl Committer<'_> {
    /// Saves `changes` over the record that they were made on. After a conflict they go through the session's queue.
    pub(super) async fn save_over(&self, changes: &Arc<Changes>, stored: &StoredAt) -> Result<Step> {
        let env = &*self.shared.env;
        let undecided = self.state().undecided_over().filter(|_| !mutant::is(Mutant::GoesOverItsOwnBase));
        let (over, content) = match undecided {
            Some(over) => match changes.rebase_onto(&over, stored, env.conflicts) {
                Ok(content) => (over, content),
                Err(RebaseError::Identity) => return self.mark_gone(changes),
                Err(RebaseError::Error(error)) => return Err(error),
            },
            None => {
                if let Some(slot) = env.queues.enter_if_open(&stored.key) {
                    return Box::pin(self.save_merged(changes, stored, &slot)).await;
                }
                (changes.as_loaded(stored), changes.content.clone())
            }
        };
        let mut save = Save { session: self, changes, stored, over: &over, content, last: None };
        match attempt(env, &stored.key, over.version, &mut save).await? {
            Attempted::Stored(version) => Ok(self.apply_sent(version, save.last, changes)),
            Attempted::Gone => self.mark_gone(changes),
            Attempted::Unknown(error) => Err(error),
            Attempted::NotStored => {
                self.state().uncertain = None;
                if env.conflicts == ConflictPolicy::Reject {
                    return Box::pin(self.reject(changes, stored)).await;
                }
                let slot = env.queues.enter(&stored.key);
                Box::pin(self.save_merged(changes, stored, &slot)).await
            }
        }
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
