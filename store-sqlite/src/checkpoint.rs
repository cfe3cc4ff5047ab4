//! Checkpoints of the write-ahead log, on a separate thread rather than within the writer's commits.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use rusqlite::Connection;
use rusqlite::hooks::Wal;
use session_core::{Error, ErrorKind, Result};

use crate::connection::{Config, Link};

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
    pub(crate) fn start(config: Arc<Config>) -> Result<Self> {
        // One pending notification is enough, because a checkpoint covers the whole log as of its start.
        let (nudge, nudges) = sync_channel(1);
        let link = Link::reader(config)?;
        thread::Builder::new()
            .name("sqlite-checkpoint".to_owned())
            .spawn(move || work(link, &nudges))
            .map_err(|error| Error::fixed(ErrorKind::Other, "no thread for checkpoints").with_source(&error))?;
        Ok(Self(nudge))
    }

    /// Watches the log of `connection`, which writes.
    pub(crate) fn watch(&self, connection: &mut Connection) -> rusqlite::Result<()> {
        watch(connection, self.0.clone(), THRESHOLDS)
    }
}

fn watch(connection: &mut Connection, nudge: SyncSender<()>, thresholds: Thresholds) -> rusqlite::Result<()> {
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
            let _ = nudge.try_send(());
        } else {
            due = pages + retry;
            // A failure does not affect the commit, and a later commit tries again.
            if let Err(error) = log.checkpoint() {
                tracing::debug!(%error, "the log of the session database could not be carried over yet");
            }
        }
        Ok(())
    }))
}

fn work(mut link: Link, nudges: &Receiver<()>) {
    for () in nudges {
        if let Err(error) = carry_over(&mut link) {
            tracing::debug!(%error, "the log of the session database could not be carried over yet");
        }
    }
}

/// Checkpoints the log without waiting for other connections. Pages that an old snapshot still needs are left for the next time.
fn carry_over(link: &mut Link) -> Result<()> {
    let (connection, _) = link.ready()?;
    let done = connection.query_row("pragma wal_checkpoint(passive)", [], |_| Ok(()));
    done.map_err(|error| link.failed(&error))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use session_core::{Namespace, seconds};

    use super::*;
    use crate::Synchronous;
    use crate::connection::Place;
    use crate::schema::Statements;

    const SMALL: Thresholds = Thresholds { beside: 20, within: 60, retry: 10 };

    fn config(path: &Path) -> Arc<Config> {
        let namespace = Namespace::default();
        Arc::new(Config {
            place: Place::File(path.to_owned()),
            statements: Statements::new(&namespace),
            namespace,
            timeout: seconds(5),
            synchronous: Synchronous::Normal,
            create: true,
            max_page_count: None,
        })
    }

    /// Makes one commit of a few pages.
    fn commit(link: &mut Link) {
        let (connection, _) = link.ready().unwrap();
        connection.execute_batch("create table if not exists x (y); insert into x values (zeroblob(20000))").unwrap();
    }

    fn log_pages(path: &Path) -> u64 {
        std::fs::metadata(path.with_extension("db-wal")).unwrap().len() / 4096
    }

    #[test]
    fn a_commit_checkpoints_the_log_when_no_other_thread_does() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let mut link = Link::writer(config(&path)).unwrap();
        let (nudge, nudges) = sync_channel(1);
        watch(link.ready().unwrap().0, nudge, SMALL).unwrap();
        for _ in 0..100 {
            commit(&mut link);
        }
        assert!(nudges.try_recv().is_ok(), "the thread was told");
        assert!(log_pages(&path) < 100, "{} pages", log_pages(&path));
    }

    #[test]
    fn the_log_restarts_after_a_checkpoint_beside_the_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sessions.db");
        let mut link = Link::writer(config(&path)).unwrap();
        let mut beside = Link::reader(config(&path)).unwrap();
        let (nudge, nudges) = sync_channel(1);
        watch(link.ready().unwrap().0, nudge, SMALL).unwrap();
        let mut told = 0;
        for _ in 0..100 {
            commit(&mut link);
            if nudges.try_recv().is_ok() {
                told += 1;
                carry_over(&mut beside).unwrap();
            }
        }
        assert!(told > 10, "{told}");
        assert!(log_pages(&path) < 60, "{} pages", log_pages(&path));
    }
}
