//! Locks between processes, and between the stores of one.
//!
//! A lock ends with its process, however that ends: the system sees to it. Lock files are made when they are needed and stay.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use session_core::Result;
use tokio::sync::oneshot;
use tokio::time;

use crate::error::{self, LOCKED, PANICKED};

/// A lock, until it is dropped.
#[derive(Debug)]
pub(crate) struct Held(File);

impl Drop for Held {
    /// Said in so many words, since closing the file ends the lock only when no other handle of it is open,
    /// and a child that is just being started has one.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a session lock ends only with its handle");
        }
    }
}

/// The lock, unless somebody else has it.
pub(crate) fn take(path: &Path) -> io::Result<Option<Held>> {
    loop {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if is_at(&file, path)? {
            return Ok(Some(Held(file)));
        }
    }
}

/// The lock, whenever that is.
fn wait(path: &Path) -> io::Result<Held> {
    loop {
        let file = open(path)?;
        file.lock()?;
        if is_at(&file, path)? {
            return Ok(Held(file));
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    private(&mut options);
    options.open(path)
}

/// Makes what is created the owner's alone.
#[cfg(unix)]
pub(crate) fn private(options: &mut OpenOptions) {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600);
}

#[cfg(not(unix))]
pub(crate) fn private(_: &mut OpenOptions) {}

/// Whether `file` is still what `path` names: a lock on a file that somebody has removed locks nobody out.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    let open = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (open.dev(), open.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Elsewhere a file that is open keeps its name.
#[cfg(not(unix))]
fn is_at(_: &File, _: &Path) -> io::Result<bool> {
    Ok(true)
}

/// Where a store waits for a lock that somebody else has.
///
/// The system's queue is fair and wakes at once, but cannot be left again. So a thread of its own stands in it, one for each lock
/// at most, however many callers have given up meanwhile; and it belongs to no runtime, which would wait for it at its end.
///
/// The thread also does the work: a lock handed to a task would be held for as long as that task's runtime does not run.
pub(crate) struct Turn {
    path: PathBuf,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Default)]
struct Queue {
    /// Whether the thread stands there.
    standing: bool,
    /// Work to be done under the lock when it comes.
    wants: VecDeque<Box<dyn Want>>,
}

/// Work that waits for the lock.
trait Want: Send {
    /// Whether its caller has given up.
    fn is_given_up(&self) -> bool;

    fn run(self: Box<Self>, held: &io::Result<Held>);
}

struct Wanted<T, W> {
    work: W,
    told: oneshot::Sender<Result<T>>,
}

impl<T: Send, W: FnOnce(&Held) -> T + Send> Want for Wanted<T, W> {
    fn is_given_up(&self) -> bool {
        self.told.is_closed()
    }

    fn run(self: Box<Self>, held: &io::Result<Held>) {
        let Self { work, told } = *self;
        let done = match held {
            Ok(held) => catch_unwind(AssertUnwindSafe(|| work(held))).map_err(|_| PANICKED),
            Err(error) => Err(error::in_use(error)),
        };
        // A caller that has gone away is no error.
        let _ = told.send(done);
    }
}

impl Turn {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, queue: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Does `work` under the lock, or answers an error when that does not happen by `until`.
    pub(crate) async fn wait<T: Send + 'static>(
        &self,
        until: Instant,
        work: impl FnOnce(&Held) -> T + Send + 'static,
    ) -> Result<T> {
        let (told, done) = oneshot::channel();
        self.stand(Box::new(Wanted { work, told })).map_err(|error| error::in_use(&error))?;
        match time::timeout_at(until.into(), done).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => Err(LOCKED),
        }
    }

    fn stand(&self, want: Box<dyn Want>) -> io::Result<()> {
        let mut queue = lock(&self.queue);
        queue.wants.retain(|want| !want.is_given_up());
        queue.wants.push_back(want);
        if queue.standing {
            return Ok(());
        }
        let (shared, path) = (Arc::clone(&self.queue), self.path.clone());
        thread::Builder::new().name("file-lock".to_owned()).spawn(move || {
            let held = wait(&path);
            while let Some(want) = next(&shared) {
                want.run(&held);
            }
        })?;
        queue.standing = true;
        Ok(())
    }
}

/// Only pushes and pops happen under this lock, so a poisoned one guards nothing half done.
fn lock(queue: &Mutex<Queue>) -> MutexGuard<'_, Queue> {
    queue.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The next work that its caller still waits for. At the end the thread leaves the queue.
fn next(queue: &Mutex<Queue>) -> Option<Box<dyn Want>> {
    let mut queue = lock(queue);
    queue.wants.retain(|want| !want.is_given_up());
    let next = queue.wants.pop_front();
    queue.standing = next.is_some();
    next
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use session_core::ErrorKind;

    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(50)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn who_gave_up_leaves_no_lock_and_no_second_thread() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::new(folder.path().join("lock"));
        let held = take(turn.path()).unwrap().unwrap();
        assert!(take(turn.path()).unwrap().is_none());
        for _ in 0..5 {
            assert_eq!(turn.wait(soon(), |_| ()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        // The queue, and the one thread in it.
        assert_eq!(Arc::strong_count(&turn.queue), 2);
        let path = turn.path().to_owned();
        let next = turn.wait(later(), move |_| take(&path).unwrap().is_none());
        drop(held);
        assert!(next.await.unwrap(), "the work is done under the lock");
        // In the same queue, behind the thread.
        drop(wait(turn.path()).unwrap());
    }

    #[tokio::test]
    async fn a_lock_that_comes_when_nobody_wants_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::new(folder.path().join("lock"));
        let held = take(turn.path()).unwrap().unwrap();
        assert!(turn.wait(soon(), |_| ()).await.is_err());
        drop(held);
        // In the same queue, behind the thread.
        drop(wait(turn.path()).unwrap());
    }

    #[cfg(unix)]
    #[test]
    fn a_lock_on_a_removed_file_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lock");
        let _old = take(&path).unwrap().unwrap();
        std::fs::remove_file(&path).unwrap();
        let _new = take(&path).unwrap().unwrap();
        assert!(take(&path).unwrap().is_none());
    }
}
