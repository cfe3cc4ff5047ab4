//! Requests beside a renewal, and stores that fail.

use session_core::{
    Capabilities, Commit, ConflictPolicy, ErrorKind, EventKind, Excess, Manager, Opened, Session, minutes, seconds,
};

use crate::common::Shelf;
use crate::rig::{AGE, Rig, issued};

#[test]
fn two_tabs_that_send_the_old_id_get_one_new_id() {
    let rig = Rig::new();
    let old = rig.ann();
    rig.clock.advance(AGE);
    let [one, other] = [rig.open(&old), rig.open(&old)];
    let new = rig.close(&one).unwrap();
    assert_eq!(rig.close(&other), Some(new));
    assert_eq!(rig.events(), [EventKind::Renewed]);
    assert_eq!(rig.shelf.sessions(), 1);
}

#[test]
fn a_logout_beside_a_renewal_ends_the_session_under_its_new_id() {
    let rig = Rig::new();
    let old = rig.ann();
    rig.clock.advance(AGE);
    let [page, logout] = [rig.open(&old), rig.open(&old)];
    let new = rig.close(&page).unwrap();
    logout.logout();
    rig.close(&logout);
    assert!(!rig.opens(&new) && !rig.opens(&old));
}

#[test]
fn a_revocation_ends_the_session_under_both_ids() {
    let rig = Rig::new();
    let revocations: [&dyn Fn(&Session); 2] = [
        &|_| assert_eq!(pollster::block_on(rig.manager.revoke_all("ann")).unwrap(), 1),
        // The handle may come from a list that was shown before the renewal.
        &|before| assert!(pollster::block_on(rig.manager.revoke("ann", &before.handle().unwrap())).unwrap()),
    ];
    for revoke in revocations {
        let old = rig.ann();
        let before = rig.open(&old);
        rig.clock.advance(AGE);
        let new = rig.read(&old).1.unwrap();
        revoke(&before);
        assert_eq!([rig.open(&old).opened(), rig.open(&new).opened()], [Opened::Unknown; 2]);
    }
}

#[test]
fn a_request_that_revokes_the_others_keeps_its_own_session_after_a_renewal() {
    let rig = Rig::new();
    let (old, other) = (rig.ann(), rig.ann());
    rig.clock.advance(AGE);
    let session = rig.open(&old);
    let new = rig.read(&old).1.unwrap();
    assert_eq!(pollster::block_on(session.revoke_others()).unwrap(), 1);
    assert!(rig.opens(&new) && !rig.opens(&other));
    assert_eq!(rig.close(&session), Some(new));
}

#[test]
fn a_renewal_that_fails_sets_no_cookie_and_loses_nothing() {
    for call in ["create", "save"] {
        let rig = Rig::new();
        let old = rig.ann();
        rig.clock.advance(AGE);
        rig.shelf.fail(&[call]);
        let session = rig.open(&old);
        assert_eq!(rig.close(&session), None, "{call}");
        let handle = session.handle();
        drop(session);
        let list = pollster::block_on(rig.manager.sessions_of("ann", None)).unwrap();
        assert_eq!(list.iter().map(|info| Some(info.handle)).collect::<Vec<_>>(), [handle], "{call}");
        rig.shelf.fail(&[]);
        assert!(rig.opens(&old));
        assert_eq!(rig.events(), [], "no change was dropped");
        let new = rig.read(&old).1.expect("the next request renews it");
        assert_eq!(rig.open(&new).get("n").unwrap(), Some(1));
    }
}

#[test]
fn a_response_to_the_old_id_is_no_error_if_the_new_one_cannot_be_confirmed() {
    let rig = Rig::new();
    let [old, new] = rig.renewed();
    rig.clock.advance(minutes(1));
    rig.shelf.fail(&["touch"]);
    assert_eq!(rig.read(&old), (Opened::Resumed, None));
    rig.shelf.fail(&[]);
    assert_eq!(rig.read(&old), (Opened::Resumed, Some(new)));
}

#[test]
fn a_request_in_flight_follows_the_renewal_under_every_policy_for_conflicts() {
    for policy in [ConflictPolicy::Replay, ConflictPolicy::Reject, ConflictPolicy::Overwrite] {
        for shared in [false, true] {
            let rig = Rig::with(|builder| builder.conflicts(policy));
            let rig = if shared { shared_rig(&rig, policy) } else { rig };
            let old = rig.ann();
            rig.clock.advance(AGE);
            let [one, late] = [rig.open(&old), rig.open(&old)];
            let new = rig.close(&one).unwrap();
            rig.read(&new);
            rig.clock.advance(minutes(2));
            late.update("n", |n: &mut u32| *n += 1).unwrap();
            assert_eq!(rig.close(&late), Some(new.clone()), "{policy:?}");
            assert_eq!(rig.open(&new).get("n").unwrap(), Some(2), "{policy:?}");
            assert_eq!(rig.events(), [EventKind::Renewed], "an open session is no reused id");
        }
    }
}

/// The same store, to which other processes may write.
fn shared_rig(rig: &Rig, policy: ConflictPolicy) -> Rig {
    let shelf = Shelf::that_can(Capabilities::new().shared(true).by_principal(true));
    let kept = rig.events.clone();
    let builder = Manager::builder(shelf.clone()).clock(rig.clock.clone()).renew_id_every(AGE).conflicts(policy);
    let builder = builder.on_event(move |event| kept.lock().unwrap().push(event.clone()));
    Rig { clock: rig.clock.clone(), shelf, manager: builder.build().unwrap(), events: rig.events.clone() }
}

#[test]
fn a_change_of_another_request_is_still_a_conflict_after_a_renewal() {
    let rig = Rig::with(|builder| builder.conflicts(ConflictPolicy::Reject));
    let old = rig.ann();
    rig.clock.advance(AGE);
    let [one, late] = [rig.open(&old), rig.open(&old)];
    one.insert("m", &1).unwrap();
    rig.close(&one).unwrap();
    late.insert("n", &2).unwrap();
    assert_eq!(pollster::block_on(rig.manager.close(&late)).unwrap_err().kind(), ErrorKind::Conflict);
    late.discard();
}

#[test]
fn a_login_reload_or_touch_in_flight_follows_the_renewal() {
    let rig = Rig::new();
    let old = rig.ann();
    rig.clock.advance(AGE);
    let [login, reload, touch] = [(); 3].map(|()| rig.open(&old));
    let new = rig.read(&old).1.unwrap();
    rig.clock.advance(minutes(10));
    pollster::block_on(reload.reload()).unwrap();
    assert_eq!(reload.handle(), rig.open(&new).handle());
    let expires_at = rig.open(&new).expires_at();
    rig.shelf.writes();
    pollster::block_on(touch.touch()).unwrap();
    assert!(rig.open(&new).expires_at() > expires_at);
    login.reauthenticate().unwrap();
    let newest = rig.close(&login).unwrap();
    assert_eq!(rig.open(&newest).get("n").unwrap(), Some(1));
    assert!(!rig.opens(&new) && !rig.opens(&old));
}

#[test]
fn an_id_that_is_two_renewals_old_opens_nothing() {
    let rig = Rig::new();
    let oldest = rig.ann();
    let long = rig.open(&oldest);
    long.insert("n", &3).unwrap();
    rig.clock.advance(AGE);
    let old = rig.read(&oldest).1.unwrap();
    rig.clock.advance(AGE);
    assert_eq!(rig.read(&old).1, None, "the first use only notes that the new id was seen");
    rig.clock.advance(seconds(30));
    let new = rig.read(&old).1.unwrap();
    assert_eq!(rig.shelf.len(), 3, "both old ids have a tombstone");
    rig.clock.advance(seconds(1));
    assert_eq!(rig.read(&oldest), (Opened::Unknown, None));
    assert_eq!(rig.read(&old), (Opened::Resumed, Some(new)));
    assert_eq!(pollster::block_on(rig.manager.close(&long)).unwrap_err().kind(), ErrorKind::Gone);
    assert_eq!(rig.events(), [EventKind::Renewed, EventKind::Renewed, EventKind::Dropped]);
}

/// Renews the id of the session twice, the second time after the first new id was seen. Returns the newest id.
fn renewed_twice(rig: &Rig, oldest: &str) -> String {
    rig.clock.advance(AGE);
    let old = rig.read(oldest).1.unwrap();
    rig.clock.advance(AGE);
    assert_eq!(rig.read(&old).1, None, "the first use only notes that the new id was seen");
    rig.clock.advance(seconds(30));
    rig.read(&old).1.unwrap()
}

#[test]
fn a_logout_or_a_revocation_through_an_id_two_renewals_old_ends_the_session() {
    for by_logout in [true, false] {
        let rig = Rig::new();
        let oldest = rig.ann();
        let long = rig.open(&oldest);
        let new = renewed_twice(&rig, &oldest);
        rig.clock.advance(minutes(59));
        assert!(rig.opens(&new));
        if by_logout {
            long.logout();
            rig.close(&long);
        } else {
            assert!(pollster::block_on(rig.manager.revoke("ann", &long.handle().unwrap())).unwrap());
        }
        assert!(!rig.opens(&new), "by logout: {by_logout}");
    }
}

#[test]
fn a_page_made_before_a_renewal_signs_its_own_session_out() {
    let rig = Rig::new();
    let old = rig.ann();
    let listed = rig.open(&old).handle().unwrap();
    rig.clock.advance(AGE);
    let new = rig.read(&old).1.unwrap();
    let own = rig.open(&new);
    assert!(pollster::block_on(own.revoke(&listed)).unwrap());
    assert!(matches!(pollster::block_on(rig.manager.close(&own)).unwrap(), Commit::Clear));
    assert!(!rig.opens(&new) && !rig.opens(&old));
}

#[test]
fn a_login_beside_a_renewal_is_not_one_session_too_many() {
    let rig = Rig::with(|builder| builder.max_sessions(1, Excess::Refuse));
    let old = rig.ann();
    rig.clock.advance(AGE);
    let login = rig.open(&old);
    let renewed = rig.read(&old).1.unwrap();
    login.login("ann").unwrap();
    let new = rig.close(&login).unwrap();
    assert!(rig.opens(&new) && !rig.opens(&renewed));
}

#[test]
fn without_the_policy_nothing_is_renewed_and_no_record_notes_an_age() {
    let rig = Rig::new();
    let plain = Manager::builder(rig.shelf.clone()).clock(rig.clock.clone()).build().unwrap();
    let old = rig.ann();
    rig.clock.advance(minutes(50));
    let session = pollster::block_on(plain.open(Some(&old))).unwrap();
    session.rotate().unwrap();
    assert!(issued(pollster::block_on(plain.close(&session)).unwrap()).is_some());
    let envelope = String::from_utf8(rig.shelf.envelope().to_vec()).unwrap();
    assert!(!envelope.contains("\"i\""), "{envelope}");
    // A process without the policy follows the renewals of one that has it.
    let [old, new] = rig.renewed();
    let session = pollster::block_on(plain.open(Some(&old))).unwrap();
    assert_eq!(issued(pollster::block_on(plain.close(&session)).unwrap()), Some(new));
}

#[test]
fn a_change_whose_outcome_cannot_be_found_out_is_not_applied_again_after_a_renewal() {
    let rig = Rig::new();
    let old = rig.ann();
    let unclear = rig.open(&old);
    unclear.update("n", |n: &mut u32| *n += 1).unwrap();
    rig.shelf.fail(&["lost save", "load"]);
    assert_eq!(pollster::block_on(unclear.save()).unwrap_err().kind(), ErrorKind::Unavailable);
    rig.shelf.fail(&[]);
    for n in 0..8 {
        let session = rig.open(&old);
        session.insert("m", &n).unwrap();
        rig.close(&session);
    }
    rig.clock.advance(AGE);
    let new = rig.read(&old).1.unwrap();
    assert_eq!(pollster::block_on(unclear.save()).unwrap_err().kind(), ErrorKind::Unavailable);
    unclear.discard();
    assert_eq!(rig.open(&new).get("n").unwrap(), Some(2), "it was stored, and the trail is too short to tell");
}
