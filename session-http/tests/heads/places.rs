//! Cookies of one name that lie at several places, after an attribute was changed.

use session_core::{Opened, Session, seconds};
use session_http::CookieOptions;

use crate::rig::{Head, Rig, cleared, events, pair};

fn host_only() -> CookieOptions {
    CookieOptions::new().name("__Secure-id")
}

fn shared() -> CookieOptions {
    host_only().domain("example.com")
}

fn login(who: &'static str) -> impl FnOnce(&Session) {
    move |session: &Session| session.login(who).unwrap()
}

fn at(path: &'static str, cookies: &str) -> Head {
    Head { path, ..Head::get(&[("host", "shop.example.com:443")]) }.cookies(cookies)
}

#[test]
fn after_a_change_of_the_domain_the_next_request_is_whole() {
    let before = Rig::new(host_only());
    let old = before.stored(login("ann"));
    let now = before.with(shared());
    let new = now.stored(login("ann"));
    let both = format!("{old}; {new}");
    let report = now.request(at("/", &both), |session| assert!(session.is_new(), "neither is used"));
    let cleared = cleared(&report);
    assert!(cleared.contains(&"Path=/".to_owned()), "the old place: {cleared:?}");
    assert!(!cleared.contains(&"Path=/ Domain=example.com".to_owned()), "never its own place: {cleared:?}");
    assert!(cleared.contains(&"Path=/ Domain=shop.example.com".to_owned()), "{cleared:?}");
    now.request(at("/", &new), |session| assert_eq!(session.opened(), Opened::Resumed));
}

#[test]
fn a_login_is_in_at_once() {
    let before = Rig::new(host_only());
    let (old, now) = (before.stored(login("ann")), before.with(shared()));
    let both = format!("{old}; {}", now.stored(login("bob")));
    let report = now.request(at("/a/b", &both), login("eve"));
    let lines: Vec<_> = report.set_cookie.iter().map(session_http::SetCookie::as_str).collect();
    let (issued, cleared) = lines.split_last().unwrap();
    assert!(!issued.contains("; Max-Age=0") && issued.contains("; Domain=example.com"), "{issued}");
    assert!(cleared.len() <= 16 && cleared.iter().all(|line| line.contains("; Max-Age=0")), "{cleared:?}");
    now.request(at("/", &pair(&report)), |session| assert_eq!(session.principal().unwrap().as_str(), "eve"));
}

#[test]
fn a_host_prefix_clears_only_the_other_partition() {
    let rig = Rig::new(CookieOptions::new());
    let both = format!("{}; {}", rig.stored(login("ann")), rig.stored(login("ann")));
    assert_eq!(cleared(&rig.request(at("/a/b", &both), |_| ())), ["Partitioned Path=/"]);
}

#[test]
fn one_live_session_clears_nothing() {
    let rig = Rig::new(shared());
    let cookie = rig.stored(login("ann"));
    let dead = format!("__Secure-id={}", session_core::SessionId::random().encode());
    let report =
        rig.request(at("/", &format!("{dead}; {cookie}")), |session| assert_eq!(session.opened(), Opened::Resumed));
    assert!(report.set_cookie.is_empty());
}

#[test]
fn of_two_places_that_the_operator_names_the_newer_session_is_used() {
    let before = Rig::new(host_only());
    let now = before.with(shared().formerly(host_only()));
    let older = now.stored(login("ann"));
    before.clock.advance(seconds(1));
    let newer = before.stored(|session| {
        session.login("ann").unwrap();
        session.insert("n", &2).unwrap();
    });
    for both in [format!("{older}; {newer}"), format!("{newer}; {older}")] {
        let report = now.request(at("/", &both), |session| assert_eq!(session.get("n").unwrap(), Some(2)));
        assert_eq!(cleared(&report), ["Path=/"], "the former place");
        assert_eq!(pair(&report), newer, "it moves to today's place");
        let line = report.set_cookie.last().unwrap().as_str();
        assert!(line.contains("; Domain=example.com"), "{line}");
    }
}

#[test]
fn a_newer_session_of_another_principal_is_not_used() {
    for (own, planted) in [(Some("ann"), Some("eve")), (Some("ann"), None), (None, Some("eve"))] {
        let before = Rig::new(host_only());
        let now = before.with(shared().formerly(host_only()));
        let fill = |who: Option<&'static str>| {
            move |session: &Session| match who {
                Some(who) => session.login(who).unwrap(),
                None => session.insert("n", &1).unwrap(),
            }
        };
        let ours = now.stored(fill(own));
        before.clock.advance(seconds(1));
        let theirs = before.stored(fill(planted));
        let report = now.request(at("/", &format!("{theirs}; {ours}")), |session| assert!(session.is_new()));
        assert!(cleared(&report).contains(&"Path=/".to_owned()));
    }
}

#[test]
fn of_two_sessions_without_a_principal_the_newer_is_used() {
    let before = Rig::new(host_only());
    let now = before.with(shared().formerly(host_only()));
    let older = before.stored(|session| session.insert("n", &1).unwrap());
    before.clock.advance(seconds(1));
    let newer = now.stored(|session| session.insert("n", &2).unwrap());
    let report = now.request(at("/", &format!("{older}; {newer}")), |session| {
        assert_eq!(session.get("n").unwrap(), Some(2));
    });
    assert_eq!(cleared(&report), ["Path=/"]);
}

#[test]
fn a_quiet_request_clears_no_former_place() {
    let before = Rig::new(host_only());
    let now = before.with(shared().formerly(host_only()));
    let older = now.stored(login("ann"));
    before.clock.advance(seconds(1));
    let newer = before.stored(login("ann"));
    let head = Head { method: "HEAD", ..at("/", &format!("{older}; {newer}")) };
    // Its cookie is not sent again, so it must stay where it is.
    assert!(now.request(head, |session| assert_eq!(session.opened(), Opened::Resumed)).set_cookie.is_empty());
}

#[test]
fn a_logout_clears_the_former_places_too() {
    let rig = Rig::new(shared().formerly(host_only()).formerly(host_only().path("/app")));
    let cookie = rig.stored(login("ann"));
    let report = rig.request(at("/", &cookie), Session::logout);
    assert_eq!(cleared(&report), ["Path=/", "Path=/app", "Path=/ Domain=example.com"]);
}

#[test]
fn an_event_names_the_mend() {
    let rig = Rig::new(shared());
    let both = format!("{}; {}", rig.stored(login("ann")), rig.stored(login("ann")));
    let said = events(|| drop(rig.request(at("/", &both), |_| ())));
    assert!(said.contains("`CookieOptions::formerly`"), "{said}");
}
