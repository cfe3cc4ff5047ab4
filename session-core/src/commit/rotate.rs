//! Rotation: the session under a new id, and a tombstone in its old place.

use std::sync::Arc;

use super::recovery::{Sent, is_definite};
use super::save::Newer;
use super::work::{Target, Work};
use super::{TOMBSTONE_LIFE, TOO_MANY_CONFLICTS};
use crate::content::{Content, tombstone};
use crate::session::ops::{self, replay};
use crate::session::state::{After, Anchor, InDoubt, Orphan};
use crate::{Error, ErrorKind, Outcome, Result, Session};

impl Session {
    /// Stores the session under a new id, then turns the old record into a tombstone that points there.
    ///
    /// Until the second step succeeds nobody has the new id, and after it the old one opens nothing:
    /// at no instant are both of use, or neither.
    pub(super) async fn move_on(&self, work: &Work, old: &Anchor) -> Result<bool> {
        let manager = &*self.shared.manager;
        let mut target = Target { over: old.version, content: work.content.clone() };
        for _ in 0..=manager.max_replays {
            let after = self.unborn(work, &target.content).await?;
            let new = after.anchor.key;
            let now = manager.now();
            let record = tombstone(Some(&new), target.content.created_at, now.plus(TOMBSTONE_LIFE));
            let expected = Some(target.over);
            let doubt = InDoubt { key: old.key, expected, record, after, joint: false, earlier: Vec::new() };
            let outcome = match self.send(&doubt).await {
                Ok(Sent::Answered(outcome)) => outcome,
                Ok(Sent::Earlier(after)) => {
                    self.settled(after, false);
                    return Ok(false);
                }
                Ok(Sent::Open) => return Ok(false),
                // Should the tombstone stand, the new record is the session; the next commit finds out.
                Ok(Sent::Lost(error)) | Err(error) => return Err(error),
            };
            if outcome == Outcome::Done {
                self.state().orphans.retain(|orphan| orphan.key != new);
                self.settled(doubt.after, true);
                return Ok(true);
            }
            self.remove_orphans().await;
            let newer = match outcome {
                Outcome::Missing => Newer::Missing,
                _ => self.load_newer(&old.key).await?,
            };
            match self.next_move(work, newer)? {
                Some(next) => target = next,
                None => return self.start_over(work).await,
            }
        }
        Err(TOO_MANY_CONFLICTS)
    }

    /// What to move after somebody else was faster; `None` if there is nothing to move any more.
    fn next_move(&self, work: &Work, newer: Newer) -> Result<Option<Target>> {
        match newer {
            Newer::Live(version, content) => self.rebased(work, version, content),
            // A logout beats a login that was in flight.
            Newer::Ended => self.lose(work).map(|_| None),
            Newer::Moved | Newer::Missing => Ok(None),
        }
    }

    /// Stores `content` under a new id. It is noted as an orphan until the tombstone is stored.
    async fn unborn(&self, work: &Work, content: &Arc<Content>) -> Result<After> {
        let manager = &*self.shared.manager;
        let mut lost = Error::from(ErrorKind::Unavailable);
        for _ in 0..2 {
            let (key, record, after) = self.newborn(work, content)?;
            self.state().orphans.push(Orphan { key, version: record.version, landed: false });
            let created = manager.store().create(&manager.call(), &key, &record).await;
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

    /// A login whose old session is gone starts from an empty one. Other changes are gone with the session,
    /// and so is a login whose log was guarded by a value of it (`take`, `get` then `insert`, `require_unchanged`).
    async fn start_over(&self, work: &Work) -> Result<bool> {
        let login = work.ops.iter().rposition(|op| op.is_login()).filter(|_| !ops::is_guarded(&work.ops));
        let Some(login) = login else { return self.lose(work) };
        let empty = Content::empty(self.shared.manager.now());
        let content = replay(&work.ops[login..], &empty)?;
        self.create(work, content).await
    }
}
