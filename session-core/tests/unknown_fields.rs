//! Envelope fields of a later release that this release does not know.

mod common;

use session_core::{Commit, Manager, Session};

use common::Shelf;

/// Opens a session whose record has an unknown field `zz`, runs `step`, saves, and returns the stored data.
fn stored_after(step: impl Fn(&Session)) -> String {
    let shelf = Shelf::default();
    let manager = Manager::new(shelf.clone());
    let session = pollster::block_on(manager.open(None)).unwrap();
    session.login("ann").unwrap();
    let Commit::Issue(ticket) = pollster::block_on(manager.close(&session)).unwrap() else { panic!("no cookie") };
    let at = session.auth_time().unwrap().as_millis();
    shelf.replace(format!(r#"{{"v":{{"n":1}},"a":{at},"zz":[1]}}"#).leak().as_bytes());
    let session = pollster::block_on(manager.open(Some(ticket.value.as_str()))).unwrap();
    step(&session);
    pollster::block_on(manager.close(&session)).map(drop).unwrap();
    String::from_utf8(shelf.envelope().to_vec()).unwrap()
}

#[test]
fn a_save_a_rotation_and_a_reauthentication_keep_them() {
    let steps: [fn(&Session); 3] = [
        |session| session.insert("m", &2).unwrap(),
        |session| session.rotate().unwrap(),
        |session| session.reauthenticate().unwrap(),
    ];
    for step in steps {
        let data = stored_after(step);
        assert!(data.contains(r#","zz":[1]"#), "{data}");
    }
}

#[test]
fn a_login_drops_them() {
    for principal in ["ann", "bob"] {
        let data = stored_after(|session| session.login(principal).unwrap());
        assert!(!data.contains("zz"), "{data}");
    }
}
