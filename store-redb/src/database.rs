//! The open file, which all stores of this process on it share.
//!
//! redb lets one process open a file, and this process opens it once. A [`Handle`] keeps it open; the last one closes it.

use std::collections::HashMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};
use std::thread;
use std::time::{Duration, Instant};

use session_core::{Error, ErrorKind, Namespace, Record, Result, StoreKey, Timestamp};
use session_store_kit::batch::CLOSED;
use session_store_kit::{is_at, wrong};

use crate::config::FileOptions;
use crate::error;
use crate::open_file::OpenFile;
use crate::schema::Prefix;

/// Pause between attempts to open a file that is in use elsewhere.
const RETRY: Duration = Duration::from_millis(5);
/// Time for which a look at the file's path counts for loads in the callers' tasks. Reads and writes on threads look each time.
const LOOK: u64 = 50;
/// Time for which writes that need room are refused after one has found none. Each attempt closes the file and opens it again.
const FULL: u64 = 1000;

/// All files that this process has open, by their paths.
static OPEN: LazyLock<Mutex<HashMap<PathBuf, Weak<Handle>>>> = LazyLock::new(Mutex::default);

/// A file, and the database in it while it is open.
pub(crate) struct SharedDatabase {
    options: FileOptions,
    /// `None` between an outage and the next call, and after the last handle was dropped.
    open: RwLock<Option<Arc<OpenFile>>>,
    /// Held while the file is opened, closed or compacted.
    changing: Mutex<State>,
    start: Instant,
    /// Time of the last look at the path that found the open file there, in milliseconds since `start`.
    looked: AtomicU64,
    /// Time until which writes that need room are refused, in milliseconds since `start`.
    full_until: AtomicU64,
}

#[derive(PartialEq, Eq)]
enum State {
    InUse,
    Closed,
}

/// Keeps the file open. Held by the threads of the stores, so that none of the callers' tasks ever closes the file.
pub(crate) struct Handle(pub(crate) Arc<SharedDatabase>);

impl Drop for Handle {
    fn drop(&mut self) {
        let mut state = lock(&self.0.changing);
        *state = State::Closed;
        let open = self.0.write().take();
        drop(open);
    }
}

/// What a store passes while it is being opened.
pub(crate) struct Opening {
    pub(crate) options: FileOptions,
    pub(crate) create: bool,
    /// Time until which to wait for another process.
    pub(crate) deadline: Instant,
    /// Set when the file is read and checked, which may take longer.
    pub(crate) checking: Arc<AtomicBool>,
}

impl Handle {
    /// Opens the file, or returns the handle to it if this process has it open.
    pub(crate) fn open(opening: &Opening) -> Result<Arc<Self>> {
        let path = &opening.options.path;
        loop {
            if let Some(handle) = Self::of_this_process(path) {
                if handle.0.options == opening.options {
                    return Ok(handle);
                }
                return wrong(format!(
                    "this process has the file open with another `cache` or `max_len`; give all its stores the same: {}",
                    path.display()
                ));
            }
            match OpenFile::new(&opening.options, opening.create, &opening.checking) {
                Ok(open) => {
                    let handle = Self::to(opening.options.clone(), open);
                    lock(&OPEN).insert(path.clone(), Arc::downgrade(&handle));
                    return Ok(handle);
                }
                // It may be a store of this process that is being opened or closed.
                Err(failure) if error::is_locked(&failure) && Instant::now() < opening.deadline => thread::sleep(RETRY),
                Err(failure) => return Err(failure.at_open(path)),
            }
        }
    }

    /// Returns the only handle to an open file.
    pub(crate) fn to(options: FileOptions, open: OpenFile) -> Arc<Self> {
        Arc::new(Self(Arc::new(SharedDatabase::new(options, open))))
    }

    fn of_this_process(path: &Path) -> Option<Arc<Self>> {
        let mut open = lock(&OPEN);
        open.retain(|_, handle| handle.strong_count() > 0);
        open.get(path)?.upgrade()
    }
}

impl SharedDatabase {
    fn new(options: FileOptions, open: OpenFile) -> Self {
        Self {
            options,
            open: RwLock::new(Some(Arc::new(open))),
            changing: Mutex::new(State::InUse),
            start: Instant::now(),
            looked: AtomicU64::new(0),
            full_until: AtomicU64::new(0),
        }
    }

    /// Loads a record from memory, without a call to the system. `None` if that is not possible.
    pub(crate) fn load_from_memory(
        &self,
        prefix: &Prefix,
        key: &StoreKey,
        now: Timestamp,
    ) -> Option<Result<Option<Record>>> {
        if self.clock() > self.looked.load(Ordering::Relaxed) + LOOK {
            return None;
        }
        let open = self.read();
        let open = open.as_ref()?;
        // An error is left to the threads, which may open the file again.
        let load = || open.snapshot().load(prefix, key, now);
        open.is_in_memory().then(|| unpanicked(load)).flatten().and_then(|found| found.ok())
    }

    /// Returns the database in the file that the path names now.
    ///
    /// On Unix a file that was removed or replaced can still be read and written, but its contents are lost when it is closed. So the
    /// path is looked up before each batch. If it names another file, this one is closed and that one opened. A missing file is not
    /// created again; it has to be restored.
    pub(crate) fn ready(&self, namespace: Option<&Namespace>, deadline: Instant) -> Result<Arc<OpenFile>> {
        if let Some(open) = self.in_place() {
            return Ok(open);
        }
        let state = lock(&self.changing);
        if *state == State::Closed {
            return Err(CLOSED);
        }
        if let Some(open) = self.in_place() {
            return Ok(open);
        }
        let replaced = self.write().take();
        drop(replaced);
        let open = loop {
            match OpenFile::new(&self.options, false, &Arc::default()) {
                Ok(open) => break Arc::new(open),
                // Another thread of this process may not have finished its batch on the old database.
                Err(failure) if error::is_locked(&failure) && Instant::now() < deadline => thread::sleep(RETRY),
                Err(failure) => return Err(failure.in_use()),
            }
        };
        if let Some(namespace) = namespace {
            open.check_namespace(namespace)?;
        }
        tracing::info!(path = %self.options.path.display(), "reopened the session database");
        *self.write() = Some(Arc::clone(&open));
        self.looked.store(self.clock(), Ordering::Relaxed);
        Ok(open)
    }

    /// Makes all commits so far durable.
    pub(crate) fn flush(&self) -> Result<()> {
        // What was in memory only is lost if the file was closed meanwhile.
        let Some(open) = self.read().clone() else { return Ok(()) };
        let Some(flushed) = unpanicked(|| open.flush()) else {
            self.discard(&open);
            return Err(PANICKED);
        };
        flushed.map_err(|error| {
            if error::is_disk_full(&error) {
                self.note_full();
            }
            self.discard(&open);
            error::in_use(&error)
        })
    }

    /// Returns the open database if the path names its file.
    fn in_place(&self) -> Option<Arc<OpenFile>> {
        let open = self.read().clone()?;
        self.is_in_place(open.file()).then_some(open)
    }

    /// Checks that the path still names `file`. Call after a commit and before reporting it.
    pub(crate) fn is_in_place(&self, file: &File) -> bool {
        let in_place = is_at(file, &self.options.path).unwrap_or(false);
        if in_place {
            self.looked.store(self.clock(), Ordering::Relaxed);
        }
        in_place
    }

    /// Closes `open`, so that the next call opens the file again and redb repairs it.
    pub(crate) fn discard(&self, open: &Arc<OpenFile>) {
        let mut current = self.write();
        let discarded = current.take_if(|current| Arc::ptr_eq(current, open));
        drop(current);
        drop(discarded);
    }

    /// Notes that a write found no room.
    pub(crate) fn note_full(&self) {
        self.full_until.store(self.clock() + FULL, Ordering::Relaxed);
    }

    /// Notes that a write made room.
    pub(crate) fn note_room(&self) {
        self.full_until.store(0, Ordering::Relaxed);
    }

    /// Whether writes that need room are refused now.
    pub(crate) fn is_full(&self) -> bool {
        let until = self.full_until.load(Ordering::Relaxed);
        until > 0 && self.clock() < until
    }

    /// Moves the pages together and shortens the file. No call is served meanwhile. Returns whether anything was moved.
    pub(crate) fn compact(&self, namespace: &Namespace, deadline: Instant) -> Result<bool> {
        drop(self.ready(Some(namespace), deadline)?);
        let state = lock(&self.changing);
        if *state == State::Closed {
            return Err(CLOSED);
        }
        let Some(open) = self.write().take() else { return Err(error::REPLACED) };
        let open = match alone(open, deadline) {
            Ok(open) => open,
            Err(shared) => {
                *self.write() = Some(shared);
                // The thread for delayed commits may have found no open file meanwhile.
                self.flush()?;
                return Err(STILL_USED);
            }
        };
        // After an error or a panic the next call opens the file again.
        let (open, moved) = unpanicked(|| open.compact()).ok_or(PANICKED)?.map_err(|error| error::in_use(&error))?;
        *self.write() = Some(Arc::new(open));
        Ok(moved)
    }

    fn clock(&self) -> u64 {
        // One more, because 0 is never.
        self.start.elapsed().as_millis() as u64 + 1
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Arc<OpenFile>>> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Option<Arc<OpenFile>>> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what `work` returns, or `None` if it panics. What is left of the database must not be used again then.
pub(crate) fn unpanicked<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

pub(crate) const PANICKED: Error =
    Error::fixed(ErrorKind::Other, "redb panicked, so the database was closed; the next call opens and checks it");

const STILL_USED: Error =
    Error::fixed(ErrorKind::Unavailable, "calls in flight kept the database from being compacted within the time-out");

/// Waits until the batches that are running, which have `open` too, have ended. No later one gets it.
fn alone(mut open: Arc<OpenFile>, deadline: Instant) -> Result<OpenFile, Arc<OpenFile>> {
    loop {
        match Arc::try_unwrap(open) {
            Err(shared) if Instant::now() < deadline => {
                open = shared;
                thread::sleep(RETRY);
            }
            ended => return ended,
        }
    }
}

/// Locks a value that no panic leaves half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
