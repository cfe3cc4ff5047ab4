//! Application over a memory store, and requests with whole heads.

use std::net::IpAddr;

use pollster::block_on;
use session_conformance::log::Log;
use session_core::{Manager, ManualClock, Session, Timestamp, days};
use session_http::{CommitReport, CookieOptions, Exchange, RequestHead, SessionSet};

use crate::counting::Counting;

/// Head of a request.
#[derive(Clone, Default)]
pub(crate) struct Head {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) peer: Option<IpAddr>,
}

impl Head {
    pub(crate) fn get(headers: &[(&'static str, &str)]) -> Self {
        Self::of("GET", headers)
    }

    pub(crate) fn of(method: &'static str, headers: &[(&'static str, &str)]) -> Self {
        let headers = headers.iter().map(|&(name, value)| (name, value.to_owned())).collect();
        Self { method, path: "/", headers, peer: None }
    }

    pub(crate) fn and(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(crate) fn cookies(self, cookies: &str) -> Self {
        self.and("cookie", cookies)
    }
}

impl RequestHead for Head {
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        let mut found = self.headers.iter().filter(|(own, _)| *own == name).map(|(_, value)| value.as_bytes());
        found.nth(nth)
    }

    fn method(&self) -> Option<&str> {
        Some(self.method)
    }

    fn path(&self) -> Option<&str> {
        Some(self.path)
    }

    fn peer(&self) -> Option<IpAddr> {
        self.peer
    }
}

/// Application. Others with other options can share its store.
#[derive(Clone)]
pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) set: SessionSet,
    store: Counting,
}

impl Rig {
    pub(crate) fn new(options: CookieOptions) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
        let store = Counting::default();
        Self { set: set(&store, &clock, options), clock, store }
    }

    /// The same application after its cookie's options were changed.
    pub(crate) fn with(&self, options: CookieOptions) -> Self {
        Self { set: set(&self.store, &self.clock, options), ..self.clone() }
    }

    pub(crate) fn request(&self, head: Head, act: impl FnOnce(&Session)) -> CommitReport {
        block_on(async {
            let (exchange, session) = self.open(head).await;
            act(&session);
            exchange.commit().await
        })
    }

    pub(crate) async fn open(&self, head: Head) -> (Exchange, Session) {
        let exchange = self.set.begin();
        let session = exchange.open("id", head).await.unwrap();
        (exchange, session)
    }

    /// Number of loads since the last call of this method.
    pub(crate) fn loads(&self) -> usize {
        self.store.loads()
    }

    /// Stores a session and returns its `name=value`.
    pub(crate) fn stored(&self, fill: impl FnOnce(&Session)) -> String {
        pair(&self.request(Head::get(&[]), fill))
    }
}

fn set(store: &Counting, clock: &ManualClock, options: CookieOptions) -> SessionSet {
    let manager = Manager::builder(store.clone()).clock(clock.clone()).max_idle(days(1_000)).max_absolute(days(2_000));
    SessionSet::new(manager.build().unwrap(), options).unwrap()
}

/// The last line's `name=value`, which is the one that is issued.
pub(crate) fn pair(report: &CommitReport) -> String {
    assert!(report.error.is_none(), "{:?}", report.error);
    report.set_cookie.last().expect("a cookie is set").pair().to_owned()
}

/// Attributes of the lines that clear a cookie: domain, path and partition.
pub(crate) fn cleared(report: &CommitReport) -> Vec<String> {
    let is_clear = |line: &&str| line.contains("; Max-Age=0");
    let is_place = |part: &&str| ["Path", "Domain", "Partitioned"].iter().any(|name| part.starts_with(name));
    let lines = report.set_cookie.iter().map(session_http::SetCookie::as_str).filter(is_clear);
    lines.map(|line| line.split("; ").filter(is_place).collect::<Vec<_>>().join(" ")).collect()
}

/// Runs `act` and returns the events that it sends.
pub(crate) fn events(act: impl FnOnce()) -> String {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::with_default(subscriber, act);
    log.text()
}
