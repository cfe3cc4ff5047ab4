//! Commits: store the operations in a session's log. This file has the order of the steps, and each step has its own file.
//!
//! A dropped future and a lost reply are handled alike. Every write is noted in the session's state before it is sent, and the next
//! commit finds out whether it was stored (`recovery`). Records under ids that no client has are removed (`orphans`).

use std::sync::Arc;

use crate::session::committed::CommittedState;
use crate::session::log::replay;
use crate::{ErrorKind, EventKind, Result, Version};

pub(crate) mod changes;
mod client_update;
mod close;
mod committer;
mod create;
pub(crate) mod joint_write;
mod logout;
mod merge;
mod orphans;
mod own_write;
mod recovery;
mod renew;
mod rotate;
mod save;
mod session_limit;
mod touch;
pub(crate) mod uncertain;
pub(crate) mod write_queue;

pub use client_update::{ClientValue, Commit, CookieUpdate};
pub(crate) use committer::{Committer, TOMBSTONE_LIFE, TOMBSTONE_TELLS, is_settled_logout, tombstone_tells};

use changes::Changes;
use committer::{GONE, Step, TOO_MANY_CONFLICTS};
use uncertain::Sent;

impl Committer<'_> {
    /// Commits the session's changes. Commits of one session run one at a time.
    pub(crate) async fn commit(&self) -> Result<()> {
        let committed = {
            let _turn = self.shared.committing.lock().await;
            match self.commit_changes().await {
                Ok(()) => self.enforce_limit().await,
                failed => failed,
            }
        };
        if committed.as_ref().is_err_and(|error| error.kind() == ErrorKind::Conflict) {
            self.emit(EventKind::Conflict);
        }
        committed
    }

    async fn commit_changes(&self) -> Result<()> {
        let env = &*self.shared.env;
        if env.discards {
            self.state().discard_to_view();
            return Ok(());
        }
        for _ in 0..=env.max_replays {
            if self.state().has_leftovers() {
                // The logout comes first, so that a failure of another step cannot prevent it.
                self.end_previous().await?;
                self.resolve_uncertain().await?;
                self.remove_orphans().await;
            }
            let Some(changes) = self.changes()? else {
                if self.state().has_leftovers() && Box::pin(self.decide_discarded_rotation()).await? {
                    continue;
                }
                return Ok(());
            };
            self.check_limit(&changes).await?;
            let step = match &changes.stored {
                None => self.create(&changes, changes.content.clone()).await?,
                Some(stored) if changes.rotate => Box::pin(self.rotate_over(&changes, stored)).await?,
                Some(stored) => self.save_over(&changes, stored).await?,
            };
            if step == Step::Committed {
                // This commit may have abandoned creates.
                if self.state().has_leftovers() {
                    self.remove_orphans().await;
                }
                return Ok(());
            }
        }
        Err(TOO_MANY_CONFLICTS)
    }

    /// Returns the changes to store, or `None` if there are none.
    fn changes(&self) -> Result<Option<Arc<Changes>>> {
        loop {
            let mut state = self.state();
            let any = state.log.iter().any(|op| op.writes());
            let gone = state.drop_lost_changes();
            let drops = any && state.log.is_empty();
            if gone || drops {
                drop(state);
                if drops {
                    self.emit(EventKind::Dropped);
                }
                if gone {
                    return Err(GONE);
                }
                continue;
            }
            if state.stale {
                drop(state);
                self.catch_up()?;
                continue;
            }
            let rotate = state.wants_new_id();
            if !rotate && !state.log.iter().any(|op| op.writes()) {
                return Ok(None);
            }
            if state.stored.is_none() && state.view == state.base {
                state.drop_operations();
                return Ok(None);
            }
            let settled = state.uncertain.is_none();
            return Ok(Some(Arc::new(Changes {
                ops: state.log.freeze(settled),
                ops_end: state.ops_end(),
                epoch: state.epoch,
                base: state.base.clone(),
                content: state.view.clone(),
                stored: state.stored.clone(),
                undecided_over: state.undecided_over(),
                undecided: state.sent_versions(),
                must_replace: state.must_replace,
                rotate,
                new_ids: state.new_ids_wanted,
            })));
        }
    }

    /// Replays operations that were logged during a commit, so that the view shows them.
    fn catch_up(&self) -> Result<()> {
        loop {
            let (log, base, changes) = {
                let state = self.state();
                if !state.stale {
                    return Ok(());
                }
                (state.log.to_vec(), state.base.clone(), state.changes())
            };
            // Closures of `update` run here, so no lock is held.
            let view = replay(&log, &base, self.shared.env.now())?;
            let mut state = self.state();
            if state.changes() == changes {
                state.set_view(view);
                state.stale = false;
            }
        }
    }

    /// Applies a write that is stored.
    fn apply_commit(&self, after: &CommittedState) {
        let (is_stale, drops) = {
            let mut state = self.state();
            let dropped = state.dropped;
            let renewed = state.stored.clone().filter(|_| after.events.contains(&EventKind::Renewed));
            state.apply_commit(after);
            if let Some(old) = renewed {
                state.note_successor(&old.id);
            }
            state.limit_due |= self.shared.env.session_limit.is_some() && after.events.contains(&EventKind::Login);
            (state.stale, state.dropped && !dropped)
        };
        for event in &after.events {
            self.shared.env.emit(*event, &after.stored.content, Some(&after.stored.key));
        }
        if drops {
            self.emit(EventKind::Dropped);
        }
        if is_stale {
            // The next commit reports a conflict among operations that were logged meanwhile.
            let _later = self.catch_up();
        }
    }

    /// Applies the save that was stored as `version`. Returns [`Step::Again`] if it held only the first of `changes`.
    fn apply_sent(&self, version: Version, last: Option<Arc<Sent>>, changes: &Changes) -> Step {
        let last = last.filter(|last| last.version == version);
        let Some(sent) = last.or_else(|| self.state().sent_as(version)) else { return Step::Again };
        let step = if changes.lead_to(&sent.after) { Step::Committed } else { Step::Again };
        self.apply_commit(&sent.after);
        step
    }
}
