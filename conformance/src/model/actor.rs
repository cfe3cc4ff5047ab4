//! One actor of a scene: a clone of a handle, and what it does with it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use session_core::{Commit, ErrorKind, Manager, Result, Session, StoreKey, minutes};

use super::browser::Browser;
use super::ledger::{Change, Ledger, PRINCIPALS, own_key, principal};
use super::polls::polls;
use super::promise::Promise;
use super::scene::{Act, Scene, Step};
use super::stage::{Caller, Stage, locked};

/// What all actors of a scene share.
#[derive(Debug)]
pub(super) struct Play {
    pub(super) scene: Scene,
    pub(super) stage: Arc<Stage>,
    pub(super) ledger: Mutex<Ledger>,
    pub(super) browser: Mutex<Browser>,
    /// No fault is planned and no future dropped.
    pub(super) calm: bool,
}

/// What happened to a handle that its actors must know of each other.
#[derive(Debug, Default)]
struct Past {
    /// `discard` and `reload`: from when to when.
    dropped: Vec<(u64, u64)>,
    /// `login` and `logout`: from when to when.
    identity: Vec<(u64, u64)>,
    /// Commits that ended in `Gone`: when the last store call of each began.
    gone: Vec<u64>,
    shown: Vec<u64>,
}

/// One handle, with its clones.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) index: usize,
    pub(super) session: Session,
    pub(super) manager: Manager,
    /// The key of the cookie that opened it.
    pub(super) client: Option<StoreKey>,
    pub(super) opened_at: u64,
    past: Mutex<Past>,
    /// It has read what it wrote then.
    guarded: AtomicBool,
    /// The last commit had no answer, or was dropped.
    in_doubt: AtomicBool,
    /// Any commit was.
    doubted: AtomicBool,
    /// The actors after the first have nothing to tell the client.
    pub(super) clones: bool,
}

/// Something that the next commit confirms.
#[derive(Debug)]
struct Pending {
    what: What,
    began: u64,
    ended: u64,
}

#[derive(Debug)]
enum What {
    Change(Change),
    /// Signs the principal in, and replaces the key.
    Login(usize, Option<StoreKey>),
    /// Replaces the key.
    Rotation(Option<StoreKey>),
    /// Ends the keys.
    Logout(Vec<StoreKey>),
}

#[derive(Debug)]
pub(super) struct Actor {
    pub(super) play: Arc<Play>,
    pub(super) handle: Arc<Handle>,
    /// Its number among all actors of the scene.
    number: usize,
    caller: Arc<Caller>,
    pending: Vec<Pending>,
    tokens: u64,
}

/// How an actor commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    Save,
    Close,
}

impl Handle {
    pub(super) fn new(
        index: usize,
        session: Session,
        manager: Manager,
        client: Option<StoreKey>,
        opened_at: u64,
        clones: bool,
    ) -> Self {
        Self {
            index,
            session,
            manager,
            client,
            opened_at,
            past: Mutex::default(),
            guarded: AtomicBool::new(false),
            in_doubt: AtomicBool::new(false),
            doubted: AtomicBool::new(false),
            clones,
        }
    }

    pub(super) fn key(&self) -> Option<StoreKey> {
        self.session.handle().map(|handle| *handle.key())
    }

    fn owner(&self) -> Option<usize> {
        self.session.principal().map(|who| usize::from(who.as_str() == PRINCIPALS[1]))
    }

    /// Whether what was done between `began` and `ended` is still to be stored at `now`, or was by then.
    fn stands(&self, pending: &Pending, now: u64) -> bool {
        let past = locked(&self.past);
        let during = |(from, to): &(u64, u64)| *to >= pending.began && *from <= now;
        let another = |(from, to): &(u64, u64)| during(&(*from, *to)) && *from != pending.began;
        // What a commit that ended in `Gone` held is gone with it. It did not hold what came after its last call.
        let held = |last_call: &u64| *last_call >= pending.began;
        match pending.what {
            What::Logout(_) => !past.dropped.iter().any(during),
            _ => !past.dropped.iter().any(during) && !past.identity.iter().any(another) && !past.gone.iter().any(held),
        }
    }
}

impl Actor {
    pub(super) fn new(play: &Arc<Play>, handle: &Arc<Handle>, number: usize, caller: &Arc<Caller>) -> Self {
        let (play, handle, caller) = (play.clone(), handle.clone(), caller.clone());
        Self { play, handle, number, caller, pending: Vec::new(), tokens: 0 }
    }

    fn token(&mut self) -> u64 {
        self.tokens += 1;
        self.number as u64 * 100 + self.tokens
    }

    fn breaks(&self, promise: Promise, why: impl Into<String>) {
        locked(&self.play.ledger).breaks(&self.play.stage, promise, why);
    }

    /// Does one step. An error of the session is noted, and judged where nothing excuses it.
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

    async fn reload(&mut self, dropped_after: Option<usize>, began: u64) -> Result<()> {
        // What is pending may be dropped from now on.
        locked(&self.handle.past).dropped.push((began, u64::MAX));
        self.note_doubt();
        let done = polls(dropped_after, self.handle.session.reload()).await;
        let ended = self.play.stage.tick();
        if let Some(last) = locked(&self.handle.past).dropped.last_mut() {
            last.1 = ended;
        }
        self.pending.clear();
        done.unwrap_or(Ok(()))
    }

    /// An operation without a store call.
    fn act(&mut self, act: Act, began: u64) -> Result<()> {
        let session = self.handle.session.clone();
        let what = match act {
            Act::Push => {
                let token = self.token();
                let before = self.handle.owner();
                session.update("tokens", move |tokens: &mut Vec<u64>| tokens.push(token))?;
                if before == self.handle.owner() {
                    locked(&self.play.ledger).pushed(token, before);
                }
                self.play.stage.note(|_| format!("  token {token}"));
                What::Change(Change::Token(token))
            }
            Act::PushGuarded => {
                let token = self.token();
                self.guarded();
                let mut tokens: Vec<u64> = session.get("guarded")?.unwrap_or_default();
                tokens.push(token);
                session.insert("guarded", &tokens)?;
                self.play.stage.note(|_| format!("  guarded token {token}"));
                What::Change(Change::Guarded(token))
            }
            Act::Insert => {
                let value = self.token();
                locked(&self.play.ledger).wrote_own(self.number, Some(value));
                session.insert(own_key(self.number), &value)?;
                What::Change(Change::Own(self.number, Some(value)))
            }
            Act::Remove => {
                locked(&self.play.ledger).wrote_own(self.number, None);
                session.remove(own_key(self.number))?;
                What::Change(Change::Own(self.number, None))
            }
            Act::InsertLong => return session.insert("long", &"x".repeat(60 + self.number * 40)),
            Act::Take => {
                self.guarded();
                match session.take::<u64>("once")? {
                    Some(_) => What::Change(Change::Took),
                    None => return Ok(()),
                }
            }
            Act::Flash => {
                let message = self.token();
                session.flash("f", &message)?;
                What::Change(Change::Flash(message))
            }
            Act::Flashes => {
                let shown: Vec<u64> = session.flashes("f")?;
                self.show(&shown);
                What::Change(Change::Showed(shown))
            }
            Act::Require => {
                self.guarded();
                return session.require_unchanged("once");
            }
            Act::Label => return session.set_label("a label"),
            Act::Idle => return session.set_idle(Some(minutes(60 + self.tokens))),
            Act::Persistent => return session.set_persistent(!session.is_persistent()),
            Act::Clear => return session.clear(),
            Act::Look => {
                self.look();
                return Ok(());
            }
            Act::Rotate => {
                let key = self.handle.key();
                session.rotate()?;
                What::Rotation(key)
            }
            Act::Reauthenticate => {
                let key = self.handle.key();
                session.reauthenticate()?;
                What::Rotation(key)
            }
            Act::Login(who) => {
                let key = self.handle.key();
                // What was done before may begin from nothing with this.
                self.pending.retain(|pending| matches!(pending.what, What::Logout(_)));
                locked(&self.handle.past).identity.push((began, u64::MAX));
                let done = session.login(PRINCIPALS[who]);
                self.identity_changed(began);
                done?;
                What::Login(who, key)
            }
            Act::Logout => {
                let keys = self.handle.key().into_iter().chain(self.handle.client).collect();
                self.pending.clear();
                locked(&self.handle.past).identity.push((began, u64::MAX));
                session.logout();
                self.identity_changed(began);
                What::Logout(keys)
            }
            Act::Discard => {
                self.note_doubt();
                locked(&self.handle.past).dropped.push((began, u64::MAX));
                session.discard();
                let ended = self.play.stage.tick();
                if let Some(last) = locked(&self.handle.past).dropped.iter_mut().find(|(from, _)| *from == began) {
                    last.1 = ended;
                }
                self.pending.clear();
                return Ok(());
            }
            Act::Touch | Act::Save | Act::Reload => unreachable!("these call the store"),
        };
        let ended = self.play.stage.tick();
        self.pending.push(Pending { what, began, ended });
        Ok(())
    }

    fn identity_changed(&self, began: u64) {
        let ended = self.play.stage.tick();
        if let Some(last) = locked(&self.handle.past).identity.iter_mut().find(|(from, _)| *from == began) {
            last.1 = ended;
        }
    }

    fn guarded(&self) {
        self.handle.guarded.store(true, Ordering::SeqCst);
    }

    /// Notes that what is not stored is thrown away while a commit is without an answer.
    fn note_doubt(&self) {
        if self.handle.in_doubt.load(Ordering::SeqCst) {
            locked(&self.play.ledger).discarded_in_doubt(self.handle.index);
        }
    }

    fn show(&self, shown: &[u64]) {
        locked(&self.play.ledger).read(shown);
        let twice = {
            let mut past = locked(&self.handle.past);
            let twice = shown.iter().find(|message| past.shown.contains(message)).copied();
            past.shown.extend(shown);
            let undisturbed = past.dropped.is_empty() && past.identity.is_empty() && past.gone.is_empty();
            twice.filter(|_| undisturbed)
        };
        if let Some(twice) = twice {
            self.breaks(Promise::FlashTwice, format!("one request showed message {twice} twice"));
        }
    }

    fn look(&self) {
        let session = &self.handle.session;
        let before = self.handle.owner();
        let tokens: Vec<u64> = session.peek("tokens").ok().flatten().unwrap_or_default();
        session.keys();
        if before == self.handle.owner() {
            locked(&self.play.ledger).look(&self.play.stage, before, &tokens);
        }
    }

    /// Saves or closes. `None` if the future was dropped.
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
                    // Without a call of its own, or with one that only asked about an earlier write, all may be held.
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

    /// Takes in that a commit succeeded that ran from `began` to `ended`.
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
                (What::Change(change), None) => {
                    let why = format!("{change:?} was confirmed, and nothing is stored");
                    ledger.breaks(&self.play.stage, Promise::UpdateLost, why);
                }
            }
        }
        drop(ledger);
        self.pending = later;
    }

    /// Whether an error is one that the documentation names for what this handle did.
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
            // `reauthenticate` where nobody is signed in.
            ErrorKind::Other => play.scene.does(|act| act == Act::Reauthenticate),
            _ => false,
        };
        if !fine {
            self.breaks(Promise::Undocumented, error.to_string());
        }
    }

    /// Whether a login of this actor is accepted and not stored, though the handle is closed.
    pub(super) fn login_waits(&self) -> bool {
        let stored = self.handle.key().and_then(|key| self.play.stage.truth().known(&key)?.principal.clone());
        let waits = |pending: &Pending| match pending.what {
            What::Login(who, _) => stored != Some(principal(who)) && self.handle.stands(pending, u64::MAX),
            _ => false,
        };
        self.handle.session.is_modified() && self.pending.iter().any(waits)
    }

    /// Commits until there is a definite answer, when no more faults happen.
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
        // Under the fresh id that follows a logout no other request can have written.
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
