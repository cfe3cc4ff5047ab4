//! Store for tests, which counts how often a session is looked up.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use session_core::{Call, Capabilities, Outcome, Record, Result, Store, StoreKey, Timestamp, Version, async_trait};
use session_store_memory::MemoryStore;

/// Store that counts its loads. It has only what every store has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counting {
    store: MemoryStore,
    loads: Arc<AtomicUsize>,
}

impl Counting {
    /// Returns the number of loads since the last call of this method.
    pub(crate) fn loads(&self) -> usize {
        self.loads.swap(0, Ordering::SeqCst)
    }
}

#[async_trait]
impl Store for Counting {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.store.create(call, key, record).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.store.load(call, key).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.store.save(call, key, expected, record).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.store.touch(call, key, expected, expires_at).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.store.delete(call, key, expected).await
    }
}
