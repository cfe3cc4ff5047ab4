//! One application by TLS and by plain HTTP.

use std::net::{IpAddr, Ipv4Addr};

use session_core::{Opened, Session};
use session_crypto::KeyRing;
use session_http::{CookieOptions, RequestHead, Scheme, forwarded};

use crate::rig::{Head, Rig, cleared, events, pair};

const PROXY: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 7));

/// Scheme by a header, as a trusted proxy might set it.
fn by_header(head: &dyn RequestHead) -> Scheme {
    match head.text("x-scheme") {
        Some("https") => Scheme::Tls,
        Some("http") => Scheme::Plain,
        _ => Scheme::Unknown,
    }
}

fn tls() -> Head {
    Head::get(&[("x-scheme", "https")])
}

fn plain() -> Head {
    Head::get(&[("x-scheme", "http")])
}

fn write(session: &Session) {
    session.insert("n", &1).unwrap();
}

#[test]
fn each_scheme_has_a_cookie_of_its_own() {
    let rig = Rig::new(CookieOptions::new().secure_when(by_header));
    for (head, start, is_secure) in
        [(tls(), "__Host-id=", true), (plain(), "id=", false), (Head::get(&[]), "__Host-id=", true)]
    {
        let report = rig.request(head.clone(), write);
        let line = report.set_cookie[0].as_str().to_owned();
        assert!(line.starts_with(start), "{line}");
        assert_eq!(line.contains("; Secure"), is_secure, "{line}");
        let cookie = pair(&report);
        rig.request(head.clone().cookies(&cookie), |session| assert_eq!(session.opened(), Opened::Resumed));
        let report = rig.request(head.cookies(&cookie), Session::logout);
        let line = report.set_cookie[0].as_str();
        assert!(line.starts_with(&format!("{start};")) && line.contains("; Max-Age=0"), "{line}");
        assert_eq!((report.set_cookie.len(), line.contains("; Secure")), (1, is_secure));
    }
}

#[test]
fn no_id_crosses_from_one_scheme_to_the_other() {
    let ring = KeyRing::new(&(0..32).collect::<Vec<u8>>()).unwrap();
    for options in [CookieOptions::new(), CookieOptions::new().signed(&ring)] {
        let rig = Rig::new(options.secure_when(by_header));
        let secure = pair(&rig.request(tls(), |session| session.login("ann").unwrap()));
        let open = pair(&rig.request(plain(), |session| session.login("bob").unwrap()));
        let who = |head: Head, cookies: &str| {
            let mut who = None;
            rig.request(head.cookies(cookies), |session| who = session.principal().map(|who| who.as_str().to_owned()));
            who
        };
        for both in [format!("{secure}; {open}"), format!("{open}; {secure}")] {
            assert_eq!(who(tls(), &both).as_deref(), Some("ann"));
            assert_eq!(who(plain(), &both).as_deref(), Some("bob"));
        }
        // The values under each other's names.
        let (secure, open) = (secure.replace("__Host-id=", "id="), open.replace("id=", "__Host-id="));
        assert_eq!(who(plain(), &secure), None);
        assert_eq!(who(tls(), &open), None);
        for head in [tls().cookies(&open), plain().cookies(&secure)] {
            let report = rig.request(head, write);
            assert_eq!((report.set_cookie.len(), cleared(&report).len()), (1, 0), "the other's cookie is left alone");
        }
    }
}

#[test]
fn a_trusted_proxy_tells_the_scheme() {
    let rig = Rig::new(CookieOptions::new().secure_when(forwarded(|peer| peer == PROXY)));
    for (peer, name) in [(Some(PROXY), "id="), (None, "__Host-id="), (Some(Ipv4Addr::LOCALHOST.into()), "__Host-id=")] {
        let head = Head { peer, ..Head::get(&[("x-forwarded-proto", "http")]) };
        assert!(pair(&rig.request(head, write)).starts_with(name), "{peer:?}");
    }
}

const LOST: &str = "drops the `Secure` cookie";

#[test]
fn a_browser_that_drops_the_cookie_is_warned_of() {
    let heads = [
        Head::get(&[("upgrade-insecure-requests", "1")]),
        Head::of("POST", &[("origin", "http://nas:3000"), ("sec-fetch-mode", "cors")]),
    ];
    for head in heads {
        let rig = Rig::new(CookieOptions::new());
        let said = events(|| {
            for _ in 0..3 {
                rig.request(head.clone(), write);
            }
        });
        assert_eq!(said.matches(LOST).count(), 1, "once an hour is enough: {said}");
    }
}

#[test]
fn a_browser_that_keeps_the_cookie_is_not_warned_of() {
    let upgrade = ("upgrade-insecure-requests", "1");
    for head in [
        Head::get(&[upgrade, ("sec-fetch-mode", "navigate")]),
        Head::get(&[("x-forwarded-proto", "http")]),
        Head::of("POST", &[("origin", "http://localhost:3000")]),
        Head::get(&[]),
    ] {
        let rig = Rig::new(CookieOptions::new());
        assert!(!events(|| drop(rig.request(head, write))).contains(LOST));
    }
    let reads = || drop(Rig::new(CookieOptions::new()).request(Head::get(&[upgrade]), |_| ()));
    assert!(!events(reads).contains(LOST), "there is no cookie to drop");
    let plain = || drop(Rig::new(CookieOptions::new().insecure()).request(Head::get(&[upgrade]), write));
    assert!(!events(plain).contains(LOST), "the cookie is not `Secure`");
    let both = Rig::new(CookieOptions::new().secure_when(|_| Scheme::Plain));
    assert!(!events(|| drop(both.request(Head::get(&[upgrade]), write))).contains(LOST));
}
