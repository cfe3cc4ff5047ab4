//! One session that many requests of two processes write at once: everybody gets through.

use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::future::join_all;
use session_core::{
    Call, Capabilities, Commit, Cursor, Manager, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version, async_trait,
};
use store_memory::MemoryStore;
use tokio::sync::Mutex;
use tokio::task::yield_now;

/// A database as seen over a network: an answer takes a while, and a save is seen, and lets the next one begin, when it is on disk.
///
/// Time is counted in turns of a single thread, each task one after the other, so that every run goes alike.
#[derive(Debug, Default)]
struct Distant {
    store: MemoryStore,
    row: Mutex<()>,
}

const WAY: usize = 1;
const TO_DISK: usize = 8;

async fn turns(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

#[async_trait]
impl Store for Distant {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.store.create(call, key, record).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        turns(WAY).await;
        let loaded = self.store.load(call, key).await;
        turns(WAY).await;
        loaded
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        turns(WAY).await;
        let row = self.row.lock().await;
        if self.store.load(call, key).await?.is_some_and(|record| record.version == expected) {
            turns(TO_DISK).await;
        }
        let outcome = self.store.save(call, key, expected, record).await;
        drop(row);
        turns(WAY).await;
        outcome
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expires_at: Timestamp) -> Result<Outcome> {
        self.store.touch(call, key, expires_at).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.store.delete(call, key, expected).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.store.purge(call, limit).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.store.sessions_of(call, principal, limit).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.store.delete_all(call, principal, keep).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.store.scan(call, after, limit).await
    }
}

#[tokio::test]
async fn the_queue_of_one_process_does_not_starve_the_others() {
    const REQUESTS: usize = 400;
    let store: Arc<Distant> = Arc::default();
    let processes = [Manager::new(store.clone()), Manager::new(store)];

    let first = processes[0].open(None).await.unwrap();
    first.insert("count", &0).unwrap();
    let Commit::Issue(ticket) = processes[0].close(&first).await.unwrap() else { panic!("no cookie") };
    let cookie = ticket.value.as_str().to_owned();

    let requests = (0..REQUESTS).map(|n| {
        let (manager, cookie) = (&processes[n % 2], &cookie);
        async move {
            let session = manager.open(Some(cookie)).await?;
            session.update("count", |n: &mut u64| *n += 1)?;
            manager.close(&session).await
        }
    });
    let failed: Vec<_> = join_all(requests).await.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{} of {REQUESTS} requests failed: {:?}", failed.len(), failed[0]);

    let last = processes[1].open(Some(&cookie)).await.unwrap();
    assert_eq!(last.get::<usize>("count").unwrap(), Some(REQUESTS));
}
