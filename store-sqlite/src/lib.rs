#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{
    Call, Capabilities, Cursor, Error, ErrorKind, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store,
    StoreKey, Timestamp, Version, async_trait,
};
use session_store_kit::batch::Workers;
use session_store_kit::fits;
use session_store_kit::operations;

mod builder;
mod checkpoint;
mod connection;
mod error;
mod schema;
mod url;
mod work;

pub use builder::SqliteStoreBuilder;
use work::{Answer, Op, What};

/// Maximum length of a record's data. SQLite itself allows almost 1 GB, but all other writes would wait for such a row.
const MAX_DATA_LEN: usize = 16 << 20;

/// Point at which a commit is flushed to disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Synchronous {
    /// Flushes commits at the next checkpoint. A crash of the process loses nothing.
    /// A loss of power may undo the latest commits, in order, but leaves an intact database.
    #[default]
    Normal,
    /// Flushes each commit before it is reported. A loss of power undoes nothing, but each transaction waits for the disk.
    Full,
}

impl Synchronous {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Full => "full",
        }
    }
}

/// A [`Store`] that keeps sessions in SQLite. See the [crate's documentation](crate).
///
/// Clones are cheap and share threads and connections.
#[derive(Clone)]
pub struct SqliteStore(Arc<Inner>);

struct Inner {
    writer: Workers<Op>,
    /// `None` in memory, where the writer's connection is the only one.
    readers: Option<Workers<Op>>,
    namespace: Namespace,
    timeout: Duration,
}

impl SqliteStore {
    /// Opens the store that `url` describes.
    ///
    /// `sqlite://sessions.db` is relative to the working directory, `sqlite:///var/lib/app/sessions.db` absolute,
    /// `sqlite::memory:` in memory. Characters may be percent-encoded.
    /// Options: `namespace`, `timeout` in ms, `synchronous` (`normal`, `full`), `create` (`true`, `false`), `readers`;
    /// [`SqliteStoreBuilder`] explains them.
    ///
    /// ```
    /// use session_store_sqlite::SqliteStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// let store = SqliteStore::connect("sqlite::memory:?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an invalid URL, and the errors of [`SqliteStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        url::parse(url)?.open().await
    }

    /// Returns the SQL that creates the tables and indexes of a namespace, for a migration tool. Running it again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `namespace` is not a valid namespace.
    pub fn schema(namespace: &str) -> Result<String> {
        schema::namespace(namespace).map(|namespace| schema::create(&namespace))
    }

    async fn write(&self, call: &Call, what: What) -> Result<Answer> {
        self.0.writer.call(self.op(call, what)).await
    }

    async fn read(&self, call: &Call, what: What) -> Result<Answer> {
        let Inner { writer, readers, .. } = &*self.0;
        let loads = matches!(what, What::Load(_));
        let op = self.op(call, what);
        let Some(readers) = readers else { return writer.call(op).await };
        // When calls come one at a time, the writer answers a load that follows a save. Its thread is awake and its cache holds
        // the current pages, while a reader must reload the pages that a commit has changed.
        let op = match loads && !readers.is_busy() {
            true => match writer.try_call(op) {
                Ok(answer) => return answer.await,
                Err(op) => op,
            },
            false => op,
        };
        readers.call(op).await
    }

    fn op(&self, call: &Call, what: What) -> Op {
        Op { now: call.now, until: Instant::now() + self.0.timeout, what }
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
        self.write(call, What::Create(*key, record.clone())).await?.outcome()
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        match self.read(call, What::Load(*key)).await? {
            Answer::Record(record) => Ok(record),
            _ => Err(MIXED_UP),
        }
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        fits(record, MAX_DATA_LEN)?;
        self.write(call, What::Save(*key, expected, record.clone())).await?.outcome()
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.write(call, What::Touch(*key, expected, expires_at)).await?.outcome()
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.write(call, What::Delete(*key, expected)).await?.outcome()
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        match self.write(call, What::Purge(limit.get())).await? {
            Answer::Purged(purged) => Ok(purged),
            _ => Err(MIXED_UP),
        }
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.read(call, What::SessionsOf(principal.clone(), limit.get())).await?.records()
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        match self.write(call, What::DeleteAll(principal.clone(), keep.copied())).await? {
            Answer::Removed(removed) => Ok(removed),
            _ => Err(MIXED_UP),
        }
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let records = self.read(call, What::Scan(operations::after(after.as_ref())?, limit.get())).await?.records()?;
        Ok(operations::page(records, limit))
    }
}

const MIXED_UP: Error = Error::fixed(ErrorKind::Other, "a thread answered another question");

impl Answer {
    fn outcome(self) -> Result<Outcome> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            _ => Err(MIXED_UP),
        }
    }

    fn records(self) -> Result<Vec<(StoreKey, Record)>> {
        match self {
            Self::Records(records) => Ok(records),
            _ => Err(MIXED_UP),
        }
    }
}
