//! A store that keeps nothing.

use std::num::NonZeroU32;

use async_trait::async_trait;

use crate::{
    Call, Capabilities, Cursor, Error, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey, Timestamp,
    Version,
};

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

    async fn touch(&self, _: &Call, _: &StoreKey, _: Timestamp) -> Result<Outcome> {
        Ok(Outcome::Missing)
    }

    async fn delete(&self, _: &Call, _: &StoreKey, _: Option<Version>) -> Result<Outcome> {
        Ok(Outcome::Missing)
    }

    async fn purge(&self, _: &Call, _: NonZeroU32) -> Result<Purged> {
        Ok(Purged::default())
    }

    async fn sessions_of(&self, _: &Call, _: &Principal, _: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        Err(Error::unsupported("sessions_of"))
    }

    async fn delete_all(&self, _: &Call, _: &Principal, _: Option<&StoreKey>) -> Result<u64> {
        Err(Error::unsupported("delete_all"))
    }

    async fn scan(&self, _: &Call, _: Option<Cursor>, _: NonZeroU32) -> Result<Page> {
        Err(Error::unsupported("scan"))
    }
}
