//! An actor of a scene: a clone of a handle, and its operations.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use session_core::{Commit, ErrorKind, Result};

use super::browser::Browser;
use super::handle::{Handle, Pending, What};
use super::ledger::{Change, Ledger, principal};
use super::polls::polls;
use super::promise::Promise;
use super::scene::{Act, Scene, Step};
use super::stage::{Caller, Stage, locked};

/// State that all actors of a scene share.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) scene: Scene,
    pub(super) stage: Arc<Stage>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) browser: Mutex<Browser>,
    /// Set if no fault is planned and no future is dropped.
    pub(super) calm: bool,
}

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) play: Arc<Play>,
    pub(super) handle: Arc<Handle>,
    /// Number of the actor among all actors of the scene.
    pub(super) number: usize,
    caller: Arc<Caller>,
    pub(super) pending: Vec<Pending>,
    pub(super) tokens: u64,
}

/// Kind of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Save,
    Close,
}

impl Actor {
    pub(super) fn new(play: &Arc<Play>, handle: &Arc<Handle>, number: usize, caller: &Arc<Caller>) -> Self {
        let (play, handle, caller) = (play.clone(), handle.clone(), caller.clone());
        Self { play, handle, number, caller, pending: Vec::new(), tokens: 0 }
    }

    pub(super) fn breaks(&self, promise: Promise, why: impl Into<String>) {
        locked(&self.play.ledger).breaks(&self.play.stage, promise, why);
    }

    /// Does one step. An error of the session is recorded, and judged if nothing excuses it.
    pub(super) async fn step(&mut self, step: Step) {
        let stage = self.play.stage.clone();
        stage.operations.fetch_add(1, Ordering::Relaxed);
        super::faults::turns(step.pause).await;
        if step.act != Act::Save {
            stage.note(|_| format!("{:?}", step.act));
        }
        let began = stage.tick();
        let done = match step.act {
            Act::Save => {
                self.commit(How::Save, step.dropped_after).await;
                return;
            }
            Act::Touch => match polls(step.dropped_after, self.handle.session.touch()).await {
                Some(done) => done,
                None => return stage.note(|_| "  dropped".into()),
            },
            Act::Reload => self.reload(step.dropped_after, began).await,
            act => self.act(act, began),
        };
        if let Err(error) = done {
            stage.note(|_| format!("  -> {error}"));
            self.judge(&error);
        }
    }

    /// Saves or closes. Returns `None` if the future was dropped.
    pub(super) async fn commit(&mut self, how: How, dropped_after: Option<usize>) -> Option<Result<Commit>> {
        let stage = self.play.stage.clone();
        stage.note(|_| format!("{how:?}"));
        let began = stage.tick();
        let session = self.handle.session.clone();
        let manager = self.handle.manager.clone();
        let done = match how {
            How::Save => polls(dropped_after, session.save()).await,
            How::Close => polls(dropped_after, manager.close(&session)).await,
        };
        let ended = stage.tick();
        match &done {
            None => {
                stage.note(|_| format!("  {how:?} dropped"));
                self.handle.in_doubt.store(true, Ordering::SeqCst);
                self.handle.doubted.store(true, Ordering::SeqCst);
            }
            Some(Ok(commit)) => {
                stage.note(|_| format!("  -> {}", say(commit)));
                self.confirm(began, ended, commit);
            }
            Some(Err(error)) => {
                stage.note(|_| format!("  -> {error}"));
                if error.kind() == ErrorKind::Gone {
                    let last_call = self.caller.last_call.load(Ordering::SeqCst);
                    // Without an own store call, or with one that only checked an earlier write, the commit may have
                    // held any change.
                    let certain = last_call > began && !self.handle.doubted.load(Ordering::SeqCst);
                    locked(&self.handle.past).gone.push(if certain { last_call } else { ended });
                    self.pending.retain(|pending| matches!(pending.what, What::Logout(_)));
                }
                if error.kind() != ErrorKind::TooLarge {
                    self.handle.in_doubt.store(true, Ordering::SeqCst);
                }
                if error.kind() == ErrorKind::Unavailable {
                    self.handle.doubted.store(true, Ordering::SeqCst);
                }
                self.judge(error);
            }
        }
        done
    }

    /// Records the success of a commit that ran from `began` to `ended`.
    fn confirm(&mut self, began: u64, ended: u64, commit: &Commit) {
        self.play.stage.commits.fetch_add(1, Ordering::Relaxed);
        self.handle.in_doubt.store(false, Ordering::SeqCst);
        let key = self.handle.key();
        let owner = self.handle.owner();
        let now = self.play.stage.tick();
        let mut later = Vec::new();
        let pending = std::mem::take(&mut self.pending);
        let mut ledger = locked(&self.play.ledger);
        if let Some(key) = key {
            ledger.held(key);
        }
        if let (Commit::Clear, Some(client)) = (commit, self.handle.client) {
            ledger.cleared(client);
        }
        for pending in pending {
            if pending.ended > began {
                later.push(pending);
                continue;
            }
            if !self.handle.stands(&pending, now.max(ended)) {
                continue;
            }
            match (pending.what, key) {
                (What::Logout(keys), _) => ledger.ended(keys),
                (What::Login(who, old), Some(key)) => {
                    ledger.replaced(old.filter(|old| *old != key));
                    if old == Some(key) || owner != Some(who) {
                        let why = "the login was confirmed, and is not in effect";
                        ledger.breaks(&self.play.stage, Promise::LoginLost, why);
                    }
                }
                (What::Login(..), None) => {
                    let why = "the login was confirmed, and nothing is stored";
                    ledger.breaks(&self.play.stage, Promise::LoginLost, why);
                }
                (What::Rotation(old), Some(key)) => {
                    ledger.replaced(old.filter(|old| *old != key));
                    if old == Some(key) {
                        let why = "a rotation was confirmed, and the id is the same";
                        ledger.breaks(&self.play.stage, Promise::OldIdOpens, why);
                    }
                }
                (What::Change(change), Some(key)) => ledger.confirm(change, key),
                (What::Change(Change::Showed(_)) | What::Rotation(_), None) => {}
                (What::Change(change), None) if self.may_leave_nothing(&change) => {}
                (What::Change(change), None) => {
                    let why = format!("{change:?} was confirmed, and nothing is stored");
                    ledger.breaks(&self.play.stage, Promise::UpdateLost, why);
                }
            }
        }
        drop(ledger);
        self.pending = later;
    }

    /// Returns whether a new session may be empty again after `change`, so that nothing is stored.
    fn may_leave_nothing(&self, change: &Change) -> bool {
        let does = |act: fn(Act) -> bool| self.play.scene.does(act);
        match change {
            _ if does(|act| matches!(act, Act::Clear)) => true,
            Change::Own(_, None) => true,
            Change::Own(_, Some(_)) => does(|act| matches!(act, Act::Remove)),
            Change::Flash(_) => does(|act| matches!(act, Act::Flashes)),
            Change::Token(_) | Change::Guarded(_) | Change::Took | Change::Showed(_) => false,
        }
    }

    /// Reports an error that is not documented for the operations of this handle.
    fn judge(&self, error: &session_core::Error) {
        let (play, kind) = (&self.play, error.kind());
        let limits = play.scene.kind == super::scene::Kind::Limits;
        let calm = play.calm && !play.stage.outage.load(Ordering::SeqCst);
        let fine = match kind {
            ErrorKind::Unavailable => !calm,
            ErrorKind::Conflict => self.handle.guarded.load(Ordering::SeqCst),
            ErrorKind::Gone => play.scene.changes_identity(),
            ErrorKind::Closed => self.handle.clones,
            ErrorKind::TooLarge => limits,
            // Answered by `reauthenticate` if no principal is signed in.
            ErrorKind::Other => play.scene.does(|act| act == Act::Reauthenticate),
            _ => false,
        };
        if !fine {
            self.breaks(Promise::Undocumented, error.to_string());
        }
    }

    /// Returns whether a login of this actor was accepted and is not stored, though the handle is closed.
    pub(super) fn login_waits(&self) -> bool {
        let stored = self.handle.key().and_then(|key| self.play.stage.truth().known(&key)?.principal.clone());
        let waits = |pending: &Pending| match pending.what {
            What::Login(who, _) => stored != Some(principal(who)) && self.handle.stands(pending, u64::MAX),
            _ => false,
        };
        self.handle.session.is_modified() && self.pending.iter().any(waits)
    }

    /// Commits until there is a definite answer. Called when no more faults occur.
    pub(super) async fn finish(&mut self) {
        const TRIES: usize = 5;
        let mut last = None;
        for _ in 0..TRIES {
            last = self.commit(How::Close, None).await;
            match &last {
                Some(Ok(_)) => return,
                Some(Err(error)) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Gone) => {}
                _ => break,
            }
        }
        let mut ledger = locked(&self.play.ledger);
        ledger.unsettled = true;
        let stuck = matches!(last, Some(Err(error)) if error.kind() == ErrorKind::Unavailable);
        if !stuck || self.play.stage.outage.load(Ordering::SeqCst) {
            return;
        }
        // No other request can write under the fresh id that follows a logout.
        let logout = self.handle.session.is_new()
            && self
                .pending
                .iter()
                .any(|pending| matches!(pending.what, What::Logout(_)) && self.handle.stands(pending, u64::MAX));
        let alone = !self.play.stage.truth().others_wrote(self.handle.index, self.handle.opened_at);
        if logout {
            ledger.breaks(&self.play.stage, Promise::LogoutStuck, "a logout is not committed in five tries");
        } else if alone {
            ledger.breaks(&self.play.stage, Promise::Stuck, "a commit does not succeed in five tries");
        }
    }
}

fn say(commit: &Commit) -> String {
    match commit {
        Commit::Unchanged => "unchanged".into(),
        Commit::Extended(ticket) => format!("extended, persistent: {}", ticket.persistent),
        Commit::Issue(ticket) => format!("issue, persistent: {}", ticket.persistent),
        Commit::Clear => "clear".into(),
    }
}
