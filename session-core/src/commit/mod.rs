//! Stores what a session's log holds. This file has the order of the steps; each step has a file of its own.
//!
//! A dropped future and a lost answer are one case: what is sent is noted in the session's state first (`recovery`),
//! and the next commit finds out what became of it. Records that no client can have are removed by `orphans`.

use std::sync::Arc;
use std::time::Duration;

use crate::content::Content;
use crate::manager::Inner;
use crate::session::ops::replay;
use crate::session::state::After;
use crate::{Call, Error, ErrorKind, Record, Result, Session, Timestamp, minutes, seconds};

mod client_update;
mod create;
mod logout;
mod orphans;
mod recovery;
pub(crate) mod ride;
mod rotate;
mod save;
mod work;

pub use client_update::{ClientValue, Commit, Ticket};

use work::Work;

/// Life of a tombstone. While it is stored it proves what became of a write whose answer was lost.
const TOMBSTONE_LIFE: Duration = minutes(10);

/// How long opening its id answers `Moved` or `Ended`: longer than a request with the old id should take.
const TOMBSTONE_TELLS: Duration = seconds(60);

const GONE: Error = Error::fixed(ErrorKind::Gone, "it ended, moved or changed hands meanwhile");

const TOO_MANY_CONFLICTS: Error =
    Error::fixed(ErrorKind::Conflict, "other requests were faster too many times in a row");

/// Whether opening the id of the tombstone `record` answers `Moved` or `Ended`. After that the id is unknown.
pub(crate) fn tombstone_tells(record: &Record, now: Timestamp) -> bool {
    record.expires_at.since(now) > TOMBSTONE_LIFE - TOMBSTONE_TELLS
}

impl Session {
    /// Stores what there is to store. Commits of one session go one at a time.
    pub(crate) async fn commit(&self) -> Result<()> {
        let _turn = self.shared.committing.lock().await;
        if !self.state().is_modified() {
            return Ok(());
        }
        let manager = &*self.shared.manager;
        if manager.discards {
            self.state().discard_to_view();
            return Ok(());
        }
        for _ in 0..=manager.max_replays {
            // The logout comes first, because nothing may keep it from being carried out.
            self.end_old().await?;
            self.settle_doubt().await?;
            self.remove_orphans().await;
            self.refuse_what_is_gone()?;
            let Some(work) = self.work()? else { return Ok(()) };
            let over = match &work.anchor {
                None => self.create(&work, work.content.clone()).await?,
                Some(anchor) if work.rotate => Box::pin(self.move_on(&work, anchor)).await?,
                Some(anchor) => self.save_over(&work, anchor).await?,
            };
            if over {
                // Creates that were abandoned during this commit.
                self.remove_orphans().await;
                return Ok(());
            }
        }
        Err(TOO_MANY_CONFLICTS)
    }

    /// Refuses operations that were logged while another clone's commit found the session gone.
    fn refuse_what_is_gone(&self) -> Result<()> {
        let mut state = self.state();
        if state.gone && !state.log.is_empty() {
            state.discard();
            return Err(GONE);
        }
        Ok(())
    }

    fn work(&self) -> Result<Option<Arc<Work>>> {
        self.catch_up()?;
        let state = self.state();
        let rotate = state.wants_new_id();
        if !rotate && !state.log.iter().any(|op| op.writes()) {
            return Ok(None);
        }
        Ok(Some(Arc::new(Work {
            ops: state.log.clone(),
            ops_end: state.ops_end(),
            epoch: state.epoch,
            base: state.base.clone(),
            content: state.view.clone(),
            anchor: state.anchor.clone(),
            rotate,
            new_ids: state.new_ids_wanted,
        })))
    }

    /// Brings the view up to date with operations that were logged while a commit was under way.
    fn catch_up(&self) -> Result<()> {
        loop {
            let (log, base, changes) = {
                let state = self.state();
                if !state.stale {
                    return Ok(());
                }
                (state.log.clone(), state.base.clone(), state.changes())
            };
            // Closures run here, so no lock is held.
            let view = replay(&log, &base)?;
            let mut state = self.state();
            if state.changes() == changes {
                state.set_view(view);
                state.stale = false;
            }
        }
    }

    fn settled(&self, after: After, rotated: bool) {
        self.state().settled(after, rotated);
        // A clash among what was logged meanwhile is the next commit's to report.
        let _later = self.catch_up();
    }
}

impl Inner {
    pub(crate) fn call(&self) -> Call {
        Call::new(self.now())
    }

    /// The record that stores `content` from now on.
    fn record(&self, content: &Content) -> Result<Record> {
        let now = self.now();
        let expires_at = self.expiry(content, now);
        if expires_at <= now {
            return Err(Error::fixed(ErrorKind::Gone, "its absolute time-out has passed"));
        }
        content.to_record(expires_at, &self.rules)
    }
}
