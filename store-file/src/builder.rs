//! Builder of the store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use session_core::{Error, ErrorKind, Namespace, Result};
use session_store_kit::batch::{Batcher, Entrance, Limits, PerRuntime, Workers};
use session_store_kit::{Settings, absolute, setters, within};
use tokio::sync::Semaphore;
use tokio::{task, time};

use crate::folder::Folder;
use crate::read::Reader;
use crate::shard::Shard;
use crate::{FileStore, Inner, RuntimeState, setup};

/// Maximum number of writes, and of their bytes, under one lock.
const BATCH: usize = 64;
const BATCH_BYTES: usize = 4 << 20;
/// Maximum number of loads in one batch of a thread.
const LOADS: usize = 32;
/// Number of shards that a runtime writes to at once. May exceed the number of cores, because writers mostly wait for the disk.
const WRITERS: usize = 16;
/// Default limit on the length of a record's data.
const MAX_LEN: usize = 1 << 20;

/// Builder of a [`FileStore`], returned by [`FileStore::builder`].
///
/// ```
/// use session_core::seconds;
/// use session_store_file::FileStore;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("sessions");
/// let store = FileStore::builder(path)
///     .namespace("web_sessions")
///     .durable(true)
///     .max_len(Some(64 * 1024))
///     .timeout(seconds(2))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct FileStoreBuilder {
    pub(crate) path: PathBuf,
    pub(crate) settings: Settings,
    durable: bool,
    create: bool,
    readers: usize,
    pub(crate) max_len: Option<usize>,
}

impl FileStoreBuilder {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path, settings: Settings::new(), durable: false, create: true, readers: 4, max_len: Some(MAX_LEN) }
    }

    setters! {
        /// It is the name of the folder in the given folder.
        namespace;
        /// Opening the store takes as long at most.
        timeout;
        /// The parent of the given folder must exist in any case. With `create(false)`, a disk that is not mounted is an error.
        create;
        /// It applies to loads and to all other calls separately.
        queue;
    }

    /// Sets whether a write is reported only when the file and its folder are on disk. Default: no.
    ///
    /// A crash of the process loses no confirmed write with either setting.
    /// Without it, a loss of power may undo the latest writes and may leave one of them undecodable, which ends that session.
    /// With it, no confirmed write is undone, but each write waits for the disk several times.
    /// Use the same setting for all stores on a folder.
    pub const fn durable(mut self, durable: bool) -> Self {
        self.durable = durable;
        self
    }

    /// Sets the number of threads that load sessions. 1 to 64. Default: 4.
    pub const fn readers(mut self, readers: usize) -> Self {
        self.readers = readers;
        self
    }

    /// Sets the maximum length of a session's data in bytes. At least 1, or `None` for no limit. Default: 1 MiB.
    ///
    /// A write of longer data fails with `TooLarge`. Loading a longer session fails with `Corrupt`, and no memory is allocated for it.
    pub const fn max_len(mut self, bytes: Option<usize>) -> Self {
        self.max_len = bytes;
        self
    }

    /// Opens the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`] for options outside their ranges, and for a folder that is missing, cannot be written to,
    ///   belongs to another user, can be written to by other users, or has another layout.
    /// - [`ErrorKind::Unavailable`] when another process holds the lock for the whole time-out, or the disk is full.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn open(mut self) -> Result<FileStore> {
        let namespace = self.settings.check()?;
        self.path = absolute(&self.path)?;
        within("readers", self.readers, 1..=64)?;
        if let Some(max) = self.max_len {
            within("max_len", max, 1..=usize::MAX)?;
        }
        let timeout = self.settings.timeout;
        // On a blocking thread, because opening reads and writes files.
        let opening = task::spawn_blocking(move || self.open_blocking(namespace));
        let opening = time::timeout(timeout.saturating_add(timeout / 4), opening);
        match opening.await {
            Ok(Ok(opened)) => opened,
            Ok(Err(failed)) => Err(Error::fixed(
                ErrorKind::Other,
                "opening the session folder panicked; this is a fault of the store, please report it",
            )
            .with_source(&failed)),
            Err(_) => {
                Err(Error::fixed(ErrorKind::Unavailable, "the session folder was not opened within the time-out"))
            }
        }
    }

    fn open_blocking(self, namespace: Namespace) -> Result<FileStore> {
        let Settings { timeout, queue, .. } = self.settings;
        let root = self.path.join(namespace.as_str());
        let folder = Arc::new(Folder { root, durable: self.durable, max_len: self.max_len });
        setup::prepare(&folder, &self.path, self.create, Instant::now() + timeout)?;

        let limits = Limits::for_tasks(1).queue(queue).timeout(timeout);
        let readers = (0..self.readers).map(|_| Reader(Arc::clone(&folder)));
        let readers = Workers::start("file-reader", readers, limits.clone().items(LOADS))?;
        let limits = limits.items(BATCH).bytes(BATCH_BYTES);
        let writers = PerRuntime::new(|| Ok(Semaphore::new(WRITERS)));
        let shard = |number| Shard::new(Arc::clone(&folder), number, writers.clone());
        let shards = (0..=u8::MAX).map(|number| Batcher::new(shard(number), limits.clone())).collect();
        Ok(FileStore(Arc::new(Inner {
            folder: Arc::clone(&folder),
            readers,
            shards,
            runtimes: PerRuntime::new(move || Ok(RuntimeState::new(queue))),
            entrance: Entrance::default(),
            namespace,
            timeout,
        })))
    }
}

impl FileStore {
    /// Returns a builder for a store in the folder at `path`. [`FileStoreBuilder`] has an example.
    pub fn builder(path: impl AsRef<Path>) -> FileStoreBuilder {
        FileStoreBuilder::at(path.as_ref().to_owned())
    }
}
