//! Builder of the store.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::batch::{Entrance, Limits, Workers};
use session_store_kit::{Settings, absolute, setters, within, wrong};
use tokio::{task, time};

use crate::config::{FileOptions, lock_timeout};
use crate::database::{Handle, Opening};
use crate::flush::Flusher;
use crate::operations::{Namespaced, Reader, Writer};
use crate::schema::Prefix;
use crate::{Durability, Inner, RedbStore, error};

/// Maximum number of calls, and of their bytes, in one transaction.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 << 20;
/// Bytes of a MiB, in which the cache is counted.
const MIB: usize = 1 << 20;

/// Builder of a [`RedbStore`], returned by [`RedbStore::builder`].
///
/// ```
/// use session_core::seconds;
/// use session_store_redb::{Durability, RedbStore};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// # let directory = tempfile::tempdir().unwrap();
/// # let path = directory.path().join("sessions.redb");
/// let store = RedbStore::builder(path)
///     .namespace("web_sessions")
///     .durability(Durability::Delayed)
///     .timeout(seconds(2))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct RedbStoreBuilder {
    pub(crate) path: PathBuf,
    pub(crate) settings: Settings,
    durability: Durability,
    create: bool,
    cache: usize,
    readers: usize,
    max_len: u64,
}

impl RedbStoreBuilder {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self {
            path,
            settings: Settings::new(),
            durability: Durability::Immediate,
            create: true,
            cache: 64,
            // More readers than cores would only take the cores away from the application.
            readers: thread::available_parallelism().map_or(1, NonZeroUsize::get).div_ceil(2).min(4),
            max_len: u64::MAX,
        }
    }

    setters! {
        /// Namespaces in one file are independent.
        namespace;
        /// Opening the store waits as long for another process that has the file. Checking the file may take longer.
        timeout;
        /// Without it, the file must exist and hold the namespace.
        create;
        /// It applies to calls for the writer and to calls for the readers separately.
        queue;
    }

    /// Sets when a commit is on the disk. Default: [`Durability::Immediate`].
    pub const fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// Sets the size of the page cache in MiB. 1 to 1,048,576. Default: 64.
    ///
    /// While the cache is at least 16 MiB larger than the file, loads are answered from it without a thread.
    /// All stores of a process on one file share the cache, and need the same size.
    pub const fn cache(mut self, mib: usize) -> Self {
        self.cache = mib;
        self
    }

    /// Sets the number of reading threads. 1 to 64. Default: half the cores, at most 4.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Sets the maximum length of the file in bytes. Default: what the disk holds.
    ///
    /// A write that no longer fits fails with `Unavailable`. All stores of a process on one file need the same length.
    pub const fn max_len(mut self, bytes: u64) -> Self {
        self.max_len = bytes;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`] for options outside their ranges, a file or directory that is missing or cannot be written,
    ///   a file that is not redb's, tables that this store has not made, and a namespace that is missing while `create` is off.
    /// - [`ErrorKind::Corrupt`] for a damaged file.
    /// - [`ErrorKind::Unavailable`] when another process has the file open for the whole time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn open(mut self) -> Result<RedbStore> {
        let namespace = self.settings.check()?;
        if self.path.as_os_str().is_empty() {
            return wrong("the path of the database is empty; give one, such as /var/lib/shop.redb");
        }
        self.path = absolute(&self.path)?;
        within("cache", self.cache, 1..=MIB)?;
        within("readers", self.readers, 1..=64)?;
        let checking = Arc::new(AtomicBool::new(false));
        let reads = Arc::clone(&checking);
        let timeout = self.settings.timeout;
        // On a blocking thread, because opening reads and writes files.
        let mut opening = task::spawn_blocking(move || self.open_blocking(namespace, checking));
        let opened = match time::timeout(timeout.saturating_add(timeout / 4), &mut opening).await {
            // No other process has the file, and reading all of it takes as long as it takes.
            Err(_) if reads.load(Ordering::Relaxed) => opening.await,
            Err(_) => return Err(NOT_OPENED),
            Ok(opened) => opened,
        };
        opened.unwrap_or_else(|failed| Err(PANICKED.with_source(&failed)))
    }

    fn open_blocking(self, namespace: Namespace, checking: Arc<AtomicBool>) -> Result<RedbStore> {
        check_path(&self.path, self.create)?;
        let opening = Opening {
            options: FileOptions { path: self.path.clone(), cache: self.cache * MIB, max_len: self.max_len },
            create: self.create,
            deadline: Instant::now() + lock_timeout(self.settings.timeout),
            checking,
        };
        let handle = Handle::open(&opening)?;
        let open = handle.0.ready(None, opening.deadline)?;
        if self.create {
            open.create_namespace(&namespace).map_err(|error| error::in_use(&error))?;
        }
        open.check_namespace(&namespace)?;
        drop(open);
        self.start(handle, namespace)
    }

    /// Starts the threads of a store on an open file that has the namespace.
    pub(crate) fn start(self, handle: Arc<Handle>, namespace: Namespace) -> Result<RedbStore> {
        let limits = Limits::for_threads()
            .items(BATCH)
            .bytes(BATCH_BYTES)
            .queue(self.settings.queue)
            .timeout(self.settings.timeout);
        let database = Arc::clone(&handle.0);
        let prefix = Prefix::of(&namespace);
        let shared = Arc::new(Namespaced { handle, namespace: namespace.clone(), prefix: prefix.clone() });
        let beside = Entrance::default();
        let flusher = match self.durability {
            Durability::Immediate => None,
            Durability::Delayed => {
                let shared = Arc::clone(&shared);
                Some(Flusher::start(move || shared.handle.0.flush(), beside.enter()?)?)
            }
        };
        let readers = (0..self.readers).map(|_| Reader(Arc::clone(&shared)));
        let readers = Workers::start("redb-reader", readers, limits.clone())?;
        let writer = Writer { shared, durability: self.durability, flusher };
        let writer = Workers::start("redb-writer", [writer], limits)?;
        Ok(RedbStore(Arc::new(Inner {
            database,
            prefix,
            closed: AtomicBool::new(false),
            readers,
            writer,
            beside,
            namespace,
            timeout: self.settings.timeout,
        })))
    }
}

const NOT_OPENED: Error = Error::fixed(ErrorKind::Unavailable, "the database was not opened within the time-out");
const PANICKED: Error =
    Error::fixed(ErrorKind::Other, "opening the database panicked; this is a fault of the store, please report it");

/// Checks the path, so that the error says more than the system's.
fn check_path(path: &Path, create: bool) -> Result<()> {
    let refused = |message: &str| wrong(format!("{message}: {}", path.display()));
    if path.is_dir() {
        return refused("the path of the database is a directory; name a file in it");
    }
    match path.parent().map(Path::try_exists) {
        Some(Ok(false)) => return refused("the directory of the database does not exist; make it"),
        // Anything else that is wrong with the directory is found by the check of its owners.
        _ if path.exists() && !path.is_file() => {
            return refused("the path of the database names a device or a socket; name a file");
        }
        _ => {}
    }
    if !create && !path.exists() {
        return refused("there is no database file; set `create`, or restore the file");
    }
    Ok(())
}

impl RedbStore {
    /// Returns a builder for a store in the file at `path`. [`RedbStoreBuilder`] has an example.
    pub fn builder(path: impl AsRef<Path>) -> RedbStoreBuilder {
        RedbStoreBuilder::at(path.as_ref().to_owned())
    }
}
