//! Runs clauses of the suite on two instances of a store in one process, which share the open file.
//!
//! The store says that it is not shared, because other processes cannot open its file. So the suite alone would use one instance.

use std::num::NonZeroU32;
use std::sync::Arc;

use session_conformance::testing::{STATEMENTS, clauses_hold};
use session_conformance::{Harness, Subject};
use session_core::{
    Call, Capabilities, Cursor, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey, Timestamp, Version,
    async_trait,
};
use session_store_redb::{Durability, RedbStore};
use tempfile::TempDir;

/// Operations of the history, fewer than in a run of the suite.
const HISTORY: usize = 3_000;

/// A store that says that it is shared.
#[derive(Debug)]
struct Shared(RedbStore);

#[async_trait]
impl Store for Shared {
    fn capabilities(&self) -> Capabilities {
        self.0.capabilities().shared(true)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.0.create(call, key, record).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.0.load(call, key).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.0.save(call, key, expected, record).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.0.touch(call, key, expected, expires_at).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.0.delete(call, key, expected).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.0.purge(call, limit).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.0.sessions_of(call, principal, limit).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.0.delete_all(call, principal, keep).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.0.scan(call, after, limit).await
    }

    async fn close(&self) -> Result<()> {
        self.0.close().await
    }
}

struct Instances {
    directory: TempDir,
    durability: Durability,
    /// Size of the cache in MiB. In one of 1, no file fits.
    cache: usize,
}

#[async_trait]
impl Harness for Instances {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("redb", env!("CARGO_PKG_VERSION")).history_ops(HISTORY))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        let store = RedbStore::builder(self.directory.path().join("sessions.redb"));
        let store = store.namespace(namespace).durability(self.durability).cache(self.cache);
        Ok(Arc::new(Shared(store.open().await?)))
    }
}

async fn hold(durability: Durability, cache: usize, topics: &[&str], when: &str) {
    let directory = tempfile::tempdir().unwrap();
    clauses_hold(Instances { directory, durability, cache }, topics, when).await;
}

/// Topics of the clauses about what two callers see of one another.
const RACES: &[&str] = &["history", "close", "save", "touch"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_instances_keep_the_promises() {
    hold(Durability::Immediate, 64, &[STATEMENTS, &["history", "close"]].concat(), "two instances").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delayed_commits_keep_the_promises() {
    hold(Durability::Delayed, 64, RACES, "two instances with delayed commits").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_by_threads_keep_the_promises() {
    hold(Durability::Immediate, 1, RACES, "two instances whose file does not fit in the cache").await;
}
