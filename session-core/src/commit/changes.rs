//! Changes that one commit stores.

use std::sync::Arc;

use crate::codec::Content;
use crate::manager::environment::Environment;
use crate::session::committed::{CommittedState, StoredAt, StoredRecord};
use crate::session::log::{Op, replay};
use crate::{ConflictPolicy, Error, EventKind, Result, Version};

/// Changes that one commit stores, as they were when it began.
pub(crate) struct Changes {
    pub(crate) ops: Vec<Arc<Op>>,
    pub(crate) ops_end: u64,
    pub(crate) epoch: u64,
    pub(crate) base: Arc<Content>,
    /// `base` after `ops`.
    pub(crate) content: Arc<Content>,
    pub(crate) stored: Option<StoredAt>,
    /// The record that undecided saves may still replace. The next save expects the same record, so at most one of them is stored.
    pub(crate) undecided_over: Option<Arc<StoredRecord>>,
    /// Versions of those saves.
    pub(crate) undecided: Vec<Version>,
    /// [`State::must_replace`](crate::session::state::State::must_replace) when the commit began.
    pub(crate) must_replace: bool,
    pub(crate) rotate: bool,
    /// [`State::new_ids_wanted`](crate::session::state::State::new_ids_wanted) when the commit began.
    pub(crate) new_ids: u64,
}

/// Reason why a session is stored under a new id.
pub(crate) enum NewId<'a> {
    /// The session is new.
    Created,
    /// The application has asked for it, by a login, a reauthentication or a rotation.
    Asked,
    /// The id is as old as the policy says. Holds the session as it is stored under the old id.
    Renewed(&'a StoredAt),
}

/// Reason why changes cannot be replayed on the current record.
pub(crate) enum RebaseError {
    /// The record belongs to another principal, or to another login.
    Identity,
    Error(Error),
}

impl Changes {
    /// Returns the session's state once these changes are stored as `stored`.
    pub(crate) fn committed(&self, stored: StoredAt) -> CommittedState {
        CommittedState { stored, events: Vec::new(), ops_end: self.ops_end, epoch: self.epoch, new_ids: self.new_ids }
    }

    /// Returns the session's state once these changes are stored as `stored`, under a new id.
    pub(crate) fn committed_under_new_id(&self, stored: StoredAt, why: &NewId<'_>) -> CommittedState {
        let created = matches!(why, NewId::Created).then_some(EventKind::Created);
        let id_changed = match why {
            NewId::Renewed(_) => Some(EventKind::Renewed),
            _ if self.log_in() => Some(EventKind::Login),
            _ if self.authenticate() => Some(EventKind::Reauthenticated),
            NewId::Created => None,
            NewId::Asked => Some(EventKind::Rotated),
        };
        let events = created.into_iter().chain(id_changed).collect();
        CommittedState { events, ..self.committed(stored) }
    }

    /// Whether a login is among these changes.
    pub(crate) fn log_in(&self) -> bool {
        self.ops.iter().any(|op| op.is_login())
    }

    /// Whether a login or a reauthentication is among these changes.
    pub(crate) fn authenticate(&self) -> bool {
        self.ops.iter().any(|op| op.is_login() || matches!(**op, Op::Reauthenticate { .. }))
    }

    /// Whether `state` is the result of all of these changes. `false` if it holds only the first of them.
    pub(crate) fn lead_to(&self, state: &CommittedState) -> bool {
        (self.ops_end, self.epoch, self.new_ids) == (state.ops_end, state.epoch, state.new_ids)
    }

    /// Applies these changes to the `current` content, as the manager's policy for conflicts asks, and returns the result.
    ///
    /// Closures of `update` run here, so no lock may be held.
    pub(crate) fn rebase(&self, current: &Arc<Content>, env: &Environment) -> Result<Arc<Content>, RebaseError> {
        if Arc::ptr_eq(current, &self.base) {
            return Ok(self.content.clone());
        }
        if current.identity() != self.base.identity() {
            return Err(RebaseError::Identity);
        }
        match env.conflicts {
            ConflictPolicy::Reject if !current.differs_in_id_only(&self.base) => {
                Err(RebaseError::Error(Error::rejected_conflict()))
            }
            ConflictPolicy::Reject | ConflictPolicy::Overwrite => Ok(self.content.with_id_age_of(current).into()),
            ConflictPolicy::Replay => replay(&self.ops, current, env.now()).map_err(RebaseError::Error),
        }
    }
}
