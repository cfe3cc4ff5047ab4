//! Requests of a program, which record the changes that were confirmed.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use session_core::{Commit, Error, ErrorKind, Manager, Result, Session, SessionId, StoreKey};

use super::world::{TaskContext, World};
use crate::stored_data;

/// Number of attempts after which a commit that is still [`Unavailable`](ErrorKind::Unavailable) counts as never
/// succeeding.
const TRIES: usize = 4;

/// Tokens of the list `tokens` that were confirmed to the run's requests. Clones share them.
#[derive(Clone, Default)]
pub struct Commits(Rc<RefCell<BTreeSet<u32>>>);

impl Commits {
    /// Records tokens as confirmed.
    pub fn confirm(&self, tokens: impl IntoIterator<Item = u32>) {
        self.0.borrow_mut().extend(tokens);
    }

    /// Checks the promises `updates.kept` and `updates.once` for the session to which `key` leads. It must be live.
    pub fn check(&self, world: &World, key: StoreKey) {
        match world.session_at(key) {
            Some((_, record)) => self.check_data(world, &record.data),
            None => world.violated("updates.kept", "nothing ended the session, and it is gone"),
        }
    }

    /// Checks the session to which `key` leads, like [`check`](Self::check), if it is live.
    pub fn check_if_live(&self, world: &World, key: StoreKey) {
        if world.session_at(key).is_some() {
            self.check(world, key);
        }
    }

    fn check_data(&self, world: &World, data: &[u8]) {
        let stored = tokens(data);
        let show = || format!("stored {stored:?}, confirmed {:?}", self.0.borrow());
        if self.0.borrow().iter().any(|token| !stored.contains(token)) {
            world.violated("updates.kept", show());
        }
        let distinct: BTreeSet<_> = stored.iter().collect();
        if distinct.len() < stored.len() {
            world.violated("updates.once", show());
        }
    }
}

/// Returns the list `tokens` of a stored session.
fn tokens(data: &[u8]) -> Vec<u32> {
    let content: serde_json::Value = serde_json::from_slice(stored_data::envelope(data)).unwrap_or_default();
    let list = content["v"]["tokens"].as_array().cloned().unwrap_or_default();
    list.iter().filter_map(|token| u32::try_from(token.as_u64()?).ok()).collect()
}

/// Returns the key of the record that the cookie value `value` opens.
fn key_of(manager: &Manager, value: &str) -> Option<StoreKey> {
    SessionId::parse(value).map(|id| StoreKey::derive(manager.name(), &id))
}

/// Result of a commit.
#[derive(Debug)]
pub enum CommitResult {
    /// The commit was confirmed.
    Done(Commit),
    /// The commit answered an error.
    Failed(Error),
    /// The commit's future was dropped.
    Dropped,
}

impl CommitResult {
    /// Returns whether the commit was confirmed.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Done(_))
    }

    /// Returns whether the commit answered an error of this kind.
    pub fn is(&self, kind: ErrorKind) -> bool {
        matches!(self, Self::Failed(error) if error.kind() == kind)
    }
}

/// A request with its session handle. Clones use clones of the handle.
#[derive(Clone)]
pub struct Request {
    /// The request's session.
    pub session: Session,
    /// Key of the session when it was opened.
    key: Option<StoreKey>,
    manager: Manager,
    commits: Commits,
    /// Tokens that were pushed, and neither confirmed nor lost so far.
    pending: Rc<RefCell<BTreeSet<u32>>>,
    may_fail: &'static [ErrorKind],
}

impl Request {
    /// Creates a request on a session that is already open.
    pub fn on(session: Session, manager: &Manager, commits: &Commits) -> Self {
        let (manager, commits) = (manager.clone(), commits.clone());
        let key = session.handle().map(|handle| *handle.key());
        Self { session, key, manager, commits, pending: Rc::default(), may_fail: &[] }
    }

    /// Creates a request whose session is opened in the set-up by the value `id`.
    pub fn opened(world: &World, manager: &Manager, commits: &Commits, id: Option<&str>) -> Self {
        Self::on(world.at_once(manager.open(id)).expect("nothing fails at once"), manager, commits)
    }

    /// Creates a request that opens its session by the value `id`. Tries again if the store does not answer.
    pub async fn open(task: &TaskContext, commits: &Commits, id: Option<&str>) -> Option<Self> {
        for _ in 0..TRIES {
            match task.manager.open(id).await {
                Ok(session) => {
                    task.show(|| format!("opened: {:?}", session.opened()));
                    return Some(Self::on(session, &task.manager, commits));
                }
                Err(error) => task.show(|| format!("open: {error}")),
            }
        }
        task.world.violated("retry.succeeds", format!("{}: the session cannot be opened", task.name()));
        None
    }

    /// Sets the errors that its commits may answer without any fault, as documented.
    #[must_use]
    pub fn may_fail(mut self, kinds: &'static [ErrorKind]) -> Self {
        self.may_fail = kinds;
        self
    }

    /// Pushes `token` to the list `tokens`.
    pub fn push(&self, task: &TaskContext, token: u32) {
        let pushed = self.session.update("tokens", move |tokens: &mut Vec<u32>| tokens.push(token));
        task.show(|| format!("push {token}: {pushed:?}"));
        if pushed.is_ok() {
            self.pending.borrow_mut().insert(token);
        }
    }

    /// Logs out, and forgets the tokens that were not confirmed.
    pub fn logout(&self, task: &TaskContext) {
        self.session.logout();
        self.pending.borrow_mut().clear();
        task.show(|| "logout".to_owned());
    }

    /// Discards the changes, and forgets the tokens that were not confirmed.
    pub fn discard(&self, task: &TaskContext) {
        self.session.discard();
        self.pending.borrow_mut().clear();
        task.show(|| "discard".to_owned());
    }

    /// Saves the session. The future may be dropped.
    pub async fn save(&self, task: &TaskContext) -> CommitResult {
        self.commit(task, "save", self.session.save()).await
    }

    /// Closes the session and passes the answer to the browser. The future may be dropped.
    pub async fn close(&self, task: &TaskContext) -> CommitResult {
        // A commit may return an id from before this close only if that id opened the session when the close began.
        let earlier = [self.key, self.session.handle().map(|handle| *handle.key())];
        let opens = |key| task.world.session_at(key).is_some_and(|(at, _)| at == key);
        let opened = earlier.map(|key| key.is_some_and(opens));
        task.world.note(("opened", opened));
        let answer = self.commit(task, "close", self.manager.close(&self.session)).await;
        if let CommitResult::Done(commit) = &answer {
            if let Commit::Issue(ticket) | Commit::Extended(ticket) = commit
                && let key @ Some(_) = key_of(&self.manager, ticket.value.as_str())
                && earlier.iter().zip(opened).any(|(earlier, opened)| *earlier == key && !opened)
            {
                task.world.violated("cookie.confirmed", "an answer has an id that opened nothing when its close began");
            }
            match commit {
                Commit::Issue(ticket) => task.world.set_cookie(Some(ticket.value.as_str().to_owned())),
                Commit::Clear => task.world.set_cookie(None),
                Commit::Extended(_) | Commit::Unchanged => {}
            }
        }
        answer
    }

    /// Saves until the save is confirmed or refused.
    pub async fn save_until_answered(&self, task: &TaskContext) -> CommitResult {
        for _ in 0..TRIES {
            let answer = self.save(task).await;
            if answer.is_done() || !(answer.is(ErrorKind::Unavailable) || matches!(answer, CommitResult::Dropped)) {
                return answer;
            }
        }
        self.gave_up(task)
    }

    /// Closes until the close is confirmed or refused.
    pub async fn close_until_answered(&self, task: &TaskContext) -> CommitResult {
        for _ in 0..TRIES {
            let answer = self.close(task).await;
            if answer.is_done() || !(answer.is(ErrorKind::Unavailable) || matches!(answer, CommitResult::Dropped)) {
                return answer;
            }
        }
        self.gave_up(task)
    }

    fn gave_up(&self, task: &TaskContext) -> CommitResult {
        task.world.violated("retry.succeeds", format!("{}: {TRIES} attempts, none answered", task.name()));
        CommitResult::Failed(ErrorKind::Unavailable.into())
    }

    async fn commit(
        &self,
        task: &TaskContext,
        what: &str,
        commit: impl Future<Output = Result<Commit>>,
    ) -> CommitResult {
        // A token that is pushed during the commit is not confirmed by it.
        let logged = self.pending.borrow().clone();
        let Some(ended) = task.droppable(commit).await else { return CommitResult::Dropped };
        task.show(|| format!("{what}: {ended:?}"));
        match ended {
            Ok(commit) => {
                let live = self.key.and_then(|key| task.world.session_at(key));
                if commit == Commit::Clear && live.is_some() {
                    task.world.violated("browser.follows", "the client is told to forget a session that is open");
                }
                self.pending.borrow_mut().retain(|token| !logged.contains(token));
                self.commits.confirm(logged);
                CommitResult::Done(commit)
            }
            Err(error) => {
                let kind = error.kind();
                if kind == ErrorKind::Gone {
                    self.pending.borrow_mut().clear();
                }
                let lost = task.world.had_faults() && kind == ErrorKind::Unavailable;
                if !lost && !self.may_fail.contains(&kind) {
                    task.world.violated("errors.documented", format!("{}: {what}: {error}", task.name()));
                }
                CommitResult::Failed(error)
            }
        }
    }
}
