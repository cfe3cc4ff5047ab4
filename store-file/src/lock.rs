//! Locks between processes, and between stores in one process.
//!
//! The system releases a lock when its process ends, however it ends. Lock files are created when they are needed and never removed.

use std::collections::VecDeque;
use std::fs::{File, TryLockError};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use session_core::Result;
use session_store_kit::{is_at, open_private};
use tokio::sync::oneshot;
use tokio::time;

use crate::error::{self, LOCKED, PANICKED};

/// A held lock. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct LockGuard(File);

impl LockGuard {
    /// Whether the lock still excludes other processes from the folder that `path` is in. Not if the folder was replaced meanwhile.
    pub(crate) fn is_at(&self, path: &Path) -> bool {
        is_at(&self.0, path).unwrap_or(false)
    }
}

impl Drop for LockGuard {
    /// Unlocks explicitly, because closing the file releases the lock only when no other handle of it is open.
    /// A child process that is just being started has such a handle.
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "a session lock ends only with its handle");
        }
    }
}

/// Takes the lock without waiting. Returns `None` if it is already held.
pub(crate) fn take(path: &Path) -> io::Result<Option<LockGuard>> {
    loop {
        let file = open_private(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if is_at(&file, path)? {
            return Ok(Some(LockGuard(file)));
        }
    }
}

/// Waits for the lock without a limit.
fn wait(path: &Path) -> io::Result<LockGuard> {
    loop {
        let file = open_private(path)?;
        file.lock()?;
        if is_at(&file, path)? {
            return Ok(LockGuard(file));
        }
    }
}

/// Queue of the work of a store that waits for a lock held elsewhere.
///
/// A wait in the system's queue is fair and ends at once when the lock is free, but it cannot be cancelled.
/// So a separate thread waits there, at most one for each lock, however many callers have given up meanwhile.
/// The thread belongs to no runtime, because a runtime would wait for it when it shuts down.
///
/// The thread also does the work. A lock passed to a task would stay held while that task's runtime is not running.
pub(crate) struct LockQueue {
    path: PathBuf,
    waiting: Arc<Mutex<Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// Whether the thread is waiting or working.
    has_thread: bool,
    /// Work to do under the lock, in the order of arrival.
    work: VecDeque<Box<dyn Work>>,
}

/// Work that waits for the lock.
trait Work: Send {
    /// Returns whether the caller has given up.
    fn is_abandoned(&self) -> bool;

    fn run(self: Box<Self>, lock: &io::Result<LockGuard>);
}

struct Task<T, F> {
    run: F,
    reply: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&LockGuard) -> T + Send> Work for Task<T, F> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>, lock: &io::Result<LockGuard>) {
        let Self { run, reply } = *self;
        let done = match lock {
            Ok(guard) => catch_unwind(AssertUnwindSafe(|| run(guard))).map_err(|_| PANICKED),
            Err(error) => Err(error::in_use(error)),
        };
        // The caller may have given up meanwhile; that is not an error.
        let _ = reply.send(done);
    }
}

impl LockQueue {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, waiting: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `run` under the lock. Returns an error if it has not returned by `deadline`.
    pub(crate) async fn wait<T: Send + 'static>(
        &self,
        deadline: Instant,
        run: impl FnOnce(&LockGuard) -> T + Send + 'static,
    ) -> Result<T> {
        let (reply, done) = oneshot::channel();
        self.enqueue(Box::new(Task { run, reply })).map_err(|error| error::in_use(&error))?;
        match time::timeout_at(deadline.into(), done).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) | Err(_) => Err(LOCKED),
        }
    }

    fn enqueue(&self, work: Box<dyn Work>) -> io::Result<()> {
        let mut waiting = lock(&self.waiting);
        waiting.work.retain(|work| !work.is_abandoned());
        waiting.work.push_back(work);
        if waiting.has_thread {
            return Ok(());
        }
        let (shared, path) = (Arc::clone(&self.waiting), self.path.clone());
        thread::Builder::new().name("file-lock".to_owned()).spawn(move || {
            let guard = wait(&path);
            while let Some(work) = next(&shared) {
                work.run(&guard);
            }
        })?;
        waiting.has_thread = true;
        Ok(())
    }
}

/// Locks the queue's contents. Poisoning is ignored, because only pushes and pops happen under this lock.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the next work whose caller still waits, or `None` if there is none and the thread must end.
fn next(waiting: &Mutex<Waiting>) -> Option<Box<dyn Work>> {
    let mut waiting = lock(waiting);
    waiting.work.retain(|work| !work.is_abandoned());
    let next = waiting.work.pop_front();
    waiting.has_thread = next.is_some();
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
    async fn a_caller_that_gave_up_leaves_no_lock_and_no_second_thread() {
        let folder = tempfile::tempdir().unwrap();
        let lock = LockQueue::new(folder.path().join("lock"));
        let held = take(lock.path()).unwrap().unwrap();
        assert!(take(lock.path()).unwrap().is_none());
        for _ in 0..5 {
            assert_eq!(lock.wait(soon(), |_| ()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        // The queue itself and its only thread.
        assert_eq!(Arc::strong_count(&lock.waiting), 2);
        let path = lock.path().to_owned();
        let next = lock.wait(later(), move |_| take(&path).unwrap().is_none());
        drop(held);
        assert!(next.await.unwrap(), "the work is done under the lock");
        // Waits until the thread has released the lock.
        drop(wait(lock.path()).unwrap());
    }

    #[tokio::test]
    async fn a_lock_granted_after_all_callers_gave_up_is_released() {
        let folder = tempfile::tempdir().unwrap();
        let lock = LockQueue::new(folder.path().join("lock"));
        let held = take(lock.path()).unwrap().unwrap();
        assert!(lock.wait(soon(), |_| ()).await.is_err());
        drop(held);
        // Waits until the thread has released the lock.
        drop(wait(lock.path()).unwrap());
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
