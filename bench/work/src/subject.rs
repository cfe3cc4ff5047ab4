use anyhow::Result;
use async_trait::async_trait;

/// How many sessions a subject is filled with.
pub const SESSIONS: u64 = 1000;

/// Something that keeps sessions, filled with [`SESSIONS`] of them, which are numbered from 0.
///
/// A session holds a [`Payload`](crate::Payload), so that everybody encodes and decodes the same.
#[async_trait]
pub trait Subject: Send + Sync {
    /// Stores a new session and forgets it.
    async fn create(&self) -> Result<()>;

    /// Loads a session and decodes it: its count.
    async fn load(&self, n: u64) -> Result<u64>;

    /// Loads a session, adds one to its count, and stores it. What a conflict tells is done again.
    async fn add(&self, n: u64) -> Result<()>;

    /// Moves a session's expiry out, as a request does that only reads.
    async fn touch(&self, n: u64) -> Result<()>;
}
