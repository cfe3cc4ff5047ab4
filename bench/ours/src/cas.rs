//! What keeps sessions by compare-and-set, as a subject.

use anyhow::{Context, Result};
use async_trait::async_trait;
use work::{Payload, SESSIONS, Subject};

/// A key as this project's stores have them: 32 bytes without a pattern.
pub(crate) type Key = [u8; 32];

/// How long sessions live, in milliseconds.
pub(crate) const LIFE: i64 = 24 * 60 * 60 * 1000;

/// Records with a version, and compare-and-set.
pub(crate) trait Cas: Send + Sync {
    /// What it is read into.
    type Data: AsRef<[u8]> + Send;

    fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> impl Future<Output = Result<()>> + Send;

    /// The version and the data, if the session lives.
    fn load(&self, key: &Key) -> impl Future<Output = Result<Option<(i64, Self::Data)>>> + Send;

    /// Whether `expected` was there and is replaced.
    fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> impl Future<Output = Result<bool>> + Send;

    fn touch(&self, key: &Key) -> impl Future<Output = Result<()>> + Send;
}

/// [`SESSIONS`] sessions.
pub(crate) struct Filled<C> {
    cas: C,
    size: usize,
    keys: Vec<Key>,
}

impl<C: Cas> Filled<C> {
    pub(crate) async fn new(cas: C, size: usize) -> Result<Self> {
        let keys = (0..SESSIONS).map(|_| rand::random()).collect();
        let filled = Self { cas, size, keys };
        for key in &filled.keys {
            filled.store_new(key).await?;
        }
        Ok(filled)
    }

    async fn store_new(&self, key: &Key) -> Result<()> {
        self.cas.create(key, rand::random_range(1..i64::MAX), Payload::of_size(self.size).encode()).await
    }

    async fn payload(&self, n: u64) -> Result<(i64, Payload)> {
        let (version, data) = self.cas.load(&self.keys[n as usize]).await?.context("a session went")?;
        Ok((version, Payload::decode(data.as_ref())?))
    }
}

#[async_trait]
impl<C: Cas> Subject for Filled<C> {
    async fn create(&self) -> Result<()> {
        self.store_new(&rand::random()).await
    }

    async fn load(&self, n: u64) -> Result<u64> {
        self.payload(n).await.map(|(_, payload)| payload.count)
    }

    async fn add(&self, n: u64) -> Result<()> {
        loop {
            let (version, payload) = self.payload(n).await?;
            let data = payload.plus_one().encode();
            if self.cas.save(&self.keys[n as usize], version, rand::random_range(1..i64::MAX), data).await? {
                return Ok(());
            }
        }
    }

    async fn touch(&self, n: u64) -> Result<()> {
        self.cas.touch(&self.keys[n as usize]).await
    }
}
