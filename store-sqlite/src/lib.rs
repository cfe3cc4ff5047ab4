#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{
    Call, Capabilities, Cursor, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version, async_trait,
};
use session_store_kit::batch::{Entrance, Reply, Request, RequestKind, Workers};
use session_store_kit::fits;
use session_store_kit::operations::{after, page};

mod access;
mod builder;
mod checkpoint;
mod config;
mod connection;
mod error;
mod files;
mod operations;
mod rows;
mod schema;
mod table;
mod url;

pub use builder::SqliteStoreBuilder;
pub use config::Synchronous;

/// Maximum length of a record's data. SQLite itself allows almost 1 GB, but all other writes would wait for such a row.
const MAX_DATA_LEN: usize = 16 << 20;

/// A [`Store`] that keeps sessions in SQLite. See the [crate's documentation](crate).
///
/// Clones are cheap and share threads and connections.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    writer: Workers<Request>,
    /// `None` in memory, where the writer's connection is the only one.
    readers: Option<Workers<Request>>,
    /// The thread for checkpoints is inside until it has ended, which it does after the writer.
    checkpoints: Entrance,
    namespace: Namespace,
    timeout: Duration,
}

impl SqliteStore {
    /// Returns the SQL that creates the tables and indexes of a namespace, for a migration tool. Running it again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is not a valid namespace.
    pub fn schema(namespace: &str) -> Result<String> {
        schema::namespace(namespace).map(|namespace| schema::create(&namespace))
    }

    async fn write(&self, call: &Call, kind: RequestKind) -> Result<Reply> {
        self.0.writer.call(self.request(call, kind)).await
    }

    async fn read(&self, call: &Call, kind: RequestKind) -> Result<Reply> {
        let Inner { writer, readers, .. } = &*self.0;
        let loads = matches!(kind, RequestKind::Load(_));
        let request = self.request(call, kind);
        let Some(readers) = readers else { return writer.call(request).await };
        // When calls come one at a time, the writer answers a load that follows a save. Its thread is awake and its cache holds
        // the current pages, while a reader must reload the pages that a commit has changed.
        let request = match loads && !readers.is_busy() {
            true => match writer.try_call(request) {
                Ok(answer) => return answer.await,
                Err(request) => request,
            },
            false => request,
        };
        readers.call(request).await
    }

    fn request(&self, call: &Call, kind: RequestKind) -> Request {
        Request { now: call.now, deadline: Instant::now() + self.0.timeout, kind }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for SqliteStore {
    fn capabilities(&self) -> Capabilities {
        let file = self.0.readers.is_some();
        Capabilities::new().durable(file).shared(file).by_principal(true).scan(true).max_data_len(Some(MAX_DATA_LEN))
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record, MAX_DATA_LEN)?;
        self.write(call, RequestKind::Create(*key, Box::new(record.clone()))).await?.outcome()
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
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

    /// Ends the threads and closes the connections. SQLite folds the log in and removes it if no other process uses the file.
    async fn close(&self) -> Result<()> {
        if let Some(readers) = &self.0.readers {
            readers.close().await;
        }
        self.0.writer.close().await;
        self.0.checkpoints.close().await;
        Ok(())
    }
}
