//! Changes that are dropped with their request: a task that outlives it is told.

use pollster::block_on;
use session_core::{Commit, ErrorKind, Manager, Session};

mod common;

use common::Shelf;

/// Returns a manager, and a session that was stored before.
fn resumed() -> (Manager, Session) {
    let manager = Manager::new(Shelf::default());
    let session = block_on(manager.open(None)).unwrap();
    session.insert("n", &1).unwrap();
    let Commit::Issue(update) = block_on(manager.close(&session)).unwrap() else { panic!("it is new") };
    let session = block_on(manager.open(Some(update.value.as_str()))).unwrap();
    (manager, session)
}

fn save(session: &Session) -> Option<ErrorKind> {
    block_on(session.save()).err().map(|error| error.kind())
}

#[test]
fn a_save_after_the_request_was_abandoned_reports_dropped_changes() {
    let (_manager, session) = resumed();
    session.insert("n", &2).unwrap();
    session.abandon();
    for _ in 0..2 {
        assert_eq!(save(&session), Some(ErrorKind::Gone));
    }
    // A change that may build on a dropped one is dropped as well.
    session.insert("m", &2).unwrap();
    assert_eq!(save(&session.clone()), Some(ErrorKind::Gone));
    session.discard();
    assert_eq!(save(&session), None);
    assert_eq!(session.keys(), ["n"]);
    assert_eq!(session.get::<u32>("n").unwrap(), Some(1));
}

#[test]
fn a_dropped_rotation_counts_as_a_change() {
    let (_manager, session) = resumed();
    session.rotate().unwrap();
    session.abandon();
    assert_eq!(save(&session), Some(ErrorKind::Gone));
    block_on(session.reload()).unwrap();
    assert_eq!(save(&session), None);
}

#[test]
fn changes_after_a_discard_or_after_an_empty_request_are_stored() {
    for changed in [true, false] {
        let (_manager, session) = resumed();
        if changed {
            session.insert("n", &2).unwrap();
        }
        session.abandon();
        if changed {
            session.discard();
        }
        session.insert("later", &3).unwrap();
        assert_eq!(save(&session), None);
        block_on(session.reload()).unwrap();
        assert_eq!(session.keys(), ["later", "n"]);
    }
}

#[test]
fn closing_an_abandoned_session_reports_nothing_and_ends_what_was_logged_out() {
    let (manager, session) = resumed();
    session.insert("n", &2).unwrap();
    session.abandon();
    session.insert("m", &2).unwrap();
    assert_eq!(block_on(manager.close(&session)).unwrap(), Commit::Unchanged);
    assert_eq!(save(&session), Some(ErrorKind::Gone), "a clone is still told");
    session.logout();
    session.abandon();
    assert_eq!(block_on(manager.close(&session)).unwrap(), Commit::Clear);
}

#[test]
fn an_abandoned_session_gets_no_new_id() {
    let (_manager, session) = resumed();
    session.abandon();
    assert_eq!(session.login("ann").unwrap_err().kind(), ErrorKind::Closed);
    assert_eq!(session.rotate().unwrap_err().kind(), ErrorKind::Closed);
}
