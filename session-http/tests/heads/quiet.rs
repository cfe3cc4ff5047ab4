//! Requests that no person sees: `HEAD`, prefetches, and those that ask for it.

use session_core::{Commit, Opened, Session, minutes};
use session_crypto::KeyRing;
use session_http::CookieOptions;

use crate::rig::{Head, Rig};

fn prefetch() -> Head {
    Head::get(&[("sec-purpose", "prefetch;prerender")])
}

fn quiet_heads() -> [Head; 4] {
    [Head::of("HEAD", &[]), prefetch(), Head::get(&[("purpose", "prefetch")]), Head::get(&[("x-moz", "prefetch")])]
}

#[test]
fn a_quiet_request_moves_no_expiry() {
    for head in quiet_heads() {
        let rig = Rig::new(CookieOptions::new());
        let cookie = rig.stored(|session| session.insert("n", &1).unwrap());
        for _ in 0..2 {
            rig.clock.advance(minutes(25));
            let report = rig.request(head.clone().cookies(&cookie), |session| {
                assert_eq!(session.opened(), Opened::Resumed);
            });
            assert!(report.set_cookie.is_empty());
        }
        rig.clock.advance(minutes(10));
        let report = rig.request(Head::get(&[]).cookies(&cookie), |session| {
            assert_eq!(session.opened(), Opened::Unknown, "an hour has passed since the session was used");
        });
        assert!(report.error.is_none());
    }
}

#[test]
fn a_request_of_a_person_moves_it() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored(|session| session.insert("n", &1).unwrap());
    for _ in 0..4 {
        rig.clock.advance(minutes(25));
        rig.request(Head::get(&[]).cookies(&cookie), |session| assert_eq!(session.opened(), Opened::Resumed));
    }
}

#[test]
fn keep_expiry_is_the_same_for_any_request() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored(|session| session.insert("n", &1).unwrap());
    for opened in [Opened::Resumed, Opened::Resumed, Opened::Unknown] {
        rig.clock.advance(minutes(25));
        rig.request(Head::get(&[]).cookies(&cookie), |session| {
            session.keep_expiry();
            assert_eq!(session.opened(), opened);
        });
    }
}

#[test]
fn head_shows_flash_messages_and_takes_none_and_a_prefetch_shows_none() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored(|session| session.flash("notice", "saved").unwrap());
    let shown = |head: Head| {
        let mut shown = Vec::new();
        let read = |session: &Session| shown = session.flashes::<String>("notice").unwrap();
        rig.request(head.cookies(&cookie), read);
        shown
    };
    assert_eq!(shown(Head::of("HEAD", &[])), ["saved"]);
    assert!(shown(prefetch()).is_empty());
    assert_eq!(shown(Head::get(&[])), ["saved"], "neither has taken it");
    assert!(shown(Head::get(&[])).is_empty());
}

#[test]
fn a_quiet_request_renews_no_cookie() {
    let ring = |keys: &[u8]| {
        let secret = |n: &u8| (*n..n + 32).collect::<Vec<u8>>();
        let first = KeyRing::new(&secret(&keys[0])).unwrap();
        keys[1..].iter().fold(first, |ring, key| ring.and(&secret(key)).unwrap())
    };
    let old = Rig::new(CookieOptions::new().signed(&ring(&[1])));
    let cookie = old.stored(|session| session.insert("n", &1).unwrap());
    let new = old.with(CookieOptions::new().signed(&ring(&[2, 1])));
    for head in quiet_heads() {
        assert!(new.request(head.cookies(&cookie), |_| ()).set_cookie.is_empty());
    }
    assert_eq!(new.request(Head::get(&[]).cookies(&cookie), |_| ()).set_cookie.len(), 1);
}

#[test]
fn a_quiet_request_that_writes_is_stored() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored(|session| session.insert("n", &1).unwrap());
    rig.request(Head::of("HEAD", &[]).cookies(&cookie), |session| session.insert("n", &2).unwrap());
    rig.request(Head::get(&[]).cookies(&cookie), |session| assert_eq!(session.get("n").unwrap(), Some(2)));
    let saved = pollster::block_on(async {
        let (_exchange, session) = rig.open(prefetch().cookies(&cookie)).await;
        session.insert("n", &3).unwrap();
        session.save().await.unwrap()
    });
    assert!(matches!(saved, Commit::Unchanged | Commit::Extended(_)));
}
