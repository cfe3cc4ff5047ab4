//! Stores that are down, for ever or for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use session_core::{
    Call, Capabilities, Error, ErrorKind, Outcome, Record, Result, Store, StoreKey, Timestamp, Version, async_trait,
    delegate_store,
};

/// Fails every call, as a store does whose server cannot be reached.
#[derive(Debug)]
pub(crate) struct Down;

const DOWN: Error = Error::fixed(ErrorKind::Unavailable, "the test has no server");

#[async_trait]
impl Store for Down {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }

    async fn create(&self, _: &Call, _: &StoreKey, _: &Record) -> Result<Outcome> {
        Err(DOWN)
    }

    async fn load(&self, _: &Call, _: &StoreKey) -> Result<Option<Record>> {
        Err(DOWN)
    }

    async fn save(&self, _: &Call, _: &StoreKey, _: Version, _: &Record) -> Result<Outcome> {
        Err(DOWN)
    }

    async fn touch(&self, _: &Call, _: &StoreKey, _: Version, _: Timestamp) -> Result<Outcome> {
        Err(DOWN)
    }

    async fn delete(&self, _: &Call, _: &StoreKey, _: Option<Version>) -> Result<Outcome> {
        Err(DOWN)
    }
}

/// Store that is down while the switch says so.
#[derive(Debug)]
pub(crate) struct Switched<S> {
    pub(crate) store: S,
    pub(crate) down: Arc<AtomicBool>,
}

delegate_store!([S: Store] Switched<S>, switched => switched.present());

impl<S: Store> Switched<S> {
    fn present(&self) -> &dyn Store {
        if self.down.load(Ordering::Relaxed) { &Down } else { &self.store }
    }
}
