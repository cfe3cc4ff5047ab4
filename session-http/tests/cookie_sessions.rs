//! Sessions that are kept in their cookies, read back from real `Set-Cookie` lines.

use std::sync::Arc;
use std::time::Duration;

use pollster::block_on;
use session_core::{
    ErrorKind, Manager, ManagerBuilder, ManualClock, Opened, Principal, Session, Store, Timestamp, hours, minutes,
};
use session_crypto::KeyRing;
use session_http::{Committed, CookieOptions, CookieStore, Exchange, SessionSet};

fn ring(keys: &[u8]) -> KeyRing {
    let secret = |n: u8| (n..n + 32).collect::<Vec<u8>>();
    let ring = KeyRing::new(&secret(keys[0])).unwrap();
    keys[1..].iter().fold(ring, |ring, n| ring.and(&secret(*n)).unwrap())
}

struct Rig {
    clock: ManualClock,
    options: CookieOptions,
    set: SessionSet,
}

impl Rig {
    fn new(options: CookieOptions) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000).unwrap());
        let set = SessionSet::new(manager(&clock, &[1]).build().unwrap(), options.clone()).unwrap();
        Self { clock, options, set }
    }

    /// Restarts the application with other keys.
    fn restarted(&self, keys: &[u8]) -> Self {
        let set = SessionSet::new(manager(&self.clock, keys).build().unwrap(), self.options.clone()).unwrap();
        Self { clock: self.clock.clone(), options: self.options.clone(), set }
    }

    fn request(&self, cookies: &str, act: impl FnOnce(&Session)) -> Committed {
        block_on(async {
            let (exchange, session) = self.open(cookies).await;
            act(&session);
            exchange.commit().await
        })
    }

    async fn open(&self, cookies: &str) -> (Exchange, Session) {
        let exchange = self.set.begin();
        let session = exchange.open_first([cookies.as_bytes()]).await.unwrap();
        (exchange, session)
    }

    /// Stores a session with a count of 1 and returns its cookie as the client sends it.
    fn begun(&self) -> String {
        pair(&self.request("", |session| session.insert("n", &1).unwrap()))
    }

    fn opened(&self, cookies: &str) -> Opened {
        let mut opened = Opened::New;
        self.request(cookies, |session| opened = session.opened());
        opened
    }
}

fn manager(clock: &ManualClock, keys: &[u8]) -> ManagerBuilder {
    Manager::builder(CookieStore::new(&ring(keys))).clock(clock.clone())
}

fn pair(committed: &Committed) -> String {
    assert!(committed.error.is_none(), "{:?}", committed.error);
    committed.set_cookie[0].pair().to_owned()
}

fn max_age(committed: &Committed) -> Option<u64> {
    let line = committed.set_cookie[0].as_str();
    line.split("; ").find_map(|part| part.strip_prefix("Max-Age=")).map(|age| age.parse().unwrap())
}

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

fn rig_start() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).unwrap()
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
fn the_expiry_inside_is_what_max_age_says() {
    let rig = Rig::new(CookieOptions::new().persistent());
    let first = rig.request("", |session| session.insert("n", &1).unwrap());
    assert_eq!(max_age(&first), Some(3600));
    let cookie = pair(&first);
    rig.clock.advance(minutes(30));
    let touched = rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
    assert_eq!(max_age(&touched), Some(3600), "reading moves both");
    rig.clock.advance(minutes(30));
    assert_eq!(rig.opened(&cookie), Opened::Unknown, "the old one says that it has expired");
    let mut left = Duration::ZERO;
    rig.request(&pair(&touched), |session| left = session.expires_at().since(rig.set.manager("id").unwrap().now()));
    assert_eq!(left, minutes(30), "the new one lives");
}

#[test]
fn a_cookie_that_ends_with_the_browser_is_sent_again_when_its_expiry_moves() {
    let rig = Rig::new(CookieOptions::new());
    let mut cookie = rig.begun();
    for _ in 0..5 {
        rig.clock.advance(minutes(50));
        let committed = rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
        assert_eq!(max_age(&committed), None);
        cookie = pair(&committed);
    }
    rig.clock.advance(hours(24));
    assert_eq!(rig.opened(&cookie), Opened::Unknown);
}

#[test]
fn max_age_of_the_options_bounds_the_session_too() {
    let rig = Rig::new(CookieOptions::new().max_age(minutes(5)));
    let committed = rig.request("", |session| session.insert("n", &1).unwrap());
    assert_eq!(max_age(&committed), Some(300));
    let cookie = pair(&committed);
    rig.clock.advance(minutes(5));
    assert_eq!(rig.opened(&cookie), Opened::Unknown);
}

/// Finds the longest value that still fits into the cookie's 4096 bytes, by bisection.
fn longest(rig: &Rig) -> usize {
    let fits = |n: usize| {
        let committed = rig.request("", |session| session.insert("n", &"x".repeat(n)).unwrap());
        match committed.error {
            None => {
                assert!(committed.set_cookie[0].as_str().len() <= CookieOptions::MAX_LEN);
                true
            }
            Some(error) => {
                assert_eq!(error.kind(), ErrorKind::TooLarge);
                assert!(committed.set_cookie.is_empty());
                false
            }
        }
    };
    let (mut longest, mut too_long) = (2_000, 4_000);
    while too_long - longest > 1 {
        let middle = usize::midpoint(longest, too_long);
        *(if fits(middle) { &mut longest } else { &mut too_long }) = middle;
    }
    assert!(fits(longest) && !fits(too_long));
    let committed = rig.request("", |session| session.insert("n", &"x".repeat(longest)).unwrap());
    // Base64 has 4 characters for 3 bytes, so one more byte adds one or two characters.
    assert!((4095..=4096).contains(&committed.set_cookie[0].as_str().len()));
    longest
}

#[test]
fn name_and_attributes_count_for_the_4096_bytes() {
    let usual = longest(&Rig::new(CookieOptions::new()));
    let long_name = longest(&Rig::new(CookieOptions::new().name("a".repeat(9 + 400))));
    let path = longest(&Rig::new(CookieOptions::new().name("__Secure-a").path(format!("/{}", "p".repeat(399)))));
    assert!((299..=301).contains(&(usual - long_name)), "{usual} {long_name}");
    assert!((299..=301).contains(&(usual - path)), "{usual} {path}");
    assert!(usual > 2_800);
}

#[test]
fn an_explicit_save_hears_that_it_is_too_large() {
    let rig = Rig::new(CookieOptions::new());
    block_on(async {
        let (exchange, session) = rig.open("").await;
        session.insert("n", &"x".repeat(4_000)).unwrap();
        assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::TooLarge);
        session.insert("n", &1).unwrap();
        let _ = session.save().await.unwrap();
        pair(&exchange.commit().await);
    });
}

#[test]
fn too_large_a_session_leaves_the_cookie_before_it() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.begun();
    let committed = rig.request(&cookie, |session| session.insert("n", &"x".repeat(4_000)).unwrap());
    assert_eq!(committed.error.unwrap().kind(), ErrorKind::TooLarge);
    assert!(committed.set_cookie.is_empty());
    rig.request(&cookie, |session| assert_eq!(session.get("n").unwrap(), Some(1)));
}

#[test]
fn nothing_is_written_after_the_head() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.begun();
    block_on(async {
        let (exchange, session) = rig.open(&cookie).await;
        let _ = exchange.commit().await;
        for refused in [session.insert("n", &2), session.clear(), session.flash("f", &1), session.rotate()] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
        }
        assert_eq!(session.get("n").unwrap(), Some(1), "reading goes on");
        let late = rig.set.begin();
        let _ = late.commit().await;
        let session = late.open_first([cookie.as_bytes()]).await.unwrap();
        assert_eq!(session.insert("n", &2).unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn what_a_cookie_store_cannot_promise_is_unsupported() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = pair(&rig.request("", |session| session.login("ann").unwrap()));
    let ann = Principal::new("ann").unwrap();
    let manager = rig.set.manager("id").unwrap().clone();
    block_on(async {
        let (exchange, session) = rig.open(&cookie).await;
        let handle = session.handle().unwrap();
        let unsupported = |kind: ErrorKind| assert_eq!(kind, ErrorKind::Unsupported);
        unsupported(session.sessions().await.unwrap_err().kind());
        unsupported(session.revoke_others().await.unwrap_err().kind());
        unsupported(manager.sessions_of(&ann, None).await.unwrap_err().kind());
        unsupported(manager.revoke_all(&ann, None).await.unwrap_err().kind());
        unsupported(manager.revoke(&ann, &handle).await.unwrap_err().kind());
        unsupported(manager.open(Some(&session_core::SessionId::random().encode())).await.unwrap_err().kind());
        assert!(exchange.commit().await.set_cookie.is_empty());
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
    assert!(committed.set_cookie.is_empty());
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
fn a_cookie_without_room_for_a_session_is_refused_at_the_start() {
    let set = |name: usize| {
        let manager = Manager::new(CookieStore::new(&ring(&[1])));
        SessionSet::new(manager, CookieOptions::new().name("a".repeat(name)))
    };
    assert!(set(3_000).is_ok());
    assert_eq!(set(3_800).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn a_sealed_cookie_takes_no_signature() {
    let manager = Manager::new(CookieStore::new(&ring(&[1])));
    let error = SessionSet::new(manager, CookieOptions::new().signed(&ring(&[1]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
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
