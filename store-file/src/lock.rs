//! Locks between processes, and between the stores of one.
//!
//! A lock ends with its process, however that ends: the system sees to it. Lock files are made when they are needed and stay.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use session_core::Result;
use tokio::sync::oneshot;
use tokio::time;

use crate::error::{self, LOCKED};

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
#[derive(Debug)]
pub(crate) struct Turn {
    path: PathBuf,
    queue: Arc<Mutex<Queue>>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Whether the thread stands there.
    standing: bool,
    /// Who wants the lock when it comes.
    wants: Option<oneshot::Sender<io::Result<Held>>>,
}

impl Turn {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, queue: Arc::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The lock, or an error when it does not come by then.
    pub(crate) async fn wait(&self, until: Instant) -> Result<Held> {
        let (wants, held) = oneshot::channel();
        self.stand(wants).map_err(|error| error::in_use(&error))?;
        match time::timeout_at(until.into(), held).await {
            Ok(Ok(held)) => held.map_err(|error| error::in_use(&error)),
            Ok(Err(_)) | Err(_) => Err(LOCKED),
        }
    }

    fn stand(&self, wants: oneshot::Sender<io::Result<Held>>) -> io::Result<()> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        queue.wants = Some(wants);
        if queue.standing {
            return Ok(());
        }
        let (shared, path) = (Arc::clone(&self.queue), self.path.clone());
        thread::Builder::new().name("file-lock".to_owned()).spawn(move || {
            let held = wait(&path);
            let wants = {
                let mut queue = shared.lock().unwrap_or_else(PoisonError::into_inner);
                queue.standing = false;
                queue.wants.take()
            };
            // Where nobody wants it any more it is dropped, here or with the channel, and with it ends the lock.
            if let Some(wants) = wants {
                let _ = wants.send(held);
            }
        })?;
        queue.standing = true;
        Ok(())
    }
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
            assert_eq!(turn.wait(soon()).await.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        // The queue, and the one thread in it.
        assert_eq!(Arc::strong_count(&turn.queue), 2);
        let next = turn.wait(later());
        drop(held);
        let held = next.await.unwrap();
        drop(held);
        assert!(take(turn.path()).unwrap().is_some());
    }

    #[tokio::test]
    async fn a_lock_that_comes_when_nobody_wants_it_is_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let turn = Turn::new(folder.path().join("lock"));
        let held = take(turn.path()).unwrap().unwrap();
        assert!(turn.wait(soon()).await.is_err());
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
