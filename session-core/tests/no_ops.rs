//! Operations without an effect are not stored.

mod common;

use session_core::{Commit, Manager, Session};

use common::Shelf;

/// Returns a store, its manager, and the id of a stored session with `n: 1`.
fn stored() -> (Shelf, Manager, String) {
    let shelf = Shelf::default();
    let manager = Manager::new(shelf.clone());
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.insert("n", &1).unwrap();
    let Commit::Issue(cookie) = pollster::block_on(manager.close(&session)).unwrap() else { panic!("no cookie") };
    assert_eq!(shelf.writes(), ["create"]);
    (shelf, manager, cookie.value.as_str().to_owned())
}

#[test]
fn a_new_session_that_is_left_empty_is_not_created() {
    let steps: [fn(&Session); 7] = [
        |session| assert!(!session.remove("n").unwrap()),
        |session| session.clear().unwrap(),
        |session| {
            session.insert("n", &1).unwrap();
            session.remove("n").unwrap();
        },
        |session| {
            session.flash("m", "x").unwrap();
            assert_eq!(session.flashes::<String>("m").unwrap(), ["x"]);
        },
        |session| session.set_persistent(false).unwrap(),
        |session| session.set_idle(None).unwrap(),
        |session| session.logout(),
    ];
    for step in steps {
        let shelf = Shelf::default();
        let manager = Manager::new(shelf.clone());
        let session = pollster::block_on(manager.open(None)).unwrap();
        step(&session);
        assert_eq!(pollster::block_on(manager.close(&session)).unwrap(), Commit::Unchanged);
        assert!(shelf.writes().is_empty() && !session.is_modified());
    }
}

#[test]
fn a_stored_session_that_stays_as_it_is_is_touched_and_not_saved() {
    let (shelf, manager, id) = stored();
    let steps: [fn(&Session); 3] = [
        |session| session.insert("n", &1).unwrap(),
        |session| assert!(!session.remove("m").unwrap()),
        |session| {
            session.insert("m", &1).unwrap();
            session.remove("m").unwrap();
        },
    ];
    for step in steps {
        let session = pollster::block_on(manager.open(Some(&id))).unwrap();
        step(&session);
        let commit = pollster::block_on(manager.close(&session)).unwrap();
        assert!(matches!(commit, Commit::Unchanged | Commit::Extended(_)), "{commit:?}");
        assert_eq!(shelf.writes(), ["touch"]);
    }
}

#[test]
fn a_value_that_another_request_has_removed_is_stored_again() {
    let (shelf, manager, id) = stored();
    let [one, other] = [(); 2].map(|()| pollster::block_on(manager.open(Some(&id))).unwrap());
    one.insert("n", &1).unwrap();
    other.remove("n").unwrap();
    let _told = pollster::block_on(other.save()).unwrap();
    let _told = pollster::block_on(one.save()).unwrap();
    assert_eq!(shelf.writes(), ["save", "touch", "save"]);
    let session = pollster::block_on(manager.open(Some(&id))).unwrap();
    assert_eq!(session.get("n").unwrap(), Some(1));
}
