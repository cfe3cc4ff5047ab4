//! Requests whose session is in their cookie.

use std::sync::Arc;

use pollster::block_on;
use session_core::{Manager, ManualClock, Opened, Principal, Session, Store, minutes};
use session_http::{CookieOptions, CookieStore, SessionSet};

use crate::rig::{Rig, manager, pair, rig_start, ring};

#[test]
fn the_session_is_in_the_cookie_and_is_unreadable_there() {
    let rig = Rig::new(CookieOptions::new());
    let committed = rig.request("", |session| {
        session.insert("colour", "green").unwrap();
        session.flash("notice", "hello").unwrap();
    });
    let line = committed.set_cookie[0].as_str();
    assert!(line.ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{line}");
    assert!(!line.contains("green") && !line.contains("colour"));
    let next = rig.request(&pair(&committed), |session| {
        assert_eq!(session.opened(), Opened::Resumed);
        assert_eq!(session.get::<String>("colour").unwrap().as_deref(), Some("green"));
        assert_eq!(session.flashes::<String>("notice").unwrap(), ["hello"]);
    });
    let after = rig.request(&pair(&next), |session| assert_eq!(session.flashes::<String>("notice").unwrap(), [""; 0]));
    assert!(after.set_cookie.is_empty(), "nothing changed, so nothing is sent");
}

#[test]
fn every_write_is_announced_even_within_one_millisecond() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.begun();
    let cookie = pair(&rig.request(&cookie, |session| session.insert("n", &2).unwrap()));
    rig.request(&cookie, |session| assert_eq!(session.get("n").unwrap(), Some(2)));
}

#[test]
fn a_visit_that_writes_nothing_sets_no_cookie() {
    let rig = Rig::new(CookieOptions::new());
    for cookies in ["", "__Host-id=made-up", "__Host-id="] {
        assert!(rig.request(cookies, |session| assert!(session.is_new())).set_cookie.is_empty());
    }
    assert_eq!(rig.opened(&format!("__Host-id={}", "A".repeat(200))), Opened::Undecodable);
}

#[test]
fn a_login_changes_the_id_and_the_record() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.begun();
    let mut handles = Vec::new();
    let committed = rig.request(&cookie, |session| {
        handles.push(session.handle());
        session.login("ann").unwrap();
    });
    rig.clock.advance(minutes(1));
    rig.request(&pair(&committed), |session| {
        handles.push(session.handle());
        assert_eq!(session.principal(), Some(Principal::new("ann").unwrap()));
        assert_eq!(session.auth_time(), Some(rig_start()));
        assert_eq!(session.created_at(), rig_start());
        assert_eq!(session.get("n").unwrap(), Some(1), "an anonymous session's values stay");
    });
    assert!(handles[0].is_some() && handles[1].is_some() && handles[0] != handles[1]);
}

#[test]
fn a_logout_clears_the_cookie_and_a_farewell_begins_another() {
    let options = CookieOptions::new().name("__Secure-id").path("/app").domain("example.com").partitioned(true);
    let rig = Rig::new(options);
    let cookie = pair(&rig.request("", |session| session.login("ann").unwrap()));
    let committed = rig.request(&cookie, Session::logout);
    let line = committed.set_cookie[0].as_str();
    assert!(line.starts_with("__Secure-id=; "), "{line}");
    for attribute in ["; Secure", "; Path=/app", "; Domain=example.com", "; Partitioned", "; Max-Age=0"] {
        assert!(line.contains(attribute), "{attribute} in {line}");
    }
    let farewell = rig.request(&cookie, |session| {
        session.logout();
        session.flash("notice", "bye").unwrap();
    });
    rig.request(&pair(&farewell), |session| {
        assert_eq!(session.principal(), None);
        assert_eq!(session.flashes::<String>("notice").unwrap(), ["bye"]);
    });
}

#[test]
fn what_an_older_key_sealed_is_sealed_again_and_opens_nothing_once_that_key_is_gone() {
    let old = Rig::new(CookieOptions::new());
    let before = pair(&old.request("", |session| session.login("ann").unwrap()));

    let both = old.restarted(&[2, 1]);
    let read = both.request(&before, |session| {
        assert_eq!(session.opened(), Opened::Resumed);
        assert_eq!(session.principal(), Some(Principal::new("ann").unwrap()));
    });
    let after = pair(&read);
    assert!(both.request(&after, |_| ()).set_cookie.is_empty(), "once is enough");

    let new = old.restarted(&[2]);
    new.request(&after, |session| assert_eq!(session.principal(), Some(Principal::new("ann").unwrap())));
    let lost = new.request(&before, |session| {
        assert_eq!(session.opened(), Opened::Undecodable);
        assert!(session.is_new());
    });
    assert!(lost.error.is_none());
}

#[test]
fn another_sessions_cookie_is_no_session() {
    let clock = ManualClock::new(rig_start());
    let set = SessionSet::builder()
        .session(manager(&clock, &[1]).build().unwrap(), CookieOptions::new())
        .session(manager(&clock, &[1]).name("admin").build().unwrap(), CookieOptions::new())
        .build()
        .unwrap();
    block_on(async {
        let exchange = set.begin();
        exchange.open("id", []).await.unwrap().login("ann").unwrap();
        let value = pair(&exchange.commit().await).split_once('=').unwrap().1.to_owned();
        let copied = format!("__Host-admin={value}");
        let admin = set.begin().open("admin", [copied.as_bytes()]).await.unwrap();
        assert_eq!(admin.opened(), Opened::Undecodable);
    });
}

#[test]
fn of_two_live_sessions_under_one_name_neither_is_used() {
    let rig = Rig::new(CookieOptions::new());
    let (ours, theirs) = (rig.begun(), rig.begun());
    let committed = rig.request(&format!("{ours}; {theirs}"), |session| assert!(session.is_new()));
    let [line] = &committed.set_cookie[..] else { panic!("{committed:?}") };
    assert!(
        line.as_str().contains("; Partitioned; ") && line.as_str().contains("; Max-Age=0"),
        "our own place is left alone"
    );
    // Unsealed values do not hide the session, however many there are.
    let junk = (0..50).map(|n| format!("__Host-id={n}{}; ", "A".repeat(100))).collect::<String>();
    assert_eq!(rig.opened(&format!("{junk}{ours}")), Opened::Resumed);
}

#[test]
fn what_is_abandoned_is_not_sent() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.begun();
    block_on(async {
        let (exchange, session) = rig.open(&cookie).await;
        session.insert("n", &2).unwrap();
        exchange.abandon();
        assert!(exchange.commit().await.set_cookie.is_empty());
    });
}

#[test]
fn the_store_is_found_behind_pointers() {
    let store: Arc<dyn Store> = Arc::new(CookieStore::new(&ring(&[1])));
    for manager in [Manager::new(store.clone()), Manager::new(Arc::new(store) as Arc<dyn Store>)] {
        let set = SessionSet::new(manager, CookieOptions::new()).unwrap();
        block_on(async {
            let exchange = set.begin();
            exchange.open_first([]).await.unwrap().insert("n", &1).unwrap();
            assert!(pair(&exchange.commit().await).len() > 150);
        });
    }
}

#[test]
fn nothing_shows_what_is_in_it() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = pair(&rig.request("", |session| session.insert("secret", "hunter2").unwrap()));
    block_on(async {
        let (exchange, session) = rig.open(&cookie).await;
        session.insert("secret", "hunter2 again").unwrap();
        let shown = format!("{exchange:?} {:?} {:?}", rig.set.manager("id"), exchange.commit().await);
        assert!(!shown.contains("hunter2") && !shown.contains(cookie.split_once('=').unwrap().1), "{shown}");
    });
}
