//! Exchanges from a `Cookie` header to the `Set-Cookie` lines of the response, over a memory store.

use std::time::Duration;

use pollster::block_on;
use session_core::{ErrorKind, Manager, ManualClock, NullStore, Opened, Session, SessionId, Timestamp, minutes};
use session_http::{Caching, Committed, CookieOptions, Exchange, SameSite, SessionSet};
use session_store_memory::MemoryStore;

struct Rig {
    clock: ManualClock,
    set: SessionSet,
}

impl Rig {
    fn new(options: CookieOptions) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
        let manager = Manager::builder(MemoryStore::new()).clock(clock.clone()).build().unwrap();
        Self { clock, set: SessionSet::new(manager, options).unwrap() }
    }

    /// Makes a request with these cookies, whose handler runs `act`.
    fn request(&self, cookies: &str, act: impl FnOnce(&Session)) -> Committed {
        block_on(async {
            let (exchange, session) = self.open(cookies).await;
            act(&session);
            exchange.commit().await
        })
    }

    async fn open(&self, cookies: &str) -> (Exchange, Session) {
        let exchange = self.set.begin();
        let session = exchange.open("id", [cookies.as_bytes()]).await.unwrap();
        (exchange, session)
    }

    /// Stores a session and returns its `name=value`.
    fn stored(&self) -> String {
        pair(&self.request("", |session| session.insert("n", &1).unwrap()))
    }
}

fn pair(committed: &Committed) -> String {
    assert!(committed.error.is_none(), "{:?}", committed.error);
    committed.set_cookie[0].pair().to_owned()
}

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
fn a_persistent_cookie_lives_to_the_absolute_time_out_and_no_read_sends_it_again() {
    let rig = Rig::new(CookieOptions::new().persistent());
    let first = rig.request("", |session| session.insert("n", &1).unwrap());
    assert!(first.set_cookie[0].as_str().ends_with("; Max-Age=86400"));
    let cookie = pair(&first);
    for _ in 0..28 {
        rig.clock.advance(minutes(50));
        let read = rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
        assert!(read.set_cookie.is_empty());
        let written = rig.request(&cookie, |session| session.insert("n", &2).unwrap());
        assert!(written.set_cookie.is_empty());
    }

    // A new absolute time-out sends the cookie again, with the remaining lifetime.
    let until = minutes(28 * 50 + 10);
    let other = rig.request(&cookie, |session| session.set_absolute(Some(until)).unwrap());
    assert!(other.set_cookie[0].as_str().ends_with("; Max-Age=600"), "{other:?}");
    assert_eq!(pair(&other), cookie);
}

#[test]
fn an_explicit_save_is_no_reason_to_send_the_id_after_a_login_elsewhere() {
    // Both cases send the id again, so the close asks the store whether the id is still valid.
    let short = || CookieOptions::new().max_age(minutes(10));
    for is_short in [true, false] {
        let rig = Rig::new(if is_short { short() } else { CookieOptions::new() });
        let cookie = rig.stored();
        let (page, signed_in) = block_on(async {
            let (page, session) = rig.open(&cookie).await;
            if is_short {
                session.insert("n", &2).unwrap();
            } else {
                session.set_persistent(true).unwrap();
            }
            let _explicit = session.save().await.unwrap();
            let signed_in = rig.request(&cookie, |session| session.login("ann").unwrap());
            (page.commit().await, signed_in)
        });
        assert_eq!(signed_in.set_cookie.len(), 1);
        assert!(page.set_cookie.is_empty(), "{:?} would go over the login's", page.set_cookie);
    }
}

#[test]
fn a_cookie_that_an_explicit_save_made_persistent_is_sent_with_the_response() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored();
    let page = block_on(async {
        let (page, session) = rig.open(&cookie).await;
        session.set_persistent(true).unwrap();
        let _explicit = session.save().await.unwrap();
        // Another request saves meanwhile, but the session keeps its id.
        rig.request(&cookie, |session| session.insert("n", &3).unwrap());
        page.commit().await
    });
    assert!(page.set_cookie[0].as_str().ends_with("; Max-Age=86400"), "{page:?}");
}

#[test]
fn a_session_asks_to_be_remembered() {
    let rig = Rig::new(CookieOptions::new());
    let committed = rig.request("", |session| {
        session.login("ann").unwrap();
        session.set_persistent(true).unwrap();
    });
    assert!(committed.set_cookie[0].as_str().ends_with("; Max-Age=86400"));
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
    assert!(committed.set_cookie.is_empty(), "the tossed cookie must not make us clear ours");
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
) -> Committed {
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

#[test]
fn max_age_and_the_records_expiry_are_one_setting() {
    let rig = Rig::new(CookieOptions::new().max_age(minutes(10)));
    let first = rig.request("", |session| session.insert("n", &1).unwrap());
    assert!(first.set_cookie[0].as_str().ends_with("; Max-Age=600"));
    let cookie = pair(&first);
    for _ in 0..3 {
        rig.clock.advance(minutes(9));
        let read = rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
        assert!(read.set_cookie[0].as_str().ends_with("; Max-Age=600"), "who is active stays");
    }
    rig.clock.advance(minutes(10));
    rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Unknown));
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
    assert_eq!(committed.caching, Caching::Never);
}

#[test]
fn a_set_needs_names_and_cookies_that_are_apart() {
    let manager = |name: &str| Manager::builder(NullStore).name(name).build().unwrap();
    let config = |builder: session_http::SessionSetBuilder| builder.build().unwrap_err().kind() == ErrorKind::Config;
    let one = || SessionSet::builder().session(manager("a"), CookieOptions::new());
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
