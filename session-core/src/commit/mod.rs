//! From a session's log to the store: create, save or move, and what to do when somebody was faster.

use std::sync::Arc;
use std::time::Duration;

use crate::content::{Content, Stored, tombstone};
use crate::manager::Inner;
use crate::manager::hot::Turn;
use crate::session::ops::{self, Op, replay};
use crate::session::state::{After, Anchor, InDoubt, Orphan};
use crate::{
    Call, ConflictPolicy, Error, ErrorKind, Outcome, Record, Result, Session, SessionId, StoreKey, Timestamp, Version,
    minutes, seconds,
};

mod doubt;
mod end;
pub(crate) mod ride;
mod ticket;

pub use ticket::{ClientValue, Commit, Ticket};

use doubt::Sent;
use ride::{Aboard, Queued};

/// How long a tombstone is kept: it proves what became of a write whose answer was lost.
const TOMBSTONE_LIFE: Duration = minutes(10);

/// How long a tombstone says of its id that the session has moved or ended: longer than any request that still bears it should take.
const TOMBSTONE_TELLS: Duration = seconds(60);

const GONE: Error = Error::fixed(ErrorKind::Gone, "it ended, moved or changed hands meanwhile");

const TOO_MANY_CONFLICTS: Error =
    Error::fixed(ErrorKind::Conflict, "other requests were faster too many times in a row");

/// Whether the tombstone `record` still says what became of its session.
pub(crate) fn tombstone_tells(record: &Record, now: Timestamp) -> bool {
    record.expires_at.since(now) > TOMBSTONE_LIFE - TOMBSTONE_TELLS
}

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
    /// [`State::new_ids_wanted`](crate::session::state::State::new_ids_wanted) when the commit began.
    new_ids: u64,
}

impl Work {
    fn after(&self, anchor: Anchor, content: Arc<Content>) -> After {
        After { anchor, content, ops_end: self.ops_end, epoch: self.epoch, new_ids: self.new_ids }
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
        for _ in 0..=manager.max_replays {
            // First of all, so that nothing keeps a logout from being carried out.
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
                // What was abandoned on the way may still be on its way.
                self.remove_orphans().await;
                return Ok(());
            }
        }
        Err(TOO_MANY_CONFLICTS)
    }

    /// What was logged while another clone's commit lost the session is not stored, and its commit says so.
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

    // ---- create ----

    /// Stores `content` under an id that nobody has. Like every step of a commit it answers `false` where the commit must begin again.
    async fn create(&self, work: &Work, content: Arc<Content>) -> Result<bool> {
        let mut lost = Error::from(ErrorKind::Unavailable);
        // Should the first answer be lost, the second try goes under a fresh id: sending the first again could revive
        // what somebody has revoked meanwhile.
        for _ in 0..2 {
            let (key, record, after) = self.newborn(work, &content)?;
            let doubt = InDoubt { key, expected: None, record, after, joint: false, earlier: Vec::new() };
            match self.send(&doubt).await? {
                Sent::Answered(Outcome::Done) => {
                    self.settled(doubt.after, true);
                    return Ok(true);
                }
                Sent::Answered(_) | Sent::Earlier(_) | Sent::Open => {}
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

    async fn save_over(&self, work: &Arc<Work>, anchor: &Anchor) -> Result<bool> {
        let manager = &*self.shared.manager;
        let undecided = self.state().in_doubt.as_ref().map(|doubt| doubt.expected);
        let (mut turn, target) = match undecided {
            // What is in doubt may still replace the version that it expects. Until another one has, the work goes over that one only.
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

    /// Sends `target`, and with it the work of those who wait behind us. `None` if an earlier attempt turned out to be stored.
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
                // Refused for what they are together: each goes alone.
                Err(error) if doubt::is_definite(&error) => *target = own,
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
            Err(error) if doubt::is_definite(&error) => {
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

    /// Nothing of the session is left for `work` to be written to.
    fn lose(&self, work: &Work) -> Result<bool> {
        self.state().lose(work.epoch, work.ops_end, self.shared.manager.now());
        // A login that was logged since begins from nothing; a clash in it is the next commit's to report.
        let _later = self.catch_up();
        Err(GONE)
    }

    // ---- move ----

    /// Stores the session under a new id, then turns the old record into a tombstone that points there.
    ///
    /// Until the second step succeeds nobody has the new id, and after it the old one opens nothing:
    /// at no instant are both of use, or neither.
    async fn move_on(&self, work: &Work, old: &Anchor) -> Result<bool> {
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

    /// Stores `content` under an id that nobody has been told, noted as an orphan until somebody is.
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
                Err(error) if doubt::is_definite(&error) => {
                    state.orphans.retain(|orphan| orphan.key != key);
                    return Err(error);
                }
                Err(error) => lost = error,
            }
        }
        Err(lost)
    }

    /// Removes records under ids that no client has. What fails twice is tried again by the next commit.
    async fn remove_orphans(&self) {
        let orphans = self.state().orphans.clone();
        for orphan in orphans {
            let mut removed = Box::pin(self.remove_orphan(&orphan)).await;
            if removed.as_ref().is_err_and(Error::is_transient) {
                removed = Box::pin(self.remove_orphan(&orphan)).await;
            }
            match removed {
                Ok(()) => self.state().orphans.retain(|left| left.key != orphan.key),
                Err(error) => tracing::warn!(%error, "a record under an id that nobody has could not be removed"),
            }
        }
    }

    /// Removes one. Where its create may still be on its way, a tombstone takes its place, so that the create finds it and does nothing.
    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        let manager = &*self.shared.manager;
        if !orphan.landed {
            let now = manager.now();
            let grave = tombstone(None, now, now.plus(TOMBSTONE_LIFE));
            if manager.store().create(&manager.call(), &orphan.key, &grave).await? == Outcome::Done {
                return Ok(());
            }
        }
        // Whatever it answers, the version is not there any more, and none comes back.
        let _ = manager.store().delete(&manager.call(), &orphan.key, Some(orphan.version)).await?;
        Ok(())
    }

    /// A login whose old session is gone begins from nothing; anything else is gone with it, and so is a login that rests on a value of it.
    async fn start_over(&self, work: &Work) -> Result<bool> {
        let login = work.ops.iter().rposition(|op| op.is_login()).filter(|_| !ops::is_guarded(&work.ops));
        let Some(login) = login else { return self.lose(work) };
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
