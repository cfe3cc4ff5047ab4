//! Subjects that store sessions by compare-and-set.

use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering::Relaxed;

use anyhow::{Context, Result};
use async_trait::async_trait;
use work::{Payload, SESSIONS, Subject};

/// A key as in this project's stores: 32 bytes without a pattern.
pub(crate) type Key = [u8; 32];

/// Lifetime of sessions, in milliseconds.
pub(crate) const LIFE: i64 = 24 * 60 * 60 * 1000;

/// Records with a version, written by compare-and-set.
pub(crate) trait Cas: Send + Sync {
    /// Type of loaded data.
    type Data: AsRef<[u8]> + Send;

    fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> impl Future<Output = Result<()>> + Send;

    /// Returns the version and the data, if the session is live.
    fn load(&self, key: &Key) -> impl Future<Output = Result<Option<(i64, Self::Data)>>> + Send;

    /// Replaces the version `expected`. Returns whether it was stored.
    fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> impl Future<Output = Result<bool>> + Send;

    /// Extends the expiry of the version `expected`. Returns whether it was stored.
    fn touch(&self, key: &Key, expected: i64) -> impl Future<Output = Result<bool>> + Send;
}

/// A store filled with [`SESSIONS`] sessions.
pub(crate) struct Filled<C> {
    cas: C,
    size: usize,
    keys: Vec<Key>,
    /// Version last stored under each key. A request that touches knows it from its load.
    versions: Vec<AtomicI64>,
}

impl<C: Cas> Filled<C> {
    pub(crate) async fn new(cas: C, size: usize) -> Result<Self> {
        let keys = (0..SESSIONS).map(|_| rand::random()).collect();
        let versions = (0..SESSIONS).map(|_| AtomicI64::default()).collect();
        let filled = Self { cas, size, keys, versions };
        for (key, version) in filled.keys.iter().zip(&filled.versions) {
            version.store(filled.store_new(key).await?, Relaxed);
        }
        Ok(filled)
    }

    /// Stores a new session and returns its version.
    async fn store_new(&self, key: &Key) -> Result<i64> {
        let version = rand::random_range(1..i64::MAX);
        self.cas.create(key, version, Payload::of_size(self.size).encode()).await?;
        Ok(version)
    }

    async fn payload(&self, n: u64) -> Result<(i64, Payload)> {
        let (version, data) = self.cas.load(&self.keys[n as usize]).await?.context("a session went")?;
        Ok((version, Payload::decode(data.as_ref())?))
    }
}

#[async_trait]
impl<C: Cas> Subject for Filled<C> {
    async fn create(&self) -> Result<()> {
        self.store_new(&rand::random()).await.map(drop)
    }

    async fn load(&self, n: u64) -> Result<u64> {
        self.payload(n).await.map(|(_, payload)| payload.count)
    }

    async fn add(&self, n: u64) -> Result<()> {
        loop {
            let (version, payload) = self.payload(n).await?;
            let (data, newer) = (payload.plus_one().encode(), rand::random_range(1..i64::MAX));
            if self.cas.save(&self.keys[n as usize], version, newer, data).await? {
                self.versions[n as usize].store(newer, Relaxed);
                return Ok(());
            }
        }
    }

    async fn touch(&self, n: u64) -> Result<()> {
        let version = &self.versions[n as usize];
        // Concurrent saves may record their versions in a different order.
        while !self.cas.touch(&self.keys[n as usize], version.load(Relaxed)).await? {
            version.store(self.payload(n).await?.0, Relaxed);
        }
        Ok(())
    }
}
