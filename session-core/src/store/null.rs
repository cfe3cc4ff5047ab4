//! Store that keeps nothing.

use async_trait::async_trait;

use crate::{Call, Capabilities, Outcome, Record, Result, Store, StoreKey, Timestamp, Version};

/// A store that keeps nothing, for APIs without sessions that share code with applications that have them.
///
/// A session of a [`Manager`](crate::Manager) over this store works until the end of its request.
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
