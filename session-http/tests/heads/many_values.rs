//! Many values under one cookie name, as a neighbouring host can plant them.

use session_core::{Opened, SessionId};
use session_crypto::KeyRing;
use session_http::CookieOptions;

use crate::rig::{Head, Rig, events};

fn unknown(count: usize) -> String {
    (0..count).map(|_| format!("id={}; ", SessionId::random().encode())).collect()
}

#[test]
fn unknown_ids_before_the_owners_do_not_hide_it_and_cost_a_bounded_number_of_calls() {
    let rig = Rig::new(CookieOptions::new().name("id"));
    let ours = rig.stored(|session| session.insert("n", &1).unwrap());
    for before in [0, 3, 4, 5, 12, 15] {
        rig.loads();
        let cookies = unknown(before) + &ours;
        rig.request(Head::get(&[]).cookies(&cookies), |session| {
            assert_eq!(session.opened(), Opened::Resumed, "{before}")
        });
        assert_eq!(rig.loads(), before + 1);
    }
    let said = events(|| {
        rig.loads();
        let cookies = unknown(200) + &ours;
        rig.request(Head::get(&[]).cookies(&cookies), |session| assert_eq!(session.opened(), Opened::Unknown));
        assert_eq!(rig.loads(), 16);
    });
    assert_eq!(said.matches("very many values").count(), 1, "{said}");
}

#[test]
fn forged_signatures_before_the_owners_cost_no_call() {
    let ring = KeyRing::new(&(0..32).collect::<Vec<u8>>()).unwrap();
    let rig = Rig::new(CookieOptions::new().name("id").signed(&ring));
    let ours = rig.stored(|session| session.insert("n", &1).unwrap());
    let signature = ours.split_once('.').unwrap().1;
    let forged = |count: usize| {
        (0..count).map(|_| format!("id={}.{signature}; ", SessionId::random().encode())).collect::<String>()
    };
    rig.loads();
    rig.request(Head::get(&[]).cookies(&(forged(63) + &ours)), |session| assert_eq!(session.opened(), Opened::Resumed));
    assert_eq!(rig.loads(), 1);
    let said = events(|| {
        rig.request(Head::get(&[]).cookies(&(forged(64) + &ours)), |session| {
            assert_eq!(session.opened(), Opened::Undecodable);
        });
    });
    assert_eq!(said.matches("very many values").count(), 1, "{said}");
    assert_eq!(rig.loads(), 0);
}
