//! Tests of a disk that fails under a commit, of a panic of redb, and of a transaction that another store holds.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};
use session_conformance::fixtures::{begin, get, key, now, put, record};
use session_core::{ErrorKind, Namespace, Outcome, Store as _};
use tempfile::TempDir;

use crate::RedbStore;
use crate::config::FileOptions;
use crate::database::Handle;
use crate::open_file::OpenFile;

const WORKS: u8 = 0;
const FAILS: u8 = 1;
const PANICS: u8 = 2;

/// A file whose flushes fail or panic as soon as a test says so.
#[derive(Debug)]
struct Breakable {
    file: FileBackend,
    how: Arc<AtomicU8>,
}

impl StorageBackend for Breakable {
    fn len(&self) -> io::Result<u64> {
        self.file.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.how.load(Ordering::SeqCst) {
            FAILS => Err(io::Error::other("a broken disk")),
            PANICS => panic!("a broken backend"),
            _ => self.file.sync_data(),
        }
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.file.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.file.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.file.try_lock_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.file.unlock_range(start, end)
    }
}

/// A store on a file that can be broken until it is opened again.
struct Rig {
    folder: TempDir,
    how: Arc<AtomicU8>,
    store: RedbStore,
}

impl Rig {
    fn new(timeout: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.redb");
        let how = Arc::new(AtomicU8::new(WORKS));
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path).unwrap();
        let backend = Breakable { file: FileBackend::new(file).unwrap(), how: Arc::clone(&how) };
        let options = FileOptions { path: path.clone(), cache: 64 << 20, max_len: u64::MAX };
        let at = File::open(&path).unwrap();
        let Ok(open) = OpenFile::on(backend, at, &options, true, &Arc::default()) else {
            panic!("the file is a new one");
        };
        let namespace = Namespace::new("sessions").unwrap();
        open.create_namespace(&namespace).unwrap();
        let builder = RedbStore::builder(&path).timeout(timeout);
        let store = builder.start(Handle::to(options, open), namespace).unwrap();
        Self { folder, how, store }
    }
}

#[tokio::test]
async fn a_commit_that_fails_or_panics_is_an_error_and_the_next_call_opens_the_file_again() {
    for (how, kind, part) in [(FAILS, ErrorKind::Unavailable, "failed"), (PANICS, ErrorKind::Other, "panicked")] {
        let rig = Rig::new(Duration::from_secs(5));
        put(&rig.store, 1, &record(b"confirmed")).await;
        rig.how.store(how, Ordering::SeqCst);
        let (call, k, new) = (now(), key(2), record(b"unknown"));
        let error = rig.store.create(&call, &k, &new).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
        // The file that is opened now is not broken.
        assert!(get(&rig.store, 1).await.is_some());
        assert!(get(&rig.store, 2).await.is_none_or(|stored| stored == new), "stored as a whole or not at all");
        put(&rig.store, 3, &record(b"later")).await;
        rig.store.close().await.unwrap();
        let again = RedbStore::builder(rig.folder.path().join("sessions.redb")).create(false).open().await.unwrap();
        assert!(get(&again, 1).await.is_some() && get(&again, 3).await.is_some());
    }
}

#[tokio::test]
async fn a_call_that_has_timed_out_behind_another_transaction_is_not_executed_later() {
    let rig = Rig::new(Duration::from_millis(200));
    let old = record(b"old");
    put(&rig.store, 1, &old).await;
    let namespace = Namespace::new("sessions").unwrap();
    let open = rig.store.0.database.ready(Some(&namespace), std::time::Instant::now()).unwrap();
    let other = open.begin_write().unwrap();
    let (call, k, new) = (now(), key(1), record(b"new"));
    let save = begin(rig.store.save(&call, &k, old.version, &new)).await;
    let delete = begin(rig.store.delete(&call, &k, None)).await;
    // Loads do not wait.
    assert_eq!(get(&rig.store, 1).await.as_ref(), Some(&old));
    assert_eq!(save.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(delete.await.unwrap_err().kind(), ErrorKind::Unavailable);
    other.abort().unwrap();
    drop(open);
    // This call is behind them in the queue, so whatever they did is finished before it.
    assert_eq!(rig.store.touch(&now(), &key(2), old.version, call.now).await.unwrap(), Outcome::Missing);
    assert_eq!(get(&rig.store, 1).await, Some(old));
}
