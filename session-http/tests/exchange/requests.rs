//! Requests of one client, and the cookies that it gets.

use pollster::block_on;
use session_core::{ErrorKind, Manager, NullStore, Opened, Session, SessionId, minutes};
use session_http::{Caching, CookieOptions, SessionSet};

use crate::rig::{Rig, pair};

#[test]
fn the_first_write_issues_a_cookie_with_all_attributes() {
    let rig = Rig::new(CookieOptions::new());
    let committed = rig.request("", |session| session.insert("n", &1).unwrap());
    let line = committed.set_cookie[0].as_str();
    let value =
        line.strip_prefix("__Host-id=").unwrap().strip_suffix("; HttpOnly; SameSite=Lax; Secure; Path=/").unwrap();
    assert!(SessionId::parse(value).is_some());
    assert_eq!(committed.caching, Caching::Never);
}

#[test]
fn a_cookie_is_sent_once() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored();
    rig.clock.advance(minutes(10));
    let committed = rig.request(&cookie, |session| {
        assert_eq!(session.opened(), Opened::Resumed);
        session.insert("n", &2).unwrap();
    });
    assert!(committed.set_cookie.is_empty());
    assert_eq!(committed.caching, Caching::Private);
}

#[test]
fn a_logout_clears_the_cookie_where_it_was_set() {
    let options = CookieOptions::new().name("__Secure-id").path("/app").domain("example.com").partitioned(true);
    let rig = Rig::new(options);
    let cookie = rig.stored();
    let committed = rig.request(&cookie, Session::logout);
    let line = committed.set_cookie[0].as_str();
    assert!(line.starts_with("__Secure-id=; "), "{line}");
    for attribute in ["; Secure", "; Path=/app", "; Domain=example.com", "; Partitioned", "; Max-Age=0"] {
        assert!(line.contains(attribute), "{attribute} in {line}");
    }
}

#[test]
fn a_made_up_id_is_never_adopted() {
    let rig = Rig::new(CookieOptions::new());
    let made_up = SessionId::random().encode();
    let committed = rig.request(&format!("__Host-id={made_up}"), |session| {
        assert_eq!(session.opened(), Opened::Unknown);
        session.insert("n", &1).unwrap();
    });
    assert!(!pair(&committed).contains(&made_up));
}

#[test]
fn of_two_live_sessions_under_one_name_neither_is_used() {
    let rig = Rig::new(CookieOptions::new());
    let (ours, theirs) = (rig.stored(), rig.stored());
    let committed = rig.request(&format!("{ours}; {theirs}"), |session| {
        assert!(session.is_new());
        assert_eq!(session.get::<u32>("n").unwrap(), None);
    });
    // A host-only cookie without a partition is ours, and a tossed cookie must not make us clear it.
    let lines: Vec<_> = committed.set_cookie.iter().map(|line| line.as_str()).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].starts_with("__Host-id=; ") && lines[0].contains("; Partitioned; "), "{lines:?}");
}

#[test]
fn a_dead_session_beside_a_live_one_does_not_hide_it() {
    let rig = Rig::new(CookieOptions::new());
    let (live, dead) = (rig.stored(), SessionId::random().encode());
    for cookies in [format!("{live}; __Host-id={dead}"), format!("__Host-id={dead}; __Host-id=junk; {live}")] {
        rig.request(&cookies, |session| assert_eq!(session.opened(), Opened::Resumed));
    }
}

#[test]
fn a_late_request_with_the_id_before_a_rotation_sets_no_cookie() {
    let rig = Rig::new(CookieOptions::new());
    let old = rig.stored();
    let new = pair(&rig.request(&old, |session| session.login("ann").unwrap()));
    assert_ne!(old, new);
    let late = rig.request(&old, |session| assert_eq!(session.opened(), Opened::Moved));
    assert!(late.set_cookie.is_empty());
    // A dead id sent along with it changes nothing.
    let mixed = rig.request(&format!("__Host-id={}; {old}", SessionId::random().encode()), |session| {
        assert_eq!(session.insert("n", &1).unwrap_err().kind(), ErrorKind::Gone);
    });
    assert!(mixed.set_cookie.is_empty());
}

#[test]
fn an_explicit_save_still_announces_its_cookie() {
    let rig = Rig::new(CookieOptions::new());
    block_on(async {
        let (exchange, session) = rig.open("").await;
        session.insert("n", &1).unwrap();
        let _ = session.save().await.unwrap();
        assert_eq!(exchange.commit().await.set_cookie.len(), 1);
    });
}

#[test]
fn what_is_abandoned_is_not_stored_but_what_was_saved_is_announced() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = block_on(async {
        let (exchange, session) = rig.open("").await;
        session.insert("saved", &1).unwrap();
        let _ = session.save().await.unwrap();
        session.insert("unsaved", &1).unwrap();
        exchange.abandon();
        pair(&exchange.commit().await)
    });
    rig.request(&cookie, |session| assert_eq!(session.keys(), ["saved"]));
}

#[test]
fn after_the_head_a_session_is_closed() {
    let rig = Rig::new(CookieOptions::new());
    block_on(async {
        let (exchange, session) = rig.open("").await;
        let _ = exchange.commit().await;
        assert_eq!(session.login("ann").unwrap_err().kind(), ErrorKind::Closed);

        // A session that is opened after the commit is closed as well.
        let exchange = rig.set.begin();
        let _ = exchange.commit().await;
        let late = exchange.open("id", []).await.unwrap();
        assert_eq!(late.login("ann").unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn an_untouched_exchange_needs_nothing() {
    let rig = Rig::new(CookieOptions::new());
    let exchange = rig.set.begin();
    assert!(exchange.is_untouched());
    let committed = block_on(exchange.commit());
    assert!(committed.set_cookie.is_empty() && committed.error.is_none());
    assert_eq!(committed.caching, Caching::Free);
}

#[test]
fn a_principal_makes_a_read_uncacheable() {
    let rig = Rig::new(CookieOptions::new());
    let ann = pair(&rig.request("", |session| session.login("ann").unwrap()));
    let committed = rig.request(&ann, |_| ());
    assert!(committed.set_cookie.is_empty());
    assert_eq!(committed.caching, Caching::SignedIn);
}

#[test]
fn a_set_needs_names_and_cookies_that_are_apart() {
    let manager = |name: &str| Manager::builder(NullStore).name(name).build().unwrap();
    let config = |builder: session_http::SessionSetBuilder| builder.build().unwrap_err().kind() == ErrorKind::Config;
    let one = || SessionSet::builder().session(manager("a"), CookieOptions::new());
    let twice = one().session(manager("a"), CookieOptions::new().name("b")).build().unwrap_err().to_string();
    assert!(twice.contains("\"a\"") && twice.contains("`ManagerBuilder::name`"), "{twice}");
    let shared = one().session(manager("b"), CookieOptions::new().name("__Host-a")).build().unwrap_err().to_string();
    assert!(shared.contains("\"__Host-a\""), "{shared}");
    let plain =
        SessionSet::builder().session(manager("a"), CookieOptions::new().secure_when(|_| session_http::Scheme::Tls));
    assert!(config(plain.session(manager("b"), CookieOptions::new().name("a").insecure())), "the cookie by plain HTTP");
    assert!(config(SessionSet::builder()));
    assert!(config(one().session(manager("a"), CookieOptions::new().name("b"))));
    assert!(config(one().session(manager("b"), CookieOptions::new().name("__Host-a"))));
    assert!(config(one().session(manager("b"), CookieOptions::new().domain("example.com"))));
    assert!(one().session(manager("b"), CookieOptions::new()).build().is_ok());
}

#[test]
fn nothing_shows_a_secret() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored();
    let value = cookie.split('=').nth(1).unwrap();
    block_on(async {
        let (exchange, session) = rig.open(&cookie).await;
        session.rotate().unwrap();
        let shown = format!("{exchange:?} {:?}", exchange.commit().await);
        assert!(!shown.contains(value));
        assert!(shown.contains("SetCookie(__Host-id=***)"), "{shown}");
    });
}
