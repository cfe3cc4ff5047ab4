//! Helpers of the store's tests.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

use std::num::NonZeroU32;
use std::path::PathBuf;

use session_store_sqlite::{SqliteStore, SqliteStoreBuilder};
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
        self.directory.path().join("sessions.db")
    }

    pub(crate) fn builder(&self) -> SqliteStoreBuilder {
        SqliteStore::builder(self.path())
    }

    pub(crate) async fn open(&self) -> SqliteStore {
        self.builder().open().await.unwrap()
    }

    /// Opens a connection of another program.
    pub(crate) fn foreign(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).unwrap()
    }
}
