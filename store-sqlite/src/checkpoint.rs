//! Checkpoints of the write-ahead log, on a separate thread rather than within the writer's commits.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use session_core::{Error, ErrorKind, Result};
use session_store_kit::batch::Pass;

/// Lengths of the log at which it is checkpointed, in pages of 4 KiB.
#[derive(Clone, Copy)]
struct Thresholds {
    /// Growth after which the checkpoint thread is notified.
    beside: i32,
    /// Length from which a commit checkpoints the log itself, because the writers left no gap in which the log could restart.
    within: i32,
    /// Growth between two such attempts. An attempt fails while a connection reads an old snapshot.
    retry: i32,
}

/// 16 MiB, 64 MiB, 4 MiB.
const THRESHOLDS: Thresholds = Thresholds { beside: 4_000, within: 16_000, retry: 1_000 };

/// Handle that wakes the checkpoint thread. The thread ends when the last handle is dropped.
#[derive(Clone)]
pub(crate) struct Checkpointer(SyncSender<()>);

impl Checkpointer {
    /// Starts the thread, which calls `checkpoint` after each notification. It has `pass` until it has ended.
    pub(crate) fn start(mut checkpoint: impl FnMut() -> Result<()> + Send + 'static, pass: Pass) -> Result<Self> {
        // One pending notification is enough, because a checkpoint covers the whole log as of its start.
        let (notify, notifications) = sync_channel(1);
        let work = move || {
            for () in notifications {
                if let Err(error) = checkpoint() {
                    tracing::debug!(%error, "the log of the session database could not be checkpointed yet");
                }
            }
            drop((checkpoint, pass));
        };
        thread::Builder::new().name("sqlite-checkpoint".to_owned()).spawn(work).map_err(|error| {
            Error::fixed(ErrorKind::Other, "the thread for checkpoints could not be started").with_source(&error)
        })?;
        Ok(Self(notify))
    }

    /// Watches the log of `connection`, which writes.
    pub(crate) fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        watch(connection, self.0.clone(), THRESHOLDS)
    }
}

fn watch(connection: &mut Connection, notify: SyncSender<()>, thresholds: Thresholds) -> rusqlite::Result<()> {
    let Thresholds { beside, within, retry } = thresholds;
    let mut last = 0;
    let mut due = beside;
    connection.wal_hook(Some(move |log: &mut Wal, pages| {
        if pages < last {
            due = beside; // the log has restarted
        }
        last = pages;
        if pages < due {
            return Ok(());
        }
        if pages < within {
            due = pages + beside;
            // A full channel means that the thread is already notified.
            let _ = notify.try_send(());
        } else {
            due = pages + retry;
            // A failure does not affect the commit, and a later commit tries again.
            if let Err(error) = log.checkpoint() {
                tracing::debug!(%error, "the log of the session database could not be checkpointed yet");
            }
        }
        Ok(())
    }))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    const SMALL: Thresholds = Thresholds { beside: 20, within: 60, retry: 10 };

    fn connect(path: &Path) -> Connection {
        let connection = Connection::open(path).unwrap();
        connection.pragma_update(None, "journal_mode", "wal").unwrap();
        connection
    }

    /// Makes one commit of a few pages.
    fn commit(connection: &Connection) {
        connection.execute_batch("create table if not exists x (y); insert into x values (zeroblob(20000))").unwrap();
    }

    fn log_pages(path: &Path) -> u64 {
        std::fs::metadata(path.with_extension("db-wal")).unwrap().len() / 4096
    }

    #[test]
    fn a_commit_checkpoints_the_log_when_no_other_thread_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let mut writer = connect(&path);
        let (notify, notifications) = sync_channel(1);
        watch(&mut writer, notify, SMALL).unwrap();
        for _ in 0..100 {
            commit(&writer);
        }
        assert!(notifications.try_recv().is_ok(), "the thread was notified");
        assert!(log_pages(&path) < 100, "{} pages", log_pages(&path));
    }

    #[test]
    fn the_log_restarts_after_a_checkpoint_beside_the_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let mut writer = connect(&path);
        let beside = connect(&path);
        let (notify, notifications) = sync_channel(1);
        watch(&mut writer, notify, SMALL).unwrap();
        let mut notified = 0;
        for _ in 0..100 {
            commit(&writer);
            if notifications.try_recv().is_ok() {
                notified += 1;
                beside.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(())).unwrap();
            }
        }
        assert!(notified > 10, "{notified}");
        assert!(log_pages(&path) < 60, "{} pages", log_pages(&path));
    }
}
