//! From a session's log to the store: create, save or move, and what to do when somebody was faster.

use std::sync::Arc;

use crate::content::{Content, Stored, tombstone};
use crate::manager::Inner;
use crate::manager::hot::Turn;
use crate::session::ops::{Op, replay};
use crate::session::state::{After, Anchor, InDoubt};
use crate::{
    Call, ConflictPolicy, Error, ErrorKind, Outcome, Record, Result, Session, SessionId, StoreKey, Version, seconds,
};

mod doubt;
mod end;
pub(crate) mod ride;
mod ticket;

pub use ticket::{ClientValue, Commit, Ticket};

use doubt::Sent;
use ride::{Aboard, Queued};

/// How long a tombstone stands: longer than any request that still bears the old id should take.
const TOMBSTONE_LIFE: std::time::Duration = seconds(60);

/// What one commit has to store, as it was when the commit began.
struct Work {
    ops: Vec<Arc<Op>>,
    ops_end: u64,
    epoch: u64,
    base: Arc<Content>,
    /// `base` after `ops`.
    content: Arc<Content>,
    anchor: Option<Anchor>,
    rotate: bool,
}

impl Work {
    fn after(&self, anchor: Anchor, content: Arc<Content>) -> After {
        After { anchor, content, ops_end: self.ops_end, epoch: self.epoch }
    }
}

/// What to write, and over which version.
struct Target {
    over: Version,
    content: Arc<Content>,
}

/// What is stored now, after somebody else was faster.
enum Newer {
    Live(Version, Arc<Content>),
    /// Under another id.
    Moved,
    /// By a logout.
    Ended,
    Missing,
}

/// Why a log is not done again on what is there now.
enum Refused {
    /// It is another's, or another login's.
    Identity,
    Error(Error),
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
        self.settle_doubt().await?;
        self.end_old().await?;
        self.remove_orphans().await;
        let Some(work) = self.work()? else { return Ok(()) };
        match &work.anchor {
            None => self.create(&work, work.content.clone()).await,
            Some(anchor) if work.rotate => Box::pin(self.move_on(&work, anchor)).await,
            Some(anchor) => self.save_over(&work, anchor).await,
        }
    }

    fn work(&self) -> Result<Option<Arc<Work>>> {
        self.catch_up()?;
        let state = self.state();
        let rotate = state.rotate && state.anchor.is_some();
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
                state.view = view;
                state.stale = false;
            }
        }
    }

    fn settled(&self, after: After, rotated: bool) {
        self.state().settled(after, rotated);
        // A clash among what was logged meanwhile is the next commit's to report.
        let _later = self.catch_up();
    }

    // ---- create ----

    /// Stores `content` under an id that nobody has.
    async fn create(&self, work: &Work, content: Arc<Content>) -> Result<()> {
        let mut lost = Error::from(ErrorKind::Unavailable);
        // Should the first answer be lost, the second try goes under a fresh id: sending the first again could revive
        // what somebody has revoked meanwhile.
        for _ in 0..2 {
            let (key, record, after) = self.newborn(work, &content)?;
            let doubt = InDoubt { key, expected: None, record, after };
            match self.send(&doubt).await? {
                Sent::Answered(Outcome::Done) => {
                    self.settled(doubt.after, true);
                    return Ok(());
                }
                Sent::Answered(_) => {}
                Sent::Lost(error) => lost = error,
            }
        }
        Err(lost)
    }

    /// A record for `content` under a new id, and what follows once it is stored.
    fn newborn(&self, work: &Work, content: &Arc<Content>) -> Result<(StoreKey, Record, After)> {
        let manager = &*self.shared.manager;
        let record = manager.record(content)?;
        let id = SessionId::random();
        let key = StoreKey::derive(&manager.name, &id);
        let anchor = Anchor { id, key, version: record.version, expires_at: record.expires_at };
        Ok((key, record, work.after(anchor, content.clone())))
    }

    // ---- save ----

    async fn save_over(&self, work: &Arc<Work>, anchor: &Anchor) -> Result<()> {
        let manager = &*self.shared.manager;
        let mut turn = match self.queue(work, anchor, false).await? {
            Queued::Stored => return Ok(()),
            Queued::Turn(turn) => Some(turn),
            Queued::Nobody => None,
        };
        let Some(mut target) = self.first_target(work, anchor, &mut turn).await? else { return self.lose() };
        for _ in 0..=manager.max_replays {
            match self.send_over(work, anchor, &mut target, &mut turn).await? {
                Outcome::Done => return Ok(()),
                Outcome::Missing => return self.lose(),
                _ => {}
            }
            let mut joined = false;
            if turn.is_none() {
                match Box::pin(self.queue(work, anchor, true)).await? {
                    Queued::Stored => return Ok(()),
                    Queued::Turn(ours) => turn = Some(ours),
                    Queued::Nobody => {}
                }
                joined = true;
            }
            match self.next_target(work, &anchor.key, target.over, &mut turn, joined).await? {
                Some(next) => target = next,
                None => return self.lose(),
            }
        }
        Err(Error::fixed(ErrorKind::Conflict, "other requests were faster too many times in a row"))
    }

    /// Sends `target`, and with it the work of those who wait behind us.
    async fn send_over(
        &self,
        work: &Work,
        anchor: &Anchor,
        target: &mut Target,
        turn: &mut Option<Turn>,
    ) -> Result<Outcome> {
        let (record, aboard) = match turn.as_ref().and_then(|turn| self.take_along(turn, target)) {
            Some(joint) => joint,
            None => (self.shared.manager.record(&target.content)?, Aboard::default()),
        };
        let key = anchor.key;
        let anchor = Anchor { version: record.version, expires_at: record.expires_at, ..anchor.clone() };
        let after = work.after(anchor, target.content.clone());
        let doubt = InDoubt { key, expected: Some(target.over), record, after };
        match self.send(&doubt).await {
            Ok(Sent::Answered(outcome)) => {
                if outcome == Outcome::Done {
                    if let Some(turn) = turn {
                        turn.stored(doubt.record.version, &target.content);
                    }
                    self.settled(doubt.after, false);
                }
                aboard.tell(outcome);
                Ok(outcome)
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
    fn rebased(&self, work: &Work, version: Version, content: Arc<Content>) -> Result<Option<Target>> {
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

    async fn load_newer(&self, key: &StoreKey) -> Result<Newer> {
        let manager = &*self.shared.manager;
        let Some(record) = manager.store().load(&manager.call(), key).await? else { return Ok(Newer::Missing) };
        Ok(match Stored::read(&record)? {
            Stored::Content(content) => Newer::Live(record.version, Arc::new(content)),
            Stored::Tombstone(Some(_)) => Newer::Moved,
            Stored::Tombstone(None) => Newer::Ended,
        })
    }

    /// Nothing of the session is left to write to.
    fn lose(&self) -> Result<()> {
        self.state().lose(self.shared.manager.now());
        Err(Error::fixed(ErrorKind::Gone, "it ended, moved or changed hands meanwhile"))
    }

    // ---- move ----

    /// Stores the session under a new id, then turns the old record into a tombstone that points there.
    ///
    /// Until the second step succeeds nobody has the new id, and after it the old one opens nothing:
    /// at no instant are both of use, or neither.
    async fn move_on(&self, work: &Work, old: &Anchor) -> Result<()> {
        let manager = &*self.shared.manager;
        let mut target = Target { over: old.version, content: work.content.clone() };
        for _ in 0..=manager.max_replays {
            let after = self.unborn(work, &target.content).await?;
            let new = after.anchor.key;
            let now = manager.now();
            let record = tombstone(Some(&new), target.content.created_at, now.plus(TOMBSTONE_LIFE));
            let doubt = InDoubt { key: old.key, expected: Some(target.over), record, after };
            let outcome = match self.send(&doubt).await {
                Ok(Sent::Answered(outcome)) => outcome,
                // Should the tombstone stand, the new record is the session; the next commit finds out.
                Ok(Sent::Lost(error)) | Err(error) => return Err(error),
            };
            if outcome == Outcome::Done {
                self.state().orphans.retain(|key| *key != new);
                self.settled(doubt.after, true);
                return Ok(());
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
        Err(Error::fixed(ErrorKind::Conflict, "other requests were faster too many times in a row"))
    }

    /// What to move after somebody else was faster; `None` if there is nothing to move any more.
    fn next_move(&self, work: &Work, newer: Newer) -> Result<Option<Target>> {
        match newer {
            Newer::Live(version, content) => self.rebased(work, version, content),
            // A logout beats a login that was in flight.
            Newer::Ended => self.lose().map(|()| None),
            Newer::Moved | Newer::Missing => Ok(None),
        }
    }

    /// Stores `content` under an id that nobody has been told, noted as an orphan until somebody is.
    async fn unborn(&self, work: &Work, content: &Arc<Content>) -> Result<After> {
        let manager = &*self.shared.manager;
        let mut lost = Error::from(ErrorKind::Unavailable);
        for _ in 0..2 {
            let (key, record, after) = self.newborn(work, content)?;
            self.state().orphans.push(key);
            match manager.store().create(&manager.call(), &key, &record).await {
                Ok(Outcome::Done) => return Ok(after),
                Ok(_) => self.state().orphans.retain(|orphan| *orphan != key),
                Err(error) if doubt::is_definite(&error) => return Err(error),
                Err(error) => lost = error,
            }
        }
        Err(lost)
    }

    /// Removes records that nobody ever got the id of. What fails now is tried again by the next commit.
    async fn remove_orphans(&self) {
        let manager = &*self.shared.manager;
        let orphans = self.state().orphans.clone();
        for key in orphans {
            match manager.store().delete(&manager.call(), &key, None).await {
                Ok(_) => self.state().orphans.retain(|orphan| *orphan != key),
                Err(error) => tracing::warn!(%error, "a record under an id that nobody has could not be removed"),
            }
        }
    }

    /// A login whose old session is gone begins from nothing; anything else is gone with it.
    async fn start_over(&self, work: &Work) -> Result<()> {
        let Some(login) = work.ops.iter().rposition(|op| op.is_login()) else { return self.lose() };
        let empty = Content::empty(self.shared.manager.now());
        let content = replay(&work.ops[login..], &empty)?;
        self.create(work, content).await
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
