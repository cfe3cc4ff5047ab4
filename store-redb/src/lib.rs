#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session_core::{
    Call, Capabilities, Cursor, Error, ErrorKind, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store,
    StoreKey, Timestamp, Version, async_trait,
};
use session_store_kit::batch::{Entrance, Reply, Request, RequestKind, Workers};
use session_store_kit::operations::{after, page};
use session_store_kit::{MAX_DATA_LEN, fits};
use tokio::task;

mod access;
mod backend;
#[cfg(test)]
mod broken;
mod builder;
mod config;
mod database;
mod error;
mod flush;
mod found_file;
mod open_file;
mod operations;
mod read;
mod rows;
mod schema;
#[cfg(test)]
mod torn;
mod url;
mod write;

pub use builder::RedbStoreBuilder;
pub use config::Durability;
use database::SharedDatabase;
use schema::Prefix;

/// A [`Store`] that keeps sessions in a redb file. See the [crate's documentation](crate).
///
/// Clones are cheap and share threads.
#[derive(Clone)]
pub struct RedbStore(Arc<Inner>);

struct Inner {
    /// The threads keep it open.
    database: Arc<SharedDatabase>,
    prefix: Prefix,
    closed: AtomicBool,
    readers: Workers<Request>,
    writer: Workers<Request>,
    /// The thread for delayed commits, and compactions, are inside until they have ended.
    beside: Entrance,
    namespace: Namespace,
    timeout: Duration,
}

impl RedbStore {
    /// Moves the pages of the file together and gives the freed space back to the disk. Returns whether any page was moved.
    ///
    /// It concerns all namespaces of the file. Other calls wait meanwhile, within their time-outs. redb uses freed pages again, so this is worth it only after many sessions have ended for good.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let path = directory.path().join("sessions.redb");
    /// # let store = session_store_redb::RedbStore::builder(path).open().await?;
    /// store.compact().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the calls in flight do not end within the time-out, and after [`close`](Store::close).
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub async fn compact(&self) -> Result<bool> {
        let pass = self.0.beside.enter()?;
        let (inner, deadline) = (Arc::clone(&self.0), self.deadline());
        let compaction = task::spawn_blocking(move || {
            let moved = inner.database.compact(&inner.namespace, deadline);
            drop(pass);
            moved
        });
        compaction.await.unwrap_or_else(|failed| {
            Err(Error::fixed(ErrorKind::Other, "compacting the database panicked").with_source(&failed))
        })
    }

    async fn write(&self, call: &Call, kind: RequestKind) -> Result<Reply> {
        self.0.writer.call(self.request(call, kind)).await
    }

    async fn read(&self, call: &Call, kind: RequestKind) -> Result<Reply> {
        self.0.readers.call(self.request(call, kind)).await
    }

    fn request(&self, call: &Call, kind: RequestKind) -> Request {
        Request { now: call.now, deadline: self.deadline(), kind }
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.0.timeout
    }
}

impl fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedbStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedbStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().durable(true).by_principal(true).scan(true).max_data_len(Some(MAX_DATA_LEN))
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record, MAX_DATA_LEN)?;
        self.write(call, RequestKind::Create(*key, Box::new(record.clone()))).await?.outcome()
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        let Inner { database, prefix, closed, .. } = &*self.0;
        if !closed.load(Ordering::Acquire)
            && let Some(loaded) = database.load_from_memory(prefix, key, call.now)
        {
            return loaded;
        }
        self.read(call, RequestKind::Load(*key)).await?.record()
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        fits(record, MAX_DATA_LEN)?;
        self.write(call, RequestKind::Save(*key, expected, Box::new(record.clone()))).await?.outcome()
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.write(call, RequestKind::Touch(*key, expected, expires_at)).await?.outcome()
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.write(call, RequestKind::Delete(*key, expected)).await?.outcome()
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.write(call, RequestKind::Purge(limit.get())).await?.purged()
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.read(call, RequestKind::SessionsOf(principal.clone(), limit.get())).await?.records()
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.write(call, RequestKind::DeleteAll(principal.clone(), keep.copied())).await?.removed()
    }

    async fn scan(&self, call: &Call, cursor: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let records = self.read(call, RequestKind::Scan(after(cursor.as_ref())?, limit.get())).await?.records()?;
        Ok(page(records, limit))
    }

    /// Ends the threads, makes delayed commits durable, and closes the file if no other store of the process uses it.
    async fn close(&self) -> Result<()> {
        self.0.closed.store(true, Ordering::Release);
        self.0.readers.close().await;
        self.0.writer.close().await;
        self.0.beside.close().await;
        Ok(())
    }
}
