//! Builder of the store.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::batch::{Entrance, Limits, Workers};
use session_store_kit::{Settings, absolute, setters, within};
use tokio::{task, time};

use crate::checkpoint::Checkpointer;
use crate::config::{Config, Location};
use crate::connection::Connections;
use crate::operations::{Reader, Writer};
use crate::schema::{self, Statements};
use crate::{Inner, SqliteStore, Synchronous};

/// Maximum number of calls, and of their bytes, in one transaction.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;

/// Builder of a [`SqliteStore`], returned by [`SqliteStore::builder`] and [`SqliteStore::in_memory`].
///
/// ```
/// use session_core::seconds;
/// use session_store_sqlite::{SqliteStore, Synchronous};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("sessions.db");
/// let store = SqliteStore::builder(path)
///     .namespace("web_sessions")
///     .synchronous(Synchronous::Full)
///     .timeout(seconds(2))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct SqliteStoreBuilder {
    location: Location,
    pub(crate) settings: Settings,
    synchronous: Synchronous,
    create: bool,
    readers: usize,
    max_page_count: Option<u32>,
}

impl SqliteStoreBuilder {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            location: Location::File(path),
            settings: Settings::new(),
            synchronous: Synchronous::Normal,
            create: true,
            // More readers than cores would only take the cores away from the application.
            readers: thread::available_parallelism().map_or(1, NonZeroUsize::get).div_ceil(2).min(4),
            max_page_count: None,
        }
    }

    pub(crate) fn in_memory() -> Self {
        Self { location: Location::Memory, ..Self::at(PathBuf::new()) }
    }

    #[cfg(test)]
    pub(crate) const fn location(&self) -> &Location {
        &self.location
    }

    setters! {
        /// It is the table's name.
        namespace;
        /// Opening the store takes as long at most.
        timeout;
        /// Without it, a migration tool must run the SQL from [`SqliteStore::schema`].
        create;
        /// It applies to calls for the writer and to calls for the readers separately.
        queue;
    }

    /// Sets when a commit is flushed to disk. Default: [`Synchronous::Normal`].
    pub const fn synchronous(mut self, synchronous: Synchronous) -> Self {
        self.synchronous = synchronous;
        self
    }

    /// Sets the number of reading threads. 1 to 64. Default: half the cores, at most 4.
    ///
    /// A store in memory has no reading threads; its writer also reads.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Sets the maximum size of the database in pages of 4 KiB. Default: SQLite's limit of about 4 billion.
    ///
    /// A write that no longer fits fails with `Unavailable`.
    pub const fn max_page_count(mut self, pages: u32) -> Self {
        self.max_page_count = Some(pages);
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`] for options outside their ranges, a file or directory that is missing or cannot be written,
    ///   tables that are missing while `create` is off, or tables of another layout.
    /// - [`ErrorKind::Corrupt`] for a file that is not a database.
    /// - [`ErrorKind::Unavailable`] when other processes hold the database for the whole time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn open(mut self) -> Result<SqliteStore> {
        let namespace = schema::namespace(self.settings.check()?.as_str())?;
        if let Location::File(path) = &mut self.location {
            *path = absolute(path)?;
        }
        within("readers", self.readers, 1..=64)?;
        let timeout = self.settings.timeout;
        // On a blocking thread, because opening reads and writes files.
        let opening = task::spawn_blocking(move || self.open_blocking(namespace));
        let opening = time::timeout(timeout.saturating_add(timeout / 4), opening);
        match opening.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(failed)) => Err(Error::fixed(
                ErrorKind::Other,
                "opening the database panicked; this is a fault of the store, please report it",
            )
            .with_source(&failed)),
            Err(_) => Err(Error::fixed(ErrorKind::Unavailable, "the database was not opened within the time-out")),
        }
    }

    fn open_blocking(self, namespace: Namespace) -> Result<SqliteStore> {
        let store = Connections::new(Config {
            statements: Statements::new(&namespace),
            location: self.location,
            namespace: namespace.clone(),
            timeout: self.settings.timeout,
            synchronous: self.synchronous,
            create: self.create,
            max_page_count: self.max_page_count,
        });
        let limits = Limits::for_threads()
            .items(BATCH)
            .bytes(BATCH_BYTES)
            .queue(self.settings.queue)
            .timeout(self.settings.timeout);
        let (mut writer, checkpoints) = (store.writer()?, Entrance::default());
        let readers = match store.config.location {
            Location::File(_) => {
                let mut beside = store.reader()?;
                writer.watch_with(Checkpointer::start(move || beside.checkpoint(), checkpoints.enter()?)?)?;
                let readers = (0..self.readers).map(|_| store.reader().map(Reader));
                Some(Workers::start("sqlite-reader", readers.collect::<Result<Vec<_>>>()?, limits.clone())?)
            }
            // In memory each connection has its own database.
            Location::Memory => None,
        };
        let writer = Workers::start("sqlite-writer", [Writer(writer)], limits)?;
        Ok(SqliteStore(Arc::new(Inner { writer, readers, checkpoints, namespace, timeout: store.config.timeout })))
    }
}

impl SqliteStore {
    /// Returns a builder for a store in the file at `path`. [`SqliteStoreBuilder`] has an example.
    pub fn builder(path: impl AsRef<Path>) -> SqliteStoreBuilder {
        SqliteStoreBuilder::at(path.as_ref().to_owned())
    }

    /// Returns a builder for a store in memory, for tests. Its sessions are lost when the last clone of the store is dropped.
    pub fn in_memory() -> SqliteStoreBuilder {
        SqliteStoreBuilder::in_memory()
    }
}
