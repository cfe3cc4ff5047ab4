//! A database file that is open, and the snapshot that its readers use.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{
    Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase as _, ReadableTable as _, StorageBackend,
    TableHandle as _, WriteTransaction,
};
use session_core::{Namespace, Record, Result, StoreKey, Timestamp};
use session_store_kit::{check_layout, wrong};

use crate::backend::Bounded;
use crate::config::FileOptions;
use crate::error::{self, OpenError};
use crate::found_file::Found;
use crate::rows;
use crate::schema::{EXPIRIES, LAYOUT, LAYOUTS, PRINCIPALS, Prefix, RECORDS};

/// Room that the page cache needs besides the file, for the pages of a transaction.
const CACHE_ROOM: u64 = 16 << 20;

/// A database file that is open.
pub(crate) struct OpenFile {
    database: Database,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Held while the snapshot is replaced, so that it never goes back.
    publishing: Mutex<()>,
    /// The same open file that redb uses.
    file: File,
    /// Greatest length of the file since all of it was read.
    longest: Arc<AtomicU64>,
    cache: u64,
    /// Number of threads that write delayed commits to disk. A reader of one of their pages waits for the disk too.
    flushing: AtomicUsize,
}

/// What was committed at one instant.
pub(crate) struct Snapshot {
    records: ReadOnlyTable<&'static [u8], &'static [u8]>,
    transaction: ReadTransaction,
}

impl OpenFile {
    /// Opens the file and checks all of it. `create` says whether a missing file is created.
    pub(crate) fn new(options: &FileOptions, create: bool, checking: &Arc<AtomicBool>) -> Result<Self, OpenError> {
        let found = Found::at(&options.path, create)?;
        let (file, kept) = found.file()?;
        let backend = FileBackend::new(file)?;
        // redb may panic over a damaged file.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::on(backend, kept, options, create, checking)));
        let open = opened.unwrap_or(Err(OpenError::Panicked))?;
        found.put_in_place()?;
        Ok(open)
    }

    /// Opens the database in `backend`. `file` is what the path has to name.
    pub(crate) fn on(
        backend: impl StorageBackend,
        file: File,
        options: &FileOptions,
        create: bool,
        checking: &Arc<AtomicBool>,
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Io("read", options.path.clone(), error);
        let backend = Bounded::new(backend, options.max_len).map_err(failed)?;
        let longest = backend.longest();
        let checking = Arc::clone(checking);
        let database = Builder::new()
            .set_cache_size(options.cache)
            .set_repair_callback(move |_| checking.store(true, Ordering::Relaxed))
            // What is found damaged here is an error. Later it may be a panic.
            .set_check_integrity_on_open(true)
            .create_with_backend(backend)?;
        if create {
            create_tables(&database)?;
        }
        Ok(Self::of(database, file, longest, options.cache as u64)?)
    }

    fn of(database: Database, file: File, longest: Arc<AtomicU64>, cache: u64) -> Result<Self, redb::Error> {
        longest.store(file.metadata().map_err(redb::Error::Io)?.len(), Ordering::Relaxed);
        let snapshot = RwLock::new(Arc::new(Snapshot::of(&database)?));
        let (publishing, flushing) = (Mutex::default(), AtomicUsize::new(0));
        let open = Self { database, snapshot, publishing, file, longest, cache, flushing };
        if open.is_in_memory() {
            open.snapshot().read_all()?;
        }
        Ok(open)
    }

    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether all of the file is in redb's cache, so that a load waits for no disk. Pages of a commit stay in it, and those that
    /// were there before were read when the file was opened.
    ///
    /// A file that was once too large for the cache is not in it any more, even if it has shrunk since.
    pub(crate) fn is_in_memory(&self) -> bool {
        self.flushing.load(Ordering::Relaxed) == 0 && self.longest.load(Ordering::Relaxed) + CACHE_ROOM <= self.cache
    }

    pub(crate) fn begin_write(&self) -> Result<WriteTransaction, redb::Error> {
        Ok(self.database.begin_write()?)
    }

    /// Makes all commits so far durable.
    pub(crate) fn flush(&self) -> Result<(), redb::Error> {
        self.flushing.fetch_add(1, Ordering::Relaxed);
        let flushed = self.begin_write().and_then(|transaction| Ok(transaction.commit()?));
        self.flushing.fetch_sub(1, Ordering::Relaxed);
        flushed
    }

    /// Lets readers see all commits. Call after a commit and before reporting it.
    pub(crate) fn publish(&self) -> Result<(), redb::Error> {
        let _alone = self.publishing.lock().unwrap_or_else(PoisonError::into_inner);
        let snapshot = Arc::new(Snapshot::of(&self.database)?);
        *self.snapshot.write().unwrap_or_else(PoisonError::into_inner) = snapshot;
        Ok(())
    }

    /// Notes the namespace in the file, unless it is there.
    pub(crate) fn create_namespace(&self, namespace: &Namespace) -> Result<(), redb::Error> {
        if self.snapshot().layout(namespace)?.is_some() {
            return Ok(());
        }
        let transaction = self.begin_write()?;
        {
            let mut layouts = transaction.open_table(LAYOUTS)?;
            if layouts.get(namespace.as_str())?.is_none() {
                layouts.insert(namespace.as_str(), LAYOUT)?;
            }
        }
        transaction.commit()?;
        self.publish()
    }

    /// Checks that the namespace has been created, with the layout of this release.
    pub(crate) fn check_namespace(&self, namespace: &Namespace) -> Result<()> {
        let layout = self.snapshot().layout(namespace).map_err(|error| error::in_use(&error))?;
        let Some(layout) = layout else {
            return wrong(format!("the file has no namespace `{namespace}`; set `create`, or restore the file"));
        };
        let layout = i64::try_from(layout).unwrap_or(i64::MAX);
        check_layout(format_args!("the namespace `{namespace}`"), Some(layout), LAYOUT as i64)
    }

    /// Moves the pages together and shortens the file. Returns whether anything was moved.
    pub(crate) fn compact(self) -> Result<(Self, bool), redb::Error> {
        let Self { mut database, snapshot, file, longest, cache, .. } = self;
        // redb refuses while there is a reader.
        drop(snapshot);
        let moved = database.compact()?;
        Ok((Self::of(database, file, longest, cache)?, moved))
    }
}

impl Snapshot {
    fn of(database: &Database) -> Result<Self, redb::Error> {
        let transaction = database.begin_read()?;
        Ok(Self { records: transaction.open_table(RECORDS)?, transaction })
    }

    pub(crate) const fn records(&self) -> &ReadOnlyTable<&'static [u8], &'static [u8]> {
        &self.records
    }

    pub(crate) fn principals(&self) -> Result<ReadOnlyTable<&'static [u8], ()>, redb::Error> {
        Ok(self.transaction.open_table(PRINCIPALS)?)
    }

    /// Loads a record if it is live at `now`. The inner error concerns only this record.
    pub(crate) fn load(
        &self,
        prefix: &Prefix,
        key: &StoreKey,
        now: Timestamp,
    ) -> Result<Result<Option<Record>>, redb::Error> {
        let value = self.records.get(&*prefix.record(key))?;
        Ok(value.map_or(Ok(None), |value| rows::live(value.value(), now)))
    }

    fn layout(&self, namespace: &Namespace) -> Result<Option<u64>, redb::Error> {
        Ok(self.transaction.open_table(LAYOUTS)?.get(namespace.as_str())?.map(|layout| layout.value()))
    }

    /// Reads every record once, so that redb has all pages in its cache.
    fn read_all(&self) -> Result<(), redb::Error> {
        for record in self.records.iter()? {
            record?;
        }
        Ok(())
    }
}

/// Creates the tables, unless they are there.
fn create_tables(database: &Database) -> Result<(), redb::Error> {
    let reader = database.begin_read()?;
    let tables: Vec<_> = reader.list_tables()?.map(|table| table.name().to_owned()).collect();
    drop(reader);
    if [LAYOUTS.name(), RECORDS.name(), PRINCIPALS.name(), EXPIRIES.name()]
        .iter()
        .all(|name| tables.iter().any(|table| table == name))
    {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    transaction.open_table(LAYOUTS)?;
    transaction.open_table(RECORDS)?;
    transaction.open_table(PRINCIPALS)?;
    transaction.open_table(EXPIRIES)?;
    Ok(transaction.commit()?)
}
