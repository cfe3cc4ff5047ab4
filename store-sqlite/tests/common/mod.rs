//! What the tests of this store share.
#![allow(dead_code, reason = "each test binary uses its own part")]

use std::future::{Future, poll_fn, ready};
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::pin::Pin;
use std::task::Poll;

use session_core::{Bytes, Call, Clock, Outcome, Principal, Record, Store, StoreKey, SystemClock, Version, hours};
use store_sqlite::{SqliteStore, SqliteStoreBuilder};
use tempfile::TempDir;

pub(crate) const MANY: NonZeroU32 = NonZeroU32::MAX;

/// A directory with room for a database.
pub(crate) struct Place {
    pub(crate) directory: TempDir,
}

impl Place {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("sessions.db")
    }

    pub(crate) fn builder(&self) -> SqliteStoreBuilder {
        SqliteStore::builder(self.path())
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        self.builder().open().await.unwrap()
    }

    /// A connection of somebody else's.
    pub(crate) fn foreign(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}

pub(crate) fn now() -> Call {
    Call::new(SystemClock.now())
}

pub(crate) fn key(n: u32) -> StoreKey {
    let mut bytes = [7; 32];
    bytes[..4].copy_from_slice(&n.to_le_bytes());
    StoreKey::from_bytes(bytes)
}

pub(crate) fn record(data: &[u8]) -> Record {
    let now = SystemClock.now();
    Record::new(Version::random(), now, now.plus(hours(1)), None, Bytes::copy_from_slice(data))
}

pub(crate) fn record_of(who: &str) -> Record {
    let mut record = record(b"{}");
    record.principal = Some(Principal::new(who).unwrap());
    record
}

pub(crate) async fn put(store: &SqliteStore, n: u32, record: &Record) {
    assert_eq!(store.create(&now(), &key(n), record).await.unwrap(), Outcome::Done);
}

pub(crate) async fn get(store: &SqliteStore, n: u32) -> Option<Record> {
    store.load(&now(), &key(n)).await.unwrap()
}

pub(crate) type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Polls a future once, so that its call is queued, in this order, when this returns.
pub(crate) async fn begin<'a, T: Send + 'a>(future: impl Future<Output = T> + Send + 'a) -> Pending<'a, T> {
    let mut future: Pending<'a, T> = Box::pin(future);
    match poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(answer) => Box::pin(ready(answer)),
        Poll::Pending => future,
    }
}
