//! Signed ids: an id whose signature does not verify is never looked up.

mod counting;

use counting::Counting;
use pollster::block_on;
use session_core::{Manager, Opened, Session, SessionId};
use session_crypto::KeyRing;
use session_http::{CommitReport, CookieOptions, SessionSet};

/// One store, shared by applications with different cookie options.
struct Rig(Counting);

impl Rig {
    fn new() -> Self {
        Self(Counting::default())
    }

    fn request(&self, options: CookieOptions, cookies: &str, act: impl FnOnce(&Session)) -> CommitReport {
        let set = SessionSet::new(Manager::new(self.0.clone()), options).unwrap();
        block_on(async {
            let exchange = set.begin();
            act(&exchange.open_first([cookies.as_bytes()]).await.unwrap());
            exchange.commit().await
        })
    }

    fn begun(&self, options: CookieOptions) -> String {
        pair(&self.request(options, "", |session| session.insert("n", &1).unwrap()))
    }

    fn loads(&self) -> usize {
        self.0.loads()
    }
}

fn pair(committed: &CommitReport) -> String {
    assert!(committed.error.is_none(), "{:?}", committed.error);
    committed.set_cookie[0].pair().to_owned()
}

fn signed(keys: &[u8]) -> CookieOptions {
    let secret = |n: u8| (n..n + 32).collect::<Vec<u8>>();
    let ring = KeyRing::new(&secret(keys[0])).unwrap();
    CookieOptions::new().signed(&keys[1..].iter().fold(ring, |ring, n| ring.and(&secret(*n)).unwrap()))
}

#[test]
fn a_signed_id_opens_its_session() {
    let rig = Rig::new();
    let cookie = rig.begun(signed(&[1]));
    let (id, signature) = cookie.strip_prefix("__Host-id=").unwrap().split_once('.').unwrap();
    assert!(SessionId::parse(id).is_some());
    assert_eq!(signature.len(), 50);
    let committed = rig.request(signed(&[1]), &cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
    assert!(committed.set_cookie.is_empty());
    assert_eq!(rig.loads(), 1);
}

#[test]
fn what_does_not_verify_costs_no_round_trip() {
    let rig = Rig::new();
    let cookie = rig.begun(signed(&[1]));
    let id = cookie.split(['=', '.']).nth(1).unwrap();
    let strangers = rig.begun(signed(&[9]));
    let unsigned = format!("__Host-id={id}");
    let other = format!("__Host-id={}.{}", SessionId::random().encode(), cookie.split_once('.').unwrap().1);
    rig.loads();
    for cookie in [&strangers, &unsigned, &other, &format!("{unsigned}."), &cookie[..cookie.len() - 1].to_owned()] {
        rig.request(signed(&[1]), cookie, |session| {
            assert_eq!(session.opened(), Opened::Undecodable);
            assert!(session.is_new());
        });
        assert_eq!(rig.loads(), 0);
    }
    // An invalid value does not hide a valid one either.
    let junk = (0..20).map(|_| format!("{other}; ")).collect::<String>();
    rig.request(signed(&[1]), &format!("{junk}{strangers}; {cookie}"), |session| {
        assert_eq!(session.opened(), Opened::Resumed);
    });
    assert_eq!(rig.loads(), 1);
}

#[test]
fn what_an_older_key_signed_is_signed_again_by_the_first() {
    let rig = Rig::new();
    let old = rig.begun(signed(&[1]));
    let read = rig.request(signed(&[2, 1]), &old, |session| assert_eq!(session.opened(), Opened::Resumed));
    let new = pair(&read);
    assert_eq!(new.split_once('.').unwrap().0, old.split_once('.').unwrap().0, "the id is the same");
    rig.request(signed(&[2]), &new, |session| assert_eq!(session.opened(), Opened::Resumed));
    let lost = rig.request(signed(&[2]), &old, |session| assert_eq!(session.opened(), Opened::Undecodable));
    assert!(lost.error.is_none() && lost.set_cookie.is_empty());
    // A write and a rotation also sign with the first key.
    let written = rig.request(signed(&[2, 1]), &old, |session| session.insert("n", &2).unwrap());
    assert_eq!(pair(&written), new);
    let rotated = rig.request(signed(&[2, 1]), &old, |session| session.rotate().unwrap());
    assert_ne!(pair(&rotated).split_once('.').unwrap().0, old.split_once('.').unwrap().0);
    let gone = rig.request(signed(&[2, 1]), &old, |session| assert_eq!(session.opened(), Opened::Moved));
    assert!(gone.set_cookie.is_empty(), "the new id is not overwritten");
}

#[test]
fn a_persistent_cookie_that_is_signed_again_keeps_its_lifetime() {
    let rig = Rig::new();
    let old = rig.begun(signed(&[1]).persistent());
    let read = rig.request(signed(&[2, 1]).persistent(), &old, |_| ());
    let line = read.set_cookie[0].as_str();
    let age: u64 = line.rsplit_once("; Max-Age=").unwrap().1.parse().unwrap();
    assert!((86_390..=86_400).contains(&age), "{line}");
}

#[test]
fn unsigned_ids_are_taken_only_on_demand_and_then_signed() {
    let rig = Rig::new();
    let unsigned = rig.begun(CookieOptions::new());
    let moving = || signed(&[1]).accept_unsigned();
    let read = rig.request(moving(), &unsigned, |session| assert_eq!(session.opened(), Opened::Resumed));
    let after = pair(&read);
    assert!(after.starts_with(&format!("{unsigned}.")), "the id is the same");
    rig.request(signed(&[1]), &after, |session| assert_eq!(session.opened(), Opened::Resumed));
    // Both values together are one session.
    let both = format!("{unsigned}; {after}");
    rig.request(moving(), &both, |session| assert_eq!(session.opened(), Opened::Resumed));
    rig.request(signed(&[1]), &unsigned, |session| assert_eq!(session.opened(), Opened::Undecodable));
}

#[test]
fn accepting_unsigned_ids_needs_signed_ones() {
    assert!(CookieOptions::new().accept_unsigned().check("id").is_err());
    assert!(signed(&[1]).accept_unsigned().check("id").is_ok());
}
