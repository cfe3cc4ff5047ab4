//! The application's check of sessions that are opened.

mod common;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use session_core::{Commit, ErrorKind, Manager, Opened, Session, SessionInfo};

use common::Shelf;

/// Accounts by what the check answers.
#[derive(Clone, Default)]
struct Accounts {
    disabled: Arc<Mutex<HashSet<String>>>,
    /// Set while the table of accounts cannot be read.
    down: Arc<Mutex<bool>>,
    asked: Arc<Mutex<Vec<SessionInfo>>>,
}

impl Accounts {
    fn check(&self, info: SessionInfo) -> Result<bool, String> {
        let who = info.principal.as_ref().unwrap().to_string();
        self.asked.lock().unwrap().push(info);
        if *self.down.lock().unwrap() {
            return Err("postgres://me:secret@db is down".into());
        }
        Ok(!self.disabled.lock().unwrap().contains(&who))
    }

    fn disable(&self, who: &str) {
        self.disabled.lock().unwrap().insert(who.into());
    }

    fn asked(&self) -> usize {
        std::mem::take(&mut *self.asked.lock().unwrap()).len()
    }
}

fn rig() -> (Accounts, Shelf, Manager) {
    let (accounts, shelf) = (Accounts::default(), Shelf::default());
    let table = accounts.clone();
    let builder = Manager::builder(shelf.clone()).verify(move |info| std::future::ready(table.check(info)));
    (accounts, shelf, builder.build().unwrap())
}

fn open(manager: &Manager, id: Option<&str>) -> session_core::Result<Session> {
    pollster::block_on(manager.open(id))
}

fn close(manager: &Manager, session: &Session) -> Commit {
    pollster::block_on(manager.close(session)).unwrap()
}

/// Stores a session of `who`, or of a guest, and returns its id.
fn store(manager: &Manager, who: &str) -> String {
    let session = open(manager, None).unwrap();
    session.insert("n", &1).unwrap();
    if !who.is_empty() {
        session.login(who).unwrap();
    }
    match close(manager, &session) {
        Commit::Issue(cookie) => cookie.value.as_str().to_owned(),
        other => panic!("no cookie: {other:?}"),
    }
}

#[test]
fn a_session_that_is_refused_has_ended_for_every_request() {
    let (accounts, shelf, manager) = rig();
    let (ann, bob) = (store(&manager, "ann"), store(&manager, "bob"));
    let in_flight = open(&manager, Some(&ann)).unwrap();
    accounts.disable("ann");
    let refused = open(&manager, Some(&ann)).unwrap();
    assert_eq!((refused.opened(), refused.principal(), refused.get::<u8>("n").unwrap()), (Opened::Unknown, None, None));
    assert_eq!(shelf.sessions(), 1);
    in_flight.insert("n", &2).unwrap();
    assert_eq!(pollster::block_on(in_flight.save()).unwrap_err().kind(), ErrorKind::Gone);
    assert_eq!(open(&manager, Some(&bob)).unwrap().opened(), Opened::Resumed);
    // It writes nothing, so the client keeps its cookie, as after any revocation.
    assert_eq!(close(&manager, &refused), Commit::Unchanged);
}

#[test]
fn each_opening_of_a_signed_in_session_is_checked_and_nothing_else() {
    let (accounts, _, manager) = rig();
    let (ann, guest) = (store(&manager, "ann"), store(&manager, ""));
    assert_eq!(accounts.asked(), 0, "a login is not checked");
    open(&manager, Some(&guest)).unwrap();
    open(&manager, None).unwrap();
    assert_eq!(accounts.asked(), 0);
    let session = open(&manager, Some(&ann)).unwrap();
    {
        let asked = accounts.asked.lock().unwrap();
        assert_eq!(Some(asked[0].handle), session.handle());
        assert!(asked[0].current && asked[0].auth_time == session.auth_time());
    }
    pollster::block_on(session.reload()).unwrap();
    assert_eq!(accounts.asked(), 2);
    accounts.disable("ann");
    assert_eq!(pollster::block_on(session.reload()).unwrap_err().kind(), ErrorKind::Gone);
}

#[test]
fn a_check_that_fails_opens_nothing_and_ends_nothing() {
    let (accounts, shelf, manager) = rig();
    let ann = store(&manager, "ann");
    *accounts.down.lock().unwrap() = true;
    let error = open(&manager, Some(&ann)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    assert_eq!(shelf.sessions(), 1);
    *accounts.down.lock().unwrap() = false;
    assert_eq!(open(&manager, Some(&ann)).unwrap().opened(), Opened::Resumed);
}

#[test]
fn a_session_that_is_saved_during_its_check_is_checked_again() {
    let shelf = Shelf::default();
    let others = Manager::new(shelf.clone());
    let ann = store(&others, "ann");
    // While the first check waits, another request saves the session. So there is a second check.
    let (id, checks) = (ann.clone(), Arc::new(Mutex::new(0)));
    let count = checks.clone();
    let builder = Manager::builder(shelf.clone()).verify(move |_| {
        let mut count = count.lock().unwrap();
        *count += 1;
        if *count == 1 {
            let session = open(&others, Some(&id)).unwrap();
            session.insert("n", &2).unwrap();
            let _told = pollster::block_on(session.save()).unwrap();
        }
        std::future::ready(Ok::<bool, String>(false))
    });
    let refused = open(&builder.build().unwrap(), Some(&ann)).unwrap();
    assert_eq!((refused.opened(), *checks.lock().unwrap(), shelf.sessions()), (Opened::Unknown, 2, 0));
}
