//! Cookie options for one response.

use std::time::Duration;

use pollster::block_on;
use session_core::{ErrorKind, Opened, Session, minutes};
use session_http::{CommitReport, CookieOptions, SameSite};

use crate::rig::{Rig, pair};

#[test]
fn a_response_may_send_the_cookie_otherwise_but_not_under_another_name() {
    let rig = Rig::new(CookieOptions::new());
    block_on(async {
        let (exchange, session) = rig.open("").await;
        session.insert("n", &1).unwrap();
        let refused = exchange.set_cookie_options("id", |cookie| cookie.name("other"));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Config);
        let refused = exchange.set_cookie_options("id", |cookie| cookie.path("/app"));
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Config);
        exchange.set_cookie_options("id", |cookie| cookie.same_site(SameSite::Strict)).unwrap();
        exchange.set_cookie_options("id", |cookie| cookie.max_age(Duration::from_secs(60))).unwrap();
        let committed = exchange.commit().await;
        let line = committed.set_cookie[0].as_str();
        assert!(line.contains("; SameSite=Strict") && line.ends_with("; Max-Age=60"), "{line}");
    });
    rig.request(&rig.stored(), |session| assert_eq!(session.opened(), Opened::Resumed));
}

/// Makes a request that changes the cookie's options for its response.
fn with_options(
    rig: &Rig,
    cookies: &str,
    change: impl FnOnce(CookieOptions) -> CookieOptions,
    act: impl FnOnce(&Session),
) -> CommitReport {
    block_on(async {
        let (exchange, session) = rig.open(cookies).await;
        exchange.set_cookie_options("id", change).unwrap();
        act(&session);
        exchange.commit().await
    })
}

#[test]
fn one_response_may_change_every_attribute() {
    let rig = Rig::new(CookieOptions::new().name("__Secure-id"));
    let committed = with_options(
        &rig,
        "",
        |cookie| {
            let cookie = cookie.path("/app").domain("example.com").same_site(SameSite::None).partitioned(true);
            cookie.http_only(false).max_age(minutes(10))
        },
        |session| session.insert("n", &1).unwrap(),
    );
    let line = committed.set_cookie[0].as_str();
    let (_, attributes) = line.split_once("; ").unwrap();
    assert_eq!(attributes, "SameSite=None; Partitioned; Secure; Path=/app; Domain=example.com; Max-Age=600");

    // A browser deletes the cookie only if the attributes are the same (RFC 6265bis, 5.7).
    let cleared = with_options(
        &rig,
        &pair(&committed),
        |cookie| cookie.path("/app").domain("example.com").partitioned(true),
        Session::logout,
    );
    let line = cleared.set_cookie[0].as_str();
    assert!(
        line.starts_with("__Secure-id=; ") && line.contains("; Partitioned; Secure; Path=/app; Domain=example.com")
    );
    assert!(line.contains("; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT"), "{line}");
    rig.request(&pair(&committed), |session| assert!(session.is_new(), "the record is gone, too"));
}

#[test]
fn a_lifetime_of_one_response_bounds_the_session_from_then_on() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored();
    let committed = with_options(&rig, &cookie, |cookie| cookie.max_age(minutes(10)), |_| ());
    assert!(committed.set_cookie[0].as_str().ends_with("; Max-Age=600"), "{:?}", committed.set_cookie);
    let until = |session: &Session| session.expires_at().since(rig.set.manager("id").unwrap().now());
    // Later responses use the usual options and send no cookie for a read.
    rig.clock.advance(minutes(5));
    let mut left = Duration::ZERO;
    let read = rig.request(&cookie, |session| left = until(session));
    assert_eq!(left, minutes(5));
    assert!(read.set_cookie.is_empty());
    rig.clock.advance(minutes(10));
    rig.request(&cookie, |session| assert!(session.is_new()));
}

#[test]
fn one_response_may_end_a_persistent_cookie_with_the_browser() {
    let rig = Rig::new(CookieOptions::new().persistent());
    let committed = with_options(&rig, "", CookieOptions::until_browser_closes, |session| {
        session.insert("n", &1).unwrap();
    });
    assert!(committed.set_cookie[0].as_str().ends_with("; Path=/"), "no Max-Age");
}

#[test]
fn a_response_that_stores_nothing_is_not_made_to_by_its_options() {
    let rig = Rig::new(CookieOptions::new());
    let committed = with_options(&rig, "", CookieOptions::persistent, |_| ());
    assert!(committed.set_cookie.is_empty());
}

#[test]
fn other_options_of_one_response_store_nothing() {
    let rig = Rig::new(CookieOptions::new().persistent());
    let cookie = rig.stored();
    let committed = with_options(&rig, &cookie, |cookie| cookie.same_site(SameSite::Strict), |_| ());
    assert!(committed.set_cookie.is_empty());
    rig.request(&cookie, |session| assert!(!session.is_persistent()));
}
