//! Closures of updates that hold a session: dropping one uses the session, so it must happen without a lock.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use pollster::block_on;
use session_core::{Commit, Manager, Session};

mod common;

use common::Shelf;

/// Uses its session when it is dropped.
struct LastUse(Session);

impl Drop for LastUse {
    fn drop(&mut self) {
        self.0.is_modified();
    }
}

/// Logs an update whose closure uses the session when it is dropped, runs `end`, and fails if that does not return.
fn check(name: &str, end: fn(&Manager, &Session)) {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let manager = Manager::new(Shelf::default());
        let session = block_on(manager.open(None)).unwrap();
        session.insert("n", &1).unwrap();
        let Commit::Issue(update) = block_on(manager.close(&session)).unwrap() else { panic!("it is new") };
        let session = block_on(manager.open(Some(update.value.as_str()))).unwrap();
        let last = LastUse(session.clone());
        let kept = move |n: &mut u64| {
            let _ = &last;
            *n += 1;
        };
        session.update("n", kept).unwrap();
        end(&manager, &session);
        session.discard();
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(20)).unwrap_or_else(|_| panic!("{name} drops a closure under the lock"));
}

#[test]
fn closures_are_dropped_without_a_lock() {
    check("discard", |_, session| session.discard());
    check("abandon", |_, session| session.abandon());
    check("logout", |_, session| session.logout());
    check("insert", |_, session| session.insert("n", &2).unwrap());
    check("clear", |_, session| session.clear().unwrap());
    check("login", |_, session| session.login("ann").unwrap());
    check("save", |_, session| drop(block_on(session.save()).unwrap()));
    check("reload", |_, session| block_on(session.reload()).unwrap());
    check("close", |manager, session| drop(block_on(manager.close(session)).unwrap()));
}

#[test]
fn closures_of_a_session_that_is_gone_are_dropped_without_a_lock() {
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        let shelf = Shelf::default();
        let manager = Manager::new(shelf.clone());
        let session = block_on(manager.open(None)).unwrap();
        session.insert("n", &1).unwrap();
        let _issued = block_on(manager.close(&session)).unwrap();
        let last = LastUse(session.clone());
        session.update("n", move |n: &mut u64| *n += u64::from(last.0.is_new())).unwrap();
        shelf.empty();
        assert!(block_on(session.save()).is_err());
        done.send(()).unwrap();
    });
    is_done.recv_timeout(Duration::from_secs(20)).expect("a commit that finds its session gone drops closures");
}
