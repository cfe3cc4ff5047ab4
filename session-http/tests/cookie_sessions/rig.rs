//! Application with one cookie session, and its requests.

use pollster::block_on;
use session_core::{Manager, ManagerBuilder, ManualClock, Opened, Session, Timestamp};
use session_crypto::KeyRing;
use session_http::{CommitReport, CookieOptions, CookieStore, Exchange, SessionSet};

pub(crate) fn ring(keys: &[u8]) -> KeyRing {
    let secret = |n: u8| (n..n + 32).collect::<Vec<u8>>();
    let ring = KeyRing::new(&secret(keys[0])).unwrap();
    keys[1..].iter().fold(ring, |ring, n| ring.and(&secret(*n)).unwrap())
}

pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) options: CookieOptions,
    pub(crate) set: SessionSet,
}

impl Rig {
    pub(crate) fn new(options: CookieOptions) -> Self {
        let clock = ManualClock::new(Timestamp::from_millis(1_700_000_000_000).unwrap());
        let set = SessionSet::new(manager(&clock, &[1]).build().unwrap(), options.clone()).unwrap();
        Self { clock, options, set }
    }

    /// Restarts the application with other keys.
    pub(crate) fn restarted(&self, keys: &[u8]) -> Self {
        let set = SessionSet::new(manager(&self.clock, keys).build().unwrap(), self.options.clone()).unwrap();
        Self { clock: self.clock.clone(), options: self.options.clone(), set }
    }

    pub(crate) fn request(&self, cookies: &str, act: impl FnOnce(&Session)) -> CommitReport {
        block_on(async {
            let (exchange, session) = self.open(cookies).await;
            act(&session);
            exchange.commit().await
        })
    }

    pub(crate) async fn open(&self, cookies: &str) -> (Exchange, Session) {
        let exchange = self.set.begin();
        let session = exchange.open_first([cookies.as_bytes()]).await.unwrap();
        (exchange, session)
    }

    /// Stores a session with a count of 1 and returns its cookie as the client sends it.
    pub(crate) fn begun(&self) -> String {
        pair(&self.request("", |session| session.insert("n", &1).unwrap()))
    }

    pub(crate) fn opened(&self, cookies: &str) -> Opened {
        let mut opened = Opened::New;
        self.request(cookies, |session| opened = session.opened());
        opened
    }
}

pub(crate) fn manager(clock: &ManualClock, keys: &[u8]) -> ManagerBuilder {
    Manager::builder(CookieStore::new(&ring(keys))).clock(clock.clone())
}

pub(crate) fn pair(committed: &CommitReport) -> String {
    assert!(committed.error.is_none(), "{:?}", committed.error);
    committed.set_cookie[0].pair().to_owned()
}

pub(crate) fn max_age(committed: &CommitReport) -> Option<u64> {
    let line = committed.set_cookie[0].as_str();
    line.split("; ").find_map(|part| part.strip_prefix("Max-Age=")).map(|age| age.parse().unwrap())
}

pub(crate) fn rig_start() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000).unwrap()
}
