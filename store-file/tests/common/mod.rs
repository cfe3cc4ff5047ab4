//! Helpers of the store's tests.
#![allow(dead_code, unused_imports, reason = "each test binary uses its own part")]

use std::fs::{self, File};
use std::num::NonZeroU32;
use std::path::PathBuf;

use session_core::Handle;
use session_store_file::{FileStore, FileStoreBuilder};
use tempfile::TempDir;

pub(crate) use session_conformance::fixtures::{begin, get, key, now, put, record, record_of};

pub(crate) const MANY: NonZeroU32 = NonZeroU32::MAX;

/// Temporary folder for a store.
pub(crate) struct TestFolder {
    pub(crate) directory: TempDir,
}

impl TestFolder {
    pub(crate) fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    /// Returns the path that the store is opened with.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Returns the folder of the namespace `sessions`.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("sessions")
    }

    pub(crate) fn builder(&self) -> FileStoreBuilder {
        FileStore::builder(self.path())
    }

    pub(crate) async fn open(&self) -> FileStore {
        self.builder().open().await.unwrap()
    }

    /// Returns the file of session `n`.
    pub(crate) fn record(&self, n: u32) -> PathBuf {
        self.shard(n).join(Handle::from(key(n)).to_string())
    }

    /// Returns the folder that holds session `n`.
    pub(crate) fn shard(&self, n: u32) -> PathBuf {
        self.root().join("records").join(shard_name(n))
    }

    /// Returns the lock file of session `n`.
    pub(crate) fn lock(&self, n: u32) -> PathBuf {
        self.root().join("locks").join(shard_name(n))
    }

    /// Leaves the temporary file of a process that was killed while it wrote session `n`, and returns its path.
    pub(crate) fn half_written(&self, n: u32) -> PathBuf {
        fs::create_dir_all(self.shard(n)).unwrap();
        fs::write(self.shard(n).join("new"), "half").unwrap();
        self.shard(n).join("new")
    }

    /// Locks the shard of session `n`, as another process would.
    pub(crate) fn locked(&self, n: u32) -> File {
        let file = File::options().create(true).append(true).open(self.lock(n)).unwrap();
        file.lock().unwrap();
        file
    }

    /// Returns the paths of all index entries.
    pub(crate) fn entries(&self) -> Vec<PathBuf> {
        self.files("people")
    }

    /// Returns all files in the subfolders of a folder.
    pub(crate) fn files(&self, name: &str) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for folder in fs::read_dir(self.root().join(name)).unwrap() {
            files.extend(fs::read_dir(folder.unwrap().path()).unwrap().map(|file| file.unwrap().path()));
        }
        files
    }
}

fn shard_name(n: u32) -> String {
    format!("{:02x}", key(n).as_bytes()[0])
}
