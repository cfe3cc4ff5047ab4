//! Ids that are renewed by policy, as clients see them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use pollster::block_on;
use session_core::{
    ErrorKind, EventKind, Manager, ManagerBuilder, ManualClock, Opened, Session, Timestamp, minutes, seconds,
};
use session_crypto::KeyRing;
use session_http::{CommitReport, CookieOptions, CookieStore, RequestHead, SessionSet, Transport};
use session_store_memory::MemoryStore;

const AGE: Duration = minutes(15);

/// Head of a request: its method and its headers.
#[derive(Clone)]
struct Head(&'static str, Vec<(&'static str, String)>);

impl Head {
    fn get(name: &'static str, value: &str) -> Self {
        Self("GET", vec![(name, value.to_owned())])
    }

    fn cookie(pair: &str) -> Self {
        Self::get("cookie", pair)
    }
}

impl RequestHead for Head {
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        self.1.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes()).nth(nth)
    }

    fn method(&self) -> Option<&str> {
        Some(self.0)
    }
}

/// An application that renews ids, and the events of its sessions.
struct Rig {
    clock: ManualClock,
    set: SessionSet,
    events: Arc<Mutex<Vec<EventKind>>>,
}

impl Rig {
    fn new(options: CookieOptions) -> Self {
        Self::with(options, |builder| builder, &[Transport::Cookie])
    }

    fn with(
        options: CookieOptions,
        configure: impl FnOnce(ManagerBuilder) -> ManagerBuilder,
        transports: &[Transport],
    ) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
        let events = Arc::<Mutex<Vec<EventKind>>>::default();
        let kept = events.clone();
        let builder = Manager::builder(MemoryStore::new()).clock(clock.clone()).renew_id_every(AGE);
        let builder = configure(builder.on_event(move |event| kept.lock().unwrap().push(event.kind)));
        let builder = SessionSet::builder().session(builder.build().unwrap(), options);
        let builder = transports.iter().fold(builder, |builder, one| builder.transport(*one));
        Self { clock, set: builder.build().unwrap(), events }
    }

    fn request(&self, head: impl RequestHead, act: impl FnOnce(&Session)) -> CommitReport {
        block_on(async {
            let exchange = self.set.begin();
            act(&exchange.open_first(head).await.unwrap());
            exchange.commit().await
        })
    }

    /// Returns the cookie that the response to a request with the cookie `pair` sets, if any. The request must find its session.
    fn read(&self, pair: &str) -> Option<String> {
        let report = self.request(Head::cookie(pair), |session| assert_eq!(session.opened(), Opened::Resumed));
        cookie(&report)
    }

    fn opened(&self, pair: &str) -> Opened {
        let mut opened = Opened::New;
        self.request(Head::cookie(pair), |session| opened = session.opened());
        opened
    }

    /// Stores a session of ann and returns its cookie.
    fn ann(&self) -> String {
        cookie(&self.request(Head("GET", Vec::new()), |session| session.login("ann").unwrap())).unwrap()
    }

    /// Stores a session whose id has been renewed. Returns the old cookie and the new one.
    fn renewed(&self) -> [String; 2] {
        let old = self.ann();
        self.clock.advance(AGE);
        let new = self.read(&old).expect("the id is renewed");
        self.events.lock().unwrap().clear();
        [old, new]
    }

    fn events(&self) -> Vec<EventKind> {
        std::mem::take(&mut *self.events.lock().unwrap())
    }
}

fn cookie(report: &CommitReport) -> Option<String> {
    assert!(report.error.is_none(), "{:?}", report.error);
    report.set_cookie.last().map(|line| line.pair().to_owned())
}

fn ring() -> KeyRing {
    KeyRing::new(&(0..32).collect::<Vec<u8>>()).unwrap()
}

#[test]
fn a_renewed_id_comes_in_a_cookie_with_all_attributes_and_again_if_that_was_lost() {
    for options in [CookieOptions::new(), CookieOptions::new().signed(&ring()), CookieOptions::new().persistent()] {
        let rig = Rig::new(options);
        let old = rig.ann();
        rig.clock.advance(AGE - seconds(1));
        assert_eq!(rig.read(&old), None);
        rig.clock.advance(seconds(1));
        let report = rig.request(Head::cookie(&old), |_| ());
        let line = report.set_cookie[0].as_str();
        assert!(line.contains("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{line}");
        assert_eq!(report.caching, session_http::Caching::SignedIn);
        let new = cookie(&report).unwrap();
        for _ in 0..3 {
            assert_eq!(rig.read(&old), Some(new.clone()), "the response was lost");
        }
        assert_eq!(rig.read(&new), None);
        assert_eq!(rig.events()[2..], [EventKind::Renewed]);
    }
}

#[test]
fn a_client_that_never_takes_the_new_id_keeps_its_session_until_the_time_outs() {
    let rig = Rig::new(CookieOptions::new());
    let [old, new] = rig.renewed();
    for _ in 0..25 {
        rig.clock.advance(minutes(55));
        assert_eq!(rig.read(&old), Some(new.clone()));
    }
    rig.clock.advance(minutes(55));
    assert_ne!(rig.opened(&old), Opened::Resumed, "24 hours have passed since the login");
    assert_eq!(rig.events(), []);
}

#[test]
fn a_value_in_a_header_is_renewed_in_the_response_header() {
    for (transport, response, prefix) in
        [(Transport::Header("x-session"), "x-session", ""), (Transport::Bearer, "session-token", "Bearer ")]
    {
        let rig = Rig::with(CookieOptions::new(), |builder| builder, &[transport]);
        let token = |report: &CommitReport| {
            assert!(report.error.is_none() && report.set_cookie.is_empty());
            report.tokens.first().map(|(name, token)| (*name, token.as_str().to_owned()))
        };
        let head = |value: &str| Head::get(transport.request_header(), &format!("{prefix}{value}"));
        let (_, old) = token(&rig.request(Head("GET", Vec::new()), |session| session.login("ann").unwrap())).unwrap();
        rig.clock.advance(AGE);
        let (name, new) = token(&rig.request(head(&old), |_| ())).unwrap();
        assert_eq!(name, response);
        assert_eq!(token(&rig.request(head(&old), |_| ())), Some((response, new.clone())));
        assert_eq!(token(&rig.request(head(&new), |_| ())), None);
    }
}

#[test]
fn requests_that_no_person_sees_renew_no_id() {
    let rig = Rig::new(CookieOptions::new());
    let old = rig.ann();
    rig.clock.advance(AGE);
    let quiet = |pair: &str| {
        let prefetch = Head("GET", vec![("cookie", pair.to_owned()), ("sec-purpose", "prefetch".to_owned())]);
        for head in [Head("HEAD", vec![("cookie", pair.to_owned())]), prefetch] {
            let report = rig.request(head, |session| assert_eq!(session.opened(), Opened::Resumed));
            assert_eq!(cookie(&report), None);
        }
        let polled = rig.request(Head::cookie(pair), Session::keep_expiry);
        assert_eq!(cookie(&polled), None);
    };
    quiet(&old);
    let new = rig.read(&old).unwrap();
    quiet(&old);
    quiet(&new);
    rig.clock.advance(minutes(1));
    assert_eq!(rig.read(&old), Some(new));
}

#[test]
fn a_stolen_id_that_is_used_after_the_grace_time_is_an_event_and_signs_both_out_if_asked() {
    for revokes in [false, true] {
        let revoke = |builder: ManagerBuilder| if revokes { builder.revoke_reused() } else { builder };
        let rig = Rig::with(CookieOptions::new(), revoke, &[Transport::Cookie]);
        let [old, new] = rig.renewed();
        rig.read(&new);
        rig.clock.advance(seconds(29));
        assert_eq!(rig.opened(&old), Opened::Resumed, "a request that was under way");
        assert_eq!(rig.events(), []);
        rig.clock.advance(seconds(1));
        let report = rig.request(Head::cookie(&old), |session| assert_eq!(session.opened(), Opened::Moved));
        assert_eq!(cookie(&report), None);
        let expected: &[_] = if revokes { &[EventKind::Reused, EventKind::Revoked] } else { &[EventKind::Reused] };
        assert_eq!(rig.events(), expected);
        assert_eq!(rig.opened(&new), if revokes { Opened::Unknown } else { Opened::Resumed });
    }
}

#[test]
fn after_a_login_or_logout_the_old_cookies_open_nothing() {
    let steps: [fn(&Session); 3] =
        [|session| session.login("ann").unwrap(), |session| session.rotate().unwrap(), Session::logout];
    for step in steps {
        for through in [0, 1] {
            let rig = Rig::new(CookieOptions::new());
            let cookies = rig.renewed();
            let report = rig.request(Head::cookie(&cookies[through]), step);
            assert!(cookie(&report).is_some());
            for old in &cookies {
                assert!(matches!(rig.opened(old), Opened::Moved | Opened::Ended));
                let late = rig.request(Head::cookie(old), |_| ());
                assert_eq!(cookie(&late), None, "a late response must not replace the cookie");
            }
        }
    }
}

#[test]
fn two_cookies_with_the_old_id_and_the_new_one_are_one_session() {
    let rig = Rig::new(CookieOptions::new());
    let [old, new] = rig.renewed();
    for both in [format!("{old}; {new}"), format!("{new}; {old}")] {
        let report = rig.request(Head::cookie(&both), |session| assert_eq!(session.opened(), Opened::Resumed));
        assert!(cookie(&report).is_none_or(|pair| pair == new));
    }
}

#[test]
fn an_old_id_at_a_former_place_gives_way_to_the_new_one_and_is_cleared() {
    let before = CookieOptions::new().name("__Secure-id");
    let rig = Rig::new(CookieOptions::new().name("__Secure-id").domain("example.com").formerly(before));
    let [old, new] = rig.renewed();
    for both in [format!("{old}; {new}"), format!("{new}; {old}")] {
        let report = rig.request(Head::cookie(&both), |session| assert!(!session.has_old_id()));
        let lines: Vec<_> = report.set_cookie.iter().map(|line| line.as_str()).collect();
        let [cleared, sent] = lines[..] else { panic!("{lines:?}") };
        assert!(cleared.contains("; Max-Age=0") && !cleared.contains("; Domain"), "{cleared}");
        assert!(sent.starts_with(&new) && sent.contains("; Domain=example.com"), "{sent}");
    }
    assert_eq!(rig.events(), []);
}

#[test]
fn a_response_that_fails_or_hands_out_the_value_renews_no_id() {
    let rig = Rig::new(CookieOptions::new());
    let old = rig.ann();
    rig.clock.advance(AGE);
    block_on(async {
        let exchange = rig.set.begin();
        exchange.open_first(Head::cookie(&old)).await.unwrap();
        exchange.abandon();
        assert_eq!(cookie(&exchange.commit().await), None);

        let exchange = rig.set.begin();
        exchange.open_first(Head::cookie(&old)).await.unwrap();
        let token = exchange.token("id").await.unwrap();
        assert_eq!(old.split_once('=').unwrap().1, token.as_str());
        assert_eq!(cookie(&exchange.commit().await), None);
    });
    assert!(rig.read(&old).is_some());
}

#[test]
fn a_session_that_is_kept_in_its_cookie_cannot_be_renewed() {
    let manager = Manager::builder(CookieStore::new(&ring())).renew_id_every(AGE).build().unwrap();
    let error = SessionSet::new(manager, CookieOptions::new()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("`renew_id_every`"), "{error}");
}
