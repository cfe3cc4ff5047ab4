//! Store that is down.

use session_core::{
    Call, Capabilities, Error, ErrorKind, Outcome, Record, Result, Store, StoreKey, Timestamp, Version, async_trait,
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
