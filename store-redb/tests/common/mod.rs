//! Helpers of the store's tests.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

use std::num::NonZeroU32;
use std::path::PathBuf;

use session_store_redb::{RedbStore, RedbStoreBuilder};
use tempfile::TempDir;

pub(crate) use session_conformance::fixtures::{begin, get, key, now, put, record, record_of};

pub(crate) const MANY: NonZeroU32 = NonZeroU32::MAX;

/// Temporary directory for a database.
pub(crate) struct TestFile {
    pub(crate) directory: TempDir,
}

impl TestFile {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("sessions.redb")
    }

    pub(crate) fn builder(&self) -> RedbStoreBuilder {
        RedbStore::builder(self.path())
    }

    pub(crate) async fn open(&self) -> RedbStore {
        self.builder().open().await.unwrap()
    }

    /// Runs `work` on the file as another program would, and commits. No store may have it open.
    pub(crate) fn foreign(&self, work: impl FnOnce(&redb::WriteTransaction)) {
        let database = redb::Database::open(self.path()).unwrap();
        let transaction = database.begin_write().unwrap();
        work(&transaction);
        transaction.commit().unwrap();
    }
}
