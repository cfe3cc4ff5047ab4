//! Programs for the schedulers.

use session_core::{Clock, Commit, Error, ErrorKind, Manager, Session, Timestamp};
use shuttle::future::block_on;
use shuttle::thread::spawn;

use crate::store::Model;
use crate::trace;

/// A program whose threads are run in many orders.
pub(crate) struct Program {
    pub(crate) name: &'static str,
    /// All runs with at most this number of switches are made.
    pub(crate) switches: usize,
    /// Number of runs of each random scheduler.
    pub(crate) random: usize,
    pub(crate) run: fn() -> Vec<Broken>,
}

/// A broken promise.
pub(crate) struct Broken {
    pub(crate) promise: &'static str,
    pub(crate) what: String,
}

const NOTHING_LOST: &str = "every confirmed update is stored exactly once";
const NO_ERROR: &str = "without a fault only a documented clash is an error";
const LOGIN_KEPT: &str = "a login is stored and told to the client, or refused";
const SHOWN_ONCE: &str = "a flash message is shown once";
const SHOWN_GONE: &str = "a flash message that was shown is gone after a commit";

pub(crate) const ALL: &[Program] = &[
    Program { name: "save_and_updates_of_clones", switches: 2, random: 5_000, run: save_and_updates_of_clones },
    Program { name: "saves_of_clones_and_handles", switches: 2, random: 3_000, run: || clones_and_handles(true) },
    Program { name: "saves_in_one_process", switches: 2, random: 3_000, run: || clones_and_handles(false) },
    Program { name: "close_after_a_write_and_login", switches: 4, random: 2_000, run: || close_and_login(write) },
    Program { name: "close_after_a_read_and_login", switches: 5, random: 2_000, run: || close_and_login(read) },
    Program { name: "close_at_once_and_login", switches: 6, random: 2_000, run: close_at_once_and_login },
    Program { name: "two_readers_of_a_flash", switches: 4, random: 2_000, run: two_readers_of_a_flash },
];

/// A clock that never advances, so that it adds no step.
#[derive(Debug)]
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_000_000_000_000).expect("a valid time")
    }
}

fn manager() -> Manager {
    manager_over(Model::new(true))
}

fn manager_over(store: Model) -> Manager {
    Manager::builder(store).clock(Still).build().expect("a valid configuration")
}

/// Stores a session and returns the client's value.
fn stored(manager: &Manager, fill: impl FnOnce(&Session) -> Result<(), Error>) -> String {
    let session = open(manager, None);
    fill(&session).unwrap();
    match block_on(manager.close(&session)).unwrap() {
        Commit::Issue(ticket) => ticket.value.as_str().to_owned(),
        other => panic!("a new session is not told to the client: {other:?}"),
    }
}

fn open(manager: &Manager, value: Option<&str>) -> Session {
    block_on(manager.open(value)).unwrap()
}

/// Promises that were broken in a run.
#[derive(Default)]
struct Checks(Vec<Broken>);

impl Checks {
    fn holds(&mut self, promise: &'static str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(Broken { promise, what: what() });
        }
    }

    fn is_ok<T>(&mut self, what: &str, result: &Result<T, Error>) {
        if let Err(error) = result {
            self.holds(NO_ERROR, false, || format!("{what}: {error}"));
        }
    }
}

fn push(session: &Session, token: u32) -> Result<(), Error> {
    trace::step(|| format!("update that pushes {token} begins"));
    let result = session.update("tokens", move |tokens: &mut Vec<u32>| {
        trace::step(|| format!("closure pushes {token} to {tokens:?}"));
        tokens.push(token);
    });
    trace::step(|| format!("update that pushes {token}: {result:?}"));
    result.map(|_| ())
}

fn save(session: &Session) -> Result<(), Error> {
    trace::step(|| "save begins".to_owned());
    let result = block_on(session.save());
    trace::step(|| format!("save: {result:?}"));
    result.map(|_| ())
}

fn close(manager: &Manager, session: &Session) -> Result<Commit, Error> {
    trace::step(|| "close begins".to_owned());
    let result = block_on(manager.close(session));
    trace::step(|| format!("close: {result:?}"));
    result
}

/// Checks that each of `tokens` is stored exactly once.
fn all_stored(checks: &mut Checks, manager: &Manager, value: &str, tokens: &[u32]) {
    let stored: Vec<u32> = open(manager, Some(value)).peek("tokens").unwrap().unwrap_or_default();
    let mut sorted = stored.clone();
    sorted.sort_unstable();
    checks.holds(NOTHING_LOST, sorted == tokens, || format!("confirmed {tokens:?}, stored {stored:?}"));
}

/// A clone saves a change that conflicts with another request, while two other clones update.
fn save_and_updates_of_clones() -> Vec<Broken> {
    let manager = manager();
    let value = stored(&manager, |session| session.insert("tokens", &[0; 0]));
    let session = open(&manager, Some(&value));
    let foreign = open(&manager, Some(&value));
    push(&foreign, 4).unwrap();
    save(&foreign).unwrap();
    push(&session, 1).unwrap();

    let saver = session.clone();
    let saver = spawn(move || save(&saver));
    let writers = [2, 3].map(|token| {
        let session = session.clone();
        spawn(move || push(&session, token))
    });
    let mut checks = Checks::default();
    checks.is_ok("save", &saver.join().unwrap());
    for writer in writers {
        checks.is_ok("update", &writer.join().unwrap());
    }
    checks.is_ok("close", &close(&manager, &session));
    all_stored(&mut checks, &manager, &value, &[1, 2, 3, 4]);
    checks.0
}

/// Two clones and another request update and save. Another process may write to the store if it is `shared`.
fn clones_and_handles(shared: bool) -> Vec<Broken> {
    let manager = manager_over(Model::new(shared));
    let value = stored(&manager, |session| session.insert("tokens", &[0; 0]));
    let session = open(&manager, Some(&value));
    let sessions = [session.clone(), session, open(&manager, Some(&value))];
    let tokens = 1..;
    let threads: Vec<_> = sessions
        .into_iter()
        .zip(tokens)
        .map(|(session, token)| {
            spawn(move || {
                push(&session, token)?;
                save(&session)
            })
        })
        .collect();
    let mut checks = Checks::default();
    for thread in threads {
        checks.is_ok("update and save", &thread.join().unwrap());
    }
    all_stored(&mut checks, &manager, &value, &[1, 2, 3]);
    checks.0
}

fn write(session: &Session) {
    session.insert("seen", &true).unwrap();
}

fn read(session: &Session) {
    session.get::<u32>("seen").unwrap();
}

/// A clone logs in while another one closes the request's session.
fn close_and_login(work: fn(&Session)) -> Vec<Broken> {
    login_beside(work, close)
}

/// Closes like a framework, which awaits a close only if it has something to store.
fn close_at_once_and_login() -> Vec<Broken> {
    login_beside(read, |manager, session| match manager.close_at_once(session) {
        Some(commit) => {
            trace::step(|| format!("close at once: {commit:?}"));
            Ok(commit)
        }
        None => close(manager, session),
    })
}

fn login_beside(work: fn(&Session), close: fn(&Manager, &Session) -> Result<Commit, Error>) -> Vec<Broken> {
    let manager = manager();
    let value = stored(&manager, |session| session.insert("theme", "dark"));
    let session = open(&manager, Some(&value));
    work(&session);

    let user = session.clone();
    let login = spawn(move || {
        trace::step(|| "login begins".to_owned());
        let result = user.login("ann");
        trace::step(|| format!("login: {result:?}"));
        result
    });
    let closed = close(&manager, &session);
    let login = login.join().unwrap();
    let mut checks = Checks::default();
    checks.is_ok("close", &closed);
    match login {
        Err(error) => checks.holds(NO_ERROR, error.kind() == ErrorKind::Closed, || format!("login: {error}")),
        Ok(()) => {
            // The close is the request's last step, so its answer must contain the login.
            let told = match &closed {
                Ok(Commit::Issue(ticket)) => Some(ticket.value.as_str().to_owned()),
                _ => None,
            };
            let principal = told.and_then(|value| open(&manager, Some(&value)).principal());
            checks.holds(LOGIN_KEPT, principal.is_some(), || {
                format!(
                    "the login was Ok and close answered {closed:?}, but the client has no session that is signed in"
                )
            });
        }
    }
    session.discard();
    checks.0
}

/// Two clones show the messages, and one of them closes the request's session.
fn two_readers_of_a_flash() -> Vec<Broken> {
    let manager = manager();
    let value = stored(&manager, |session| session.flash("notice", "saved"));
    let session = open(&manager, Some(&value));
    let other = session.clone();
    let other = spawn(move || flashes(&other));
    let mine = flashes(&session);
    let closed = close(&manager, &session);
    let other = other.join().unwrap();
    let mut checks = Checks::default();
    checks.is_ok("flashes", &mine);
    checks.is_ok("flashes", &other);
    checks.is_ok("close", &closed);
    let shown = mine.unwrap_or_default().len() + other.unwrap_or_default().len();
    checks.holds(SHOWN_ONCE, shown == 1, || format!("shown {shown} times"));
    checks.is_ok("save", &save(&session));
    let left = flashes(&open(&manager, Some(&value)));
    checks.holds(SHOWN_GONE, left.as_ref().is_ok_and(Vec::is_empty), || format!("still stored: {left:?}"));
    checks.0
}

fn flashes(session: &Session) -> Result<Vec<String>, Error> {
    let shown = session.flashes("notice");
    trace::step(|| format!("flashes: {shown:?}"));
    shown
}
