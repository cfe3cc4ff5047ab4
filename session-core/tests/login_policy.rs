//! Time-outs and persistence of a session after a login.

mod common;

use session_core::{Commit, Manager, Session, days, hours};

use common::Shelf;

fn manager() -> Manager {
    Manager::builder(Shelf::default()).idle(hours(1)).max_idle(days(30)).absolute(days(90)).build().unwrap()
}

fn open(manager: &Manager, id: Option<&str>) -> Session {
    pollster::block_on(manager.open(id)).unwrap()
}

/// Closes the session and returns its id.
fn close(manager: &Manager, session: &Session) -> String {
    match pollster::block_on(manager.close(session)).unwrap() {
        Commit::Issue(cookie) => cookie.value.as_str().to_owned(),
        other => panic!("no cookie: {other:?}"),
    }
}

/// Stores a guest's persistent session with an idle time-out of 30 days, and returns its id.
fn guest(manager: &Manager) -> String {
    let session = open(manager, None);
    session.set_idle(Some(days(30))).unwrap();
    session.set_persistent(true).unwrap();
    session.insert("basket", &1).unwrap();
    close(manager, &session)
}

fn idle(manager: &Manager, session: &Session) -> std::time::Duration {
    session.expires_at().since(manager.now())
}

#[test]
fn what_a_guest_has_chosen_does_not_rule_the_accounts_session() {
    let manager = manager();
    let session = open(&manager, Some(&guest(&manager)));
    assert!(session.is_persistent());
    session.login("ann").unwrap();
    assert!(!session.is_persistent());
    let id = close(&manager, &session);
    let session = open(&manager, Some(&id));
    assert!(!session.is_persistent() && idle(&manager, &session) <= hours(1));
    assert_eq!(session.get("basket").unwrap(), Some(1));
}

#[test]
fn a_login_of_the_same_principal_begins_with_the_managers_settings_too() {
    let manager = manager();
    let session = open(&manager, None);
    session.set_persistent(true).unwrap();
    session.login("ann").unwrap();
    let session = open(&manager, Some(&close(&manager, &session)));
    assert!(session.is_persistent());
    session.reauthenticate().unwrap();
    session.rotate().unwrap();
    assert!(session.is_persistent());
    session.login("ann").unwrap();
    assert!(!session.is_persistent());
    session.discard();
}

#[test]
fn what_the_request_of_the_login_sets_is_kept_before_and_after_it() {
    for (before, saved) in [(true, false), (true, true), (false, false)] {
        let manager = manager();
        let session = open(&manager, Some(&guest(&manager)));
        let choose = || {
            session.set_idle(Some(days(7))).unwrap();
            session.set_persistent(true).unwrap();
        };
        if before {
            choose();
        }
        if saved {
            let _told = pollster::block_on(session.save()).unwrap();
        }
        session.login("ann").unwrap();
        if !before {
            choose();
        }
        let session = open(&manager, Some(&close(&manager, &session)));
        assert!(session.is_persistent() && idle(&manager, &session) > days(6), "before {before}, saved {saved}");
    }
}

#[test]
fn a_logout_ends_what_was_chosen_before_it() {
    let manager = manager();
    let session = open(&manager, None);
    session.set_persistent(true).unwrap();
    session.logout();
    session.login("ann").unwrap();
    assert!(!session.is_persistent());
    session.discard();
}
