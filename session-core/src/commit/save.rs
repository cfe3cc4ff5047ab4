//! A save over the record that was loaded, and again after each conflict.

use std::sync::Arc;

use super::recovery::{Sent, is_definite};
use super::ride::{Aboard, Queued};
use super::work::{Target, Work};
use super::{GONE, TOO_MANY_CONFLICTS};
use crate::content::{Content, Stored};
use crate::manager::hot::Turn;
use crate::session::ops::replay;
use crate::session::state::{Anchor, InDoubt};
use crate::{ConflictPolicy, Error, ErrorKind, Outcome, Record, Result, Session, StoreKey, Version};

/// What is stored now, after somebody else was faster.
pub(super) enum Newer {
    Live(Version, Arc<Content>),
    /// Under another id.
    Moved,
    /// By a logout.
    Ended,
    Missing,
}

/// Why a log is not done again on what is there now.
pub(super) enum Refused {
    /// It is another's, or another login's.
    Identity,
    Error(Error),
}

impl Session {
    /// Saves `work` over the record of `anchor`. After a conflict it joins the session's queue and replays `work` on what is stored.
    pub(super) async fn save_over(&self, work: &Arc<Work>, anchor: &Anchor) -> Result<bool> {
        let manager = &*self.shared.manager;
        let undecided = self.state().in_doubt.as_ref().map(|doubt| doubt.expected);
        let (mut turn, target) = match undecided {
            // A write in doubt may still replace the version that it expects. This work goes over the same version, so at most one of them lands.
            Some(expected) => match Box::pin(self.look(work, &anchor.key)).await? {
                Some(target) if Some(target.over) == expected => (None, Some(target)),
                _ => return Ok(false),
            },
            None => {
                let mut turn = match self.queue(work, anchor, false).await? {
                    Queued::Stored => return Ok(true),
                    Queued::Again => return Ok(false),
                    Queued::Turn(turn) => Some(turn),
                    Queued::Nobody => None,
                };
                let target = self.first_target(work, anchor, &mut turn).await?;
                (turn, target)
            }
        };
        let Some(mut target) = target else { return self.lose(work) };
        for _ in 0..=manager.max_replays {
            match self.send_over(work, anchor, &mut target, &mut turn).await? {
                Some(Outcome::Done) => return Ok(true),
                Some(Outcome::Missing) => return self.lose(work),
                Some(_) => {}
                None => return Ok(false),
            }
            let mut joined = false;
            if turn.is_none() {
                match Box::pin(self.queue(work, anchor, true)).await? {
                    Queued::Stored => return Ok(true),
                    Queued::Again => return Ok(false),
                    Queued::Turn(ours) => turn = Some(ours),
                    Queued::Nobody => {}
                }
                joined = true;
            }
            match self.next_target(work, &anchor.key, target.over, &mut turn, joined).await? {
                Some(next) => target = next,
                None => return self.lose(work),
            }
        }
        Err(TOO_MANY_CONFLICTS)
    }

    /// Sends `target` merged with the writes that wait in the queue. `None` if an earlier attempt turned out to be stored.
    async fn send_over(
        &self,
        work: &Work,
        anchor: &Anchor,
        target: &mut Target,
        turn: &mut Option<Turn>,
    ) -> Result<Option<Outcome>> {
        let own = Target { over: target.over, content: target.content.clone() };
        if let Some((record, aboard)) = turn.as_ref().and_then(|turn| self.take_along(turn, target)) {
            match self.send_record(work, anchor, target, turn, record, aboard).await {
                // The store refused the joint record, so this write goes alone.
                Err(error) if is_definite(&error) => *target = own,
                sent => return sent,
            }
        }
        let record = self.shared.manager.record(&target.content)?;
        self.send_record(work, anchor, target, turn, record, Aboard::default()).await
    }

    async fn send_record(
        &self,
        work: &Work,
        anchor: &Anchor,
        target: &Target,
        turn: &mut Option<Turn>,
        record: Record,
        aboard: Aboard,
    ) -> Result<Option<Outcome>> {
        let key = anchor.key;
        let anchor = Anchor { version: record.version, expires_at: record.expires_at, ..anchor.clone() };
        let after = work.after(anchor, target.content.clone());
        let doubt = InDoubt { key, expected: Some(target.over), record, after, joint: false, earlier: Vec::new() };
        match self.send(&doubt).await {
            Ok(Sent::Answered(outcome)) => {
                if outcome == Outcome::Done {
                    if let Some(turn) = turn {
                        turn.stored(doubt.record.version, &target.content);
                    }
                    self.settled(doubt.after, false);
                }
                aboard.tell(outcome);
                Ok(Some(outcome))
            }
            Ok(Sent::Earlier(after)) => {
                self.settled(after, false);
                Ok(None)
            }
            Ok(Sent::Open) => Ok(None),
            Err(error) if is_definite(&error) => {
                aboard.refuse();
                Err(error)
            }
            Ok(Sent::Lost(error)) | Err(error) => {
                if let Some(turn) = turn
                    && error.is_transient()
                {
                    turn.broke();
                }
                Err(error)
            }
        }
    }

    /// What to write before anything is known of a conflict; `None` if nothing of the session is left.
    async fn first_target(&self, work: &Work, anchor: &Anchor, turn: &mut Option<Turn>) -> Result<Option<Target>> {
        let as_loaded = Target { over: anchor.version, content: work.content.clone() };
        let Some(turn) = turn else { return Ok(Some(as_loaded)) };
        if turn.looks_first() {
            return self.look_twice(work, &anchor.key).await;
        }
        Ok(Some(self.taken_over(work, anchor.version, turn).unwrap_or(as_loaded)))
    }

    /// After a conflict, for who has just `joined` the queue: the record of the one before us in it; else what is stored.
    async fn next_target(
        &self,
        work: &Work,
        key: &StoreKey,
        tried: Version,
        turn: &mut Option<Turn>,
        joined: bool,
    ) -> Result<Option<Target>> {
        if joined && let Some(turn) = turn {
            if turn.looks_first() {
                return self.look_twice(work, key).await;
            }
            if let Some(target) = self.taken_over(work, tried, turn) {
                return Ok(Some(target));
            }
        }
        self.look(work, key).await
    }

    /// `work` on what the one before us in the queue stored: saves the round trip that would tell us.
    ///
    /// Should it be out of date, the store says so; so it decides nothing against us.
    fn taken_over(&self, work: &Work, known: Version, turn: &Turn) -> Option<Target> {
        let (version, content) = turn.newer_than(known)?;
        rebase(work, version, content, self.shared.manager.conflicts).ok()
    }

    /// `work` on what is stored.
    async fn look(&self, work: &Work, key: &StoreKey) -> Result<Option<Target>> {
        match self.load_newer(key).await? {
            Newer::Live(version, content) => self.rebased(work, version, content),
            Newer::Moved | Newer::Ended | Newer::Missing => Ok(None),
        }
    }

    /// `work` on a record that was loaded; `None` if that is another's.
    pub(super) fn rebased(&self, work: &Work, version: Version, content: Arc<Content>) -> Result<Option<Target>> {
        match rebase(work, version, content, self.shared.manager.conflicts) {
            Ok(target) => Ok(Some(target)),
            Err(Refused::Identity) => Ok(None),
            Err(Refused::Error(error)) => Err(error),
        }
    }

    /// `work` on what is stored a round trip from now: another process that lost its race just now gets in between.
    async fn look_twice(&self, work: &Work, key: &StoreKey) -> Result<Option<Target>> {
        self.load_newer(key).await?;
        self.look(work, key).await
    }

    pub(super) async fn load_newer(&self, key: &StoreKey) -> Result<Newer> {
        let manager = &*self.shared.manager;
        let Some(record) = manager.store().load(&manager.call(), key).await? else { return Ok(Newer::Missing) };
        Ok(match Stored::read(&record)? {
            Stored::Content(content) => Newer::Live(record.version, Arc::new(content)),
            Stored::Tombstone(Some(_)) => Newer::Moved,
            Stored::Tombstone(None) => Newer::Ended,
        })
    }

    /// Drops the operations of `work` because the session is gone. Always an error of kind `Gone`.
    pub(super) fn lose(&self, work: &Work) -> Result<bool> {
        self.state().lose(work.epoch, work.ops_end, self.shared.manager.now());
        // A login that was logged since starts from an empty session. If it clashes, the next commit reports that.
        let _later = self.catch_up();
        Err(GONE)
    }
}

/// Does `work` again on what somebody else stored.
fn rebase(work: &Work, over: Version, newer: Arc<Content>, policy: ConflictPolicy) -> Result<Target, Refused> {
    if newer.identity() != work.base.identity() {
        return Err(Refused::Identity);
    }
    let content = match policy {
        ConflictPolicy::Reject => {
            return Err(Refused::Error(Error::fixed(ErrorKind::Conflict, "somebody else has saved it meanwhile")));
        }
        ConflictPolicy::Overwrite => work.content.clone(),
        ConflictPolicy::Replay => replay(&work.ops, &newer).map_err(Refused::Error)?,
    };
    Ok(Target { over, content })
}
