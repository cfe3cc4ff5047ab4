//! Which id opens a session, and when.

use std::sync::{Arc, Mutex};

use session_core::{Commit, ErrorKind, EventKind, Manager, ManagerBuilder, Opened, Session, hours, minutes, seconds};

use crate::common::Shelf;
use crate::rig::{AGE, Rig};

#[test]
fn an_id_is_renewed_when_it_is_old_and_not_before() {
    let rig = Rig::new();
    let old = rig.ann();
    rig.clock.advance(AGE - seconds(1));
    assert_eq!(rig.read(&old), (Opened::Resumed, None));
    assert_eq!(rig.events(), []);
    rig.clock.advance(seconds(1));
    let session = rig.open(&old);
    let new = rig.close(&session).expect("the id is renewed");
    let event = rig.events.lock().unwrap().pop().unwrap();
    assert_eq!(
        (event.kind, event.handle, event.principal),
        (EventKind::Renewed, session.handle(), session.principal())
    );
    assert_ne!(new, old);
    let session = rig.open(&new);
    assert_eq!((session.get("n").unwrap(), session.auth_time()), (Some(1), Some(session.created_at())));
    assert_eq!(rig.shelf.sessions(), 1);

    rig.close(&session);
    rig.clock.advance(AGE - seconds(1));
    assert_eq!(rig.read(&new).1, None, "its age counts from the renewal");
    rig.clock.advance(seconds(1));
    assert!(rig.read(&new).1.is_some());
}

#[test]
fn changes_are_stored_before_the_renewal_and_are_under_the_new_id() {
    let rig = Rig::new();
    let old = rig.ann();
    rig.clock.advance(AGE);
    let session = rig.open(&old);
    session.insert("n", &2).unwrap();
    let new = rig.close(&session).unwrap();
    assert_eq!(rig.open(&new).get("n").unwrap(), Some(2));
}

#[test]
fn a_client_that_lost_the_response_goes_on_and_gets_the_new_id_again() {
    let rig = Rig::new();
    let [old, new] = rig.renewed();
    for _ in 0..10 {
        rig.clock.advance(minutes(50));
        assert_eq!(rig.read(&old), (Opened::Resumed, Some(new.clone())), "no client has the new id yet");
    }
    assert_eq!(rig.events(), []);
    let session = rig.open(&old);
    session.insert("n", &2).unwrap();
    assert_eq!(rig.close(&session), Some(new.clone()));
    assert_eq!(rig.open(&new).get("n").unwrap(), Some(2));
}

#[test]
fn the_old_id_opens_the_session_for_30_s_after_the_new_one_was_seen() {
    let rig = Rig::new();
    let [old, new] = rig.renewed();
    rig.clock.advance(minutes(5));
    assert_eq!(rig.read(&new), (Opened::Resumed, None));
    rig.clock.advance(seconds(29));
    assert_eq!(rig.read(&old), (Opened::Resumed, Some(new.clone())));
    assert_eq!(rig.events(), []);
    rig.clock.advance(seconds(1));
    let stolen = rig.open(&old);
    assert_eq!((stolen.opened(), stolen.principal()), (Opened::Moved, None));
    let event = rig.events.lock().unwrap().pop().unwrap();
    let handle = rig.open(&new).handle();
    assert_eq!((event.kind, event.handle, event.principal.unwrap().as_str()), (EventKind::Reused, handle, "ann"));
    assert_eq!(rig.close(&stolen), None);
    rig.clock.advance(seconds(30));
    assert_eq!(rig.open(&old).opened(), Opened::Unknown);
    assert_eq!(rig.events(), [EventKind::Reused]);
    assert!(rig.opens(&new), "its owner goes on");
}

#[test]
fn a_reused_id_ends_the_session_if_the_policy_says_so() {
    let rig = Rig::with(ManagerBuilder::revoke_reused);
    let [old, new] = rig.renewed();
    rig.read(&new);
    rig.clock.advance(seconds(29));
    assert!(rig.opens(&old));
    rig.clock.advance(seconds(1));
    assert!(!rig.opens(&old));
    assert_eq!(rig.events(), [EventKind::Reused, EventKind::Revoked]);
    assert!(!rig.opens(&new) && !rig.opens(&old));
    assert_eq!(rig.events(), [], "there is no session any more");
}

#[test]
fn after_a_login_reauthentication_or_rotation_the_old_ids_open_nothing() {
    let steps: [fn(&Session); 4] = [
        |session| session.login("ann").unwrap(),
        |session| session.login("bob").unwrap(),
        |session| session.reauthenticate().unwrap(),
        |session| session.rotate().unwrap(),
    ];
    for step in steps {
        for through in [0, 1] {
            let rig = Rig::new();
            let ids = rig.renewed();
            let session = rig.open(&ids[through]);
            step(&session);
            let newest = rig.close(&session).unwrap();
            for id in &ids {
                assert_eq!(rig.open(id).opened(), Opened::Moved);
            }
            rig.clock.advance(AGE - seconds(1));
            assert_eq!(rig.read(&newest), (Opened::Resumed, None), "its age counts from the step");
            assert!(ids.iter().all(|id| rig.open(id).opened() == Opened::Unknown));
            rig.clock.advance(seconds(1));
            assert!(rig.read(&newest).1.is_some());
            assert_eq!(rig.events()[1..], [EventKind::Renewed]);
        }
    }
}

#[test]
fn after_a_logout_neither_id_opens_anything() {
    for through in [0, 1] {
        let rig = Rig::new();
        let ids = rig.renewed();
        let session = rig.open(&ids[through]);
        session.logout();
        assert_eq!(pollster::block_on(rig.manager.close(&session)).unwrap(), Commit::Clear);
        for id in &ids {
            assert_eq!(rig.open(id).opened(), Opened::Ended);
            rig.clock.advance(seconds(5));
        }
        rig.clock.advance(minutes(1));
        assert!(ids.iter().all(|id| rig.open(id).opened() == Opened::Unknown));
        assert_eq!(rig.events(), [EventKind::Logout]);
    }
}

#[test]
fn a_quiet_request_renews_no_id_and_issues_none() {
    let rig = Rig::new();
    let old = rig.ann();
    rig.clock.advance(AGE);
    let quiet = |id: &str| {
        rig.shelf.writes();
        let session = rig.open(id);
        session.keep_expiry();
        assert_eq!((session.opened(), rig.close(&session)), (Opened::Resumed, None));
        assert_eq!(rig.shelf.writes(), [""; 0]);
    };
    quiet(&old);
    let new = rig.read(&old).1.unwrap();
    quiet(&old);
    quiet(&new);
    rig.clock.advance(minutes(1));
    assert_eq!(rig.read(&old), (Opened::Resumed, Some(new)), "no person was seen to have the new id");
    assert_eq!(rig.events(), [EventKind::Renewed]);
}

#[test]
fn a_client_that_keeps_the_old_id_is_not_renewed_again() {
    let rig = Rig::new();
    let [old, new] = rig.renewed();
    for _ in 0..3 {
        rig.clock.advance(AGE);
        assert_eq!(rig.read(&old), (Opened::Resumed, Some(new.clone())));
    }
    assert_eq!(rig.events(), []);
}

#[test]
fn the_applications_check_applies_to_the_old_id_too() {
    let refused = Arc::<Mutex<bool>>::default();
    let refuses = refused.clone();
    let rig = Rig::with(|builder| {
        builder.verify(move |_| {
            let accepted = !*refuses.lock().unwrap();
            async move { Ok::<_, std::io::Error>(accepted) }
        })
    });
    let [old, new] = rig.renewed();
    *refused.lock().unwrap() = true;
    assert_eq!(rig.open(&old).opened(), Opened::Unknown);
    assert_eq!(rig.events(), [EventKind::Revoked]);
    *refused.lock().unwrap() = false;
    assert!(!rig.opens(&old) && !rig.opens(&new));
}

#[test]
fn time_outs_apply_to_the_old_id_too() {
    let rig = Rig::new();
    let [old, _] = rig.renewed();
    rig.clock.advance(hours(1));
    assert_eq!(rig.read(&old), (Opened::Expired, None));
}

#[test]
fn settings_outside_their_range_are_refused() {
    let builder = || Manager::builder(Shelf::default());
    let message = |builder: ManagerBuilder| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        error.to_string()
    };
    let short = message(builder().renew_id_every(seconds(59)));
    assert!(short.contains("`renew_id_every` (59 seconds) is below 1 minute"), "{short}");
    let long = message(builder().renew_id_every(hours(25)));
    assert!(long.contains("`renew_id_every` (25 hours) exceeds the longest absolute time-out (1 day)"), "{long}");
    assert!(message(builder().revoke_reused()).contains("`renew_id_every`"));
    assert!(builder().renew_id_every(minutes(1)).build().is_ok());
    assert!(builder().renew_id_every(hours(25)).max_absolute(hours(48)).build().is_ok());
}
