use anyhow::Result;
use async_trait::async_trait;

/// Number of sessions that a subject is filled with.
pub const SESSIONS: u64 = 1000;

/// A store to measure, filled with [`SESSIONS`] sessions, which are numbered from 0.
///
/// A session holds a [`Payload`](crate::Payload), so that all subjects encode and decode the same content.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Stores a new session and forgets it.
    async fn create(&self) -> Result<()>;

    /// Loads and decodes a session, and returns its count.
    async fn load(&self, n: u64) -> Result<u64>;

    /// Loads a session, adds one to its count, and stores it. Retries after a conflict.
    async fn add(&self, n: u64) -> Result<()>;

    /// Extends a session's expiry, like a request that only reads.
    async fn touch(&self, n: u64) -> Result<()>;
}
