//! An actor of a scene: a clone of a handle, and its operations.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use session_core::{Commit, ErrorKind, Result};

use super::browser::Browser;
use super::handle::{Handle, PendingChange, PendingKind};
use super::ledger::{Change, Ledger, principal};
use super::monitor::{Caller, Monitor, locked};
use super::poll_limit::poll_at_most;
use super::promise::Promise;
use super::scene::{Action, Scene, Step};

/// State that all actors of a scene share.
#[derive(Debug)]
pub(super) struct SceneState {
    pub(super) scene: Scene,
    pub(super) monitor: Arc<Monitor>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) browser: Mutex<Browser>,
    /// Set if no fault is planned and no future is dropped.
    pub(super) calm: bool,
}

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) state: Arc<SceneState>,
    pub(super) handle: Arc<Handle>,
    /// Number of the actor among all actors of the scene.
    pub(super) number: usize,
    caller: Arc<Caller>,
    pub(super) pending: Vec<PendingChange>,
    pub(super) tokens: u64,
}

/// Kind of a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommitKind {
    Save,
    Close,
}

impl Actor {
    pub(super) fn new(state: &Arc<SceneState>, handle: &Arc<Handle>, number: usize, caller: &Arc<Caller>) -> Self {
        let (state, handle, caller) = (state.clone(), handle.clone(), caller.clone());
        Self { state, handle, number, caller, pending: Vec::new(), tokens: 0 }
    }

    pub(super) fn breaks(&self, promise: Promise, why: impl Into<String>) {
        locked(&self.state.ledger).breaks(&self.state.monitor, promise, why);
    }

    /// Does one step. An error of the session is recorded, and judged if nothing excuses it.
    pub(super) async fn step(&mut self, step: Step) {
        let monitor = self.state.monitor.clone();
        monitor.operations.fetch_add(1, Ordering::Relaxed);
        super::faulty_store::turns(step.pause).await;
        if step.action != Action::Save {
            monitor.note(|_| format!("{:?}", step.action));
        }
        let began = monitor.tick();
        let done = match step.action {
            Action::Save => {
                self.commit(CommitKind::Save, step.dropped_after).await;
                return;
            }
            Action::Touch => match poll_at_most(step.dropped_after, self.handle.session.touch()).await {
                Some(done) => done,
                None => return monitor.note(|_| "  dropped".into()),
            },
            Action::Reload => self.reload(step.dropped_after, began).await,
            action => self.action(action, began),
        };
        if let Err(error) = done {
            monitor.note(|_| format!("  -> {error}"));
            self.judge(&error);
        }
    }

    /// Saves or closes. Returns `None` if the future was dropped.
    pub(super) async fn commit(&mut self, how: CommitKind, dropped_after: Option<usize>) -> Option<Result<Commit>> {
        let monitor = self.state.monitor.clone();
        monitor.note(|_| format!("{how:?}"));
        let began = monitor.tick();
        let session = self.handle.session.clone();
        let manager = self.handle.manager.clone();
        let done = match how {
            CommitKind::Save => poll_at_most(dropped_after, session.save()).await,
            CommitKind::Close => poll_at_most(dropped_after, manager.close(&session)).await,
        };
        let ended = monitor.tick();
        match &done {
            None => {
                monitor.note(|_| format!("  {how:?} dropped"));
                self.handle.in_doubt.store(true, Ordering::SeqCst);
                self.handle.doubted.store(true, Ordering::SeqCst);
            }
            Some(Ok(commit)) => {
                monitor.note(|_| format!("  -> {}", say(commit)));
                self.confirm(began, ended, commit);
            }
            Some(Err(error)) => {
                monitor.note(|_| format!("  -> {error}"));
                if error.kind() == ErrorKind::Gone {
                    let last_call = self.caller.last_call.load(Ordering::SeqCst);
                    // Without an own store call, or with one that only checked an earlier write, the commit may have
                    // held any change.
                    let certain = last_call > began && !self.handle.doubted.load(Ordering::SeqCst);
                    locked(&self.handle.past).gone.push(if certain { last_call } else { ended });
                    self.pending.retain(|pending| matches!(pending.what, PendingKind::Logout(_)));
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
        self.state.monitor.commits.fetch_add(1, Ordering::Relaxed);
        self.handle.in_doubt.store(false, Ordering::SeqCst);
        let key = self.handle.key();
        let owner = self.handle.owner();
        let now = self.state.monitor.tick();
        let mut later = Vec::new();
        let pending = std::mem::take(&mut self.pending);
        let mut ledger = locked(&self.state.ledger);
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
                (PendingKind::Logout(keys), _) => ledger.ended(keys),
                (PendingKind::Login(who, old), Some(key)) => {
                    ledger.replaced(old.filter(|old| *old != key));
                    if old == Some(key) || owner != Some(who) {
                        let why = "the login was confirmed, and is not in effect";
                        ledger.breaks(&self.state.monitor, Promise::LoginLost, why);
                    }
                }
                (PendingKind::Login(..), None) => {
                    let why = "the login was confirmed, and nothing is stored";
                    ledger.breaks(&self.state.monitor, Promise::LoginLost, why);
                }
                (PendingKind::Rotation(old), Some(key)) => {
                    ledger.replaced(old.filter(|old| *old != key));
                    if old == Some(key) {
                        let why = "a rotation was confirmed, and the id is the same";
                        ledger.breaks(&self.state.monitor, Promise::OldIdOpens, why);
                    }
                }
                (PendingKind::Change(change), Some(key)) => ledger.confirm(change, key),
                (PendingKind::Change(Change::Showed(_)) | PendingKind::Rotation(_), None) => {}
                (PendingKind::Change(change), None) if self.may_leave_nothing(&change) => {}
                (PendingKind::Change(change), None) => {
                    let why = format!("{change:?} was confirmed, and nothing is stored");
                    ledger.breaks(&self.state.monitor, Promise::UpdateLost, why);
                }
            }
        }
        drop(ledger);
        self.pending = later;
    }

    /// Returns whether a new session may be empty again after `change`, so that nothing is stored.
    fn may_leave_nothing(&self, change: &Change) -> bool {
        let does = |action: fn(Action) -> bool| self.state.scene.does(action);
        match change {
            _ if does(|action| matches!(action, Action::Clear)) => true,
            Change::Own(_, None) => true,
            Change::Own(_, Some(_)) => does(|action| matches!(action, Action::Remove)),
            Change::Flash(_) => does(|action| matches!(action, Action::Flashes)),
            Change::Token(_) | Change::Guarded(_) | Change::Took | Change::Showed(_) => false,
        }
    }

    /// Reports an error that is not documented for the operations of this handle.
    fn judge(&self, error: &session_core::Error) {
        let (state, kind) = (&self.state, error.kind());
        let limits = state.scene.kind == super::scene::SceneKind::Limits;
        let calm = state.calm && !state.monitor.outage.load(Ordering::SeqCst);
        let fine = match kind {
            ErrorKind::Unavailable => !calm,
            ErrorKind::Conflict => self.handle.guarded.load(Ordering::SeqCst),
            ErrorKind::Gone => state.scene.changes_identity(),
            ErrorKind::Closed => self.handle.clones,
            ErrorKind::TooLarge => limits,
            // Answered by `reauthenticate` if no principal is signed in.
            ErrorKind::Unauthenticated => state.scene.does(|action| action == Action::Reauthenticate),
            _ => false,
        };
        if !fine {
            self.breaks(Promise::Undocumented, error.to_string());
        }
    }

    /// Returns whether a login of this actor was accepted and is not stored, though the handle is closed.
    pub(super) fn login_waits(&self) -> bool {
        let stored = self.handle.key().and_then(|key| self.state.monitor.effects().known(&key)?.principal.clone());
        let waits = |pending: &PendingChange| match pending.what {
            PendingKind::Login(who, _) => stored != Some(principal(who)) && self.handle.stands(pending, u64::MAX),
            _ => false,
        };
        self.handle.session.is_modified() && self.pending.iter().any(waits)
    }

    /// Commits until there is a definite answer. Called when no more faults occur.
    pub(super) async fn finish(&mut self) {
        const TRIES: usize = 5;
        let mut last = None;
        for _ in 0..TRIES {
            last = self.commit(CommitKind::Close, None).await;
            match &last {
                Some(Ok(_)) => return,
                Some(Err(error)) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Gone) => {}
                _ => break,
            }
        }
        let mut ledger = locked(&self.state.ledger);
        ledger.unsettled = true;
        let stuck = matches!(last, Some(Err(error)) if error.kind() == ErrorKind::Unavailable);
        if !stuck || self.state.monitor.outage.load(Ordering::SeqCst) {
            return;
        }
        // No other request can write under the fresh id that follows a logout.
        let logout = self.handle.session.is_new()
            && self
                .pending
                .iter()
                .any(|pending| matches!(pending.what, PendingKind::Logout(_)) && self.handle.stands(pending, u64::MAX));
        let alone = !self.state.monitor.effects().others_wrote(self.handle.index, self.handle.opened_at);
        if logout {
            ledger.breaks(&self.state.monitor, Promise::LogoutStuck, "a logout is not committed in five tries");
        } else if alone {
            ledger.breaks(&self.state.monitor, Promise::Stuck, "a commit does not succeed in five tries");
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
