//! Application that sets and clears the cookie.

use pollster::block_on;
use session_core::{Manager, ManualClock, Session, Timestamp, seconds};
use session_http::{CookieOptions, RequestHead, SessionSet};
use session_store_memory::MemoryStore;

use super::request::Request;

/// An application with one session.
#[derive(Clone)]
pub(crate) struct App {
    set: SessionSet,
    store: MemoryStore,
    clock: ManualClock,
}

struct Head<'h> {
    host: &'h str,
    path: &'h str,
    cookies: &'h str,
}

impl RequestHead for Head<'_> {
    fn header(&self, name: &str, nth: usize) -> Option<&[u8]> {
        let value = match name {
            "cookie" => self.cookies,
            "host" => self.host,
            _ => return None,
        };
        (nth == 0).then_some(value.as_bytes())
    }

    fn path(&self) -> Option<&str> {
        Some(self.path)
    }
}

impl App {
    pub(crate) fn new(options: CookieOptions) -> Self {
        let (store, clock) = (MemoryStore::new(), ManualClock::new(Timestamp::from_millis(1_000_000).unwrap()));
        Self { set: set(&store, &clock, options), store, clock }
    }

    /// The same application after its cookie's options were changed, a second later.
    pub(crate) fn with(&self, options: CookieOptions) -> Self {
        self.clock.advance(seconds(1));
        Self { set: set(&self.store, &self.clock, options), ..self.clone() }
    }

    /// Answers `request`, which comes with these cookies, and returns the `Set-Cookie` lines.
    pub(crate) fn answer(&self, request: &Request, cookies: &str, act: impl FnOnce(&Session)) -> Vec<String> {
        let (_, host, path) = request.parts();
        block_on(async {
            let exchange = self.set.begin();
            act(&exchange.open_first(Head { host, path, cookies }).await.unwrap());
            let report = exchange.commit().await;
            assert!(report.error.is_none(), "{report:?}");
            report.set_cookie.into_iter().map(session_http::SetCookie::into_string).collect()
        })
    }

    /// Starts a session that holds `n`, and returns its line.
    pub(crate) fn issue(&self, n: u8) -> String {
        let mut lines = self.answer(&Request::AT_SETTER, "", |session| session.insert("n", &n).unwrap());
        assert_eq!(lines.len(), 1, "{lines:?}");
        lines.remove(0)
    }
}

fn set(store: &MemoryStore, clock: &ManualClock, options: CookieOptions) -> SessionSet {
    let manager = Manager::builder(store.clone()).clock(clock.clone()).build().unwrap();
    SessionSet::new(manager, options).unwrap()
}

/// The `name=value` of a line.
pub(crate) fn pair(line: &str) -> &str {
    line.split(';').next().unwrap()
}
