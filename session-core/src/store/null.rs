//! A store that keeps nothing.

use async_trait::async_trait;

use crate::{Call, Capabilities, Outcome, Record, Result, Store, StoreKey, Timestamp, Version};

/// Keeps nothing: what is created is gone at once. For APIs that have no sessions but share code with applications that do.
///
/// A [`Manager`](crate::Manager) over it hands out sessions that work for the length of a request.
#[derive(Clone, Copy, Debug, Default)]
pub struct NullStore;

#[async_trait]
impl Store for NullStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().discards(true)
    }

    async fn create(&self, _: &Call, _: &StoreKey, _: &Record) -> Result<Outcome> {
        Ok(Outcome::Done)
    }

    async fn load(&self, _: &Call, _: &StoreKey) -> Result<Option<Record>> {
        Ok(None)
    }

    async fn save(&self, _: &Call, _: &StoreKey, _: Version, _: &Record) -> Result<Outcome> {
        Ok(Outcome::Missing)
    }

    async fn touch(&self, _: &Call, _: &StoreKey, _: Version, _: Timestamp) -> Result<Outcome> {
        Ok(Outcome::Missing)
    }

    async fn delete(&self, _: &Call, _: &StoreKey, _: Option<Version>) -> Result<Outcome> {
        Ok(Outcome::Missing)
    }
}
