//! Application with one session over a memory store, and its requests.

use pollster::block_on;
use session_core::{Manager, ManualClock, Session, Timestamp};
use session_http::{CommitReport, CookieOptions, Exchange, SessionSet};
use session_store_memory::MemoryStore;

pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) set: SessionSet,
}

impl Rig {
    pub(crate) fn new(options: CookieOptions) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
        let manager = Manager::builder(MemoryStore::new()).clock(clock.clone()).build().unwrap();
        Self { clock, set: SessionSet::new(manager, options).unwrap() }
    }

    /// Makes a request with these cookies, whose handler runs `act`.
    pub(crate) fn request(&self, cookies: &str, act: impl FnOnce(&Session)) -> CommitReport {
        block_on(async {
            let (exchange, session) = self.open(cookies).await;
            act(&session);
            exchange.commit().await
        })
    }

    pub(crate) async fn open(&self, cookies: &str) -> (Exchange, Session) {
        let exchange = self.set.begin();
        let session = exchange.open("id", [cookies.as_bytes()]).await.unwrap();
        (exchange, session)
    }

    /// Stores a session and returns its `name=value`.
    pub(crate) fn stored(&self) -> String {
        pair(&self.request("", |session| session.insert("n", &1).unwrap()))
    }
}

pub(crate) fn pair(committed: &CommitReport) -> String {
    assert!(committed.error.is_none(), "{:?}", committed.error);
    committed.set_cookie[0].pair().to_owned()
}
