//! Builder of the store, and the parser of its URLs.

use session_core::Result;
use session_store_kit::{split, within, wrong};

use crate::MemoryStore;
use crate::limits::Limits;

/// Builder of a [`MemoryStore`] with size limits.
///
/// At a limit, the least recently used records are evicted. Without limits, no live record is ever evicted.
///
/// ```
/// use session_store_memory::MemoryStore;
///
/// let store = MemoryStore::builder().max_entries(100_000).max_bytes(64 << 20).build()?;
/// assert!(store.is_empty());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct MemoryStoreBuilder {
    max_entries: Option<usize>,
    max_bytes: Option<usize>,
}

impl MemoryStoreBuilder {
    /// Sets the maximum number of records, including expired records that have not been purged. At least 1. Default: no limit.
    pub const fn max_entries(mut self, n: usize) -> Self {
        self.max_entries = Some(n);
        self
    }

    /// Sets the maximum size of all records in bytes. At least 1024. Default: no limit.
    ///
    /// A record counts as the length of its data, the length of its principal, and 224 bytes for everything else.
    pub const fn max_bytes(mut self, n: usize) -> Self {
        self.max_bytes = Some(n);
        self
    }

    /// Creates the store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a limit below its minimum.
    pub fn build(self) -> Result<MemoryStore> {
        within("max_entries", self.max_entries.unwrap_or(usize::MAX), 1..=usize::MAX)?;
        within("max_bytes", self.max_bytes.unwrap_or(usize::MAX), 1024..=usize::MAX)?;
        let limited = self.max_entries.or(self.max_bytes).is_some();
        Ok(MemoryStore::with(limited.then(|| Limits::new(self.max_entries, self.max_bytes))))
    }

    fn parse(url: &str) -> Result<Self> {
        let (place, mut query) = split(url)?;
        match place.strip_prefix("memory:") {
            None => return wrong("a URL of this store begins with memory:"),
            Some("" | "//") => {}
            Some(_) => return wrong("memory: is followed by options only"),
        }
        let builder = Self { max_entries: query.number("max_entries")?, max_bytes: query.number("max_bytes")? };
        query.finish()?;
        Ok(builder)
    }
}

impl MemoryStore {
    /// Returns a builder for an empty store with size limits. [`MemoryStoreBuilder`] has an example.
    pub fn builder() -> MemoryStoreBuilder {
        MemoryStoreBuilder::default()
    }

    /// Creates the store that `url` describes: `memory:`, or with size limits `memory:?max_entries=100000&max_bytes=67108864`.
    ///
    /// Each call creates a separate, empty store. The function is async only so that all stores are opened in the same way; it never waits.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for another scheme, an unknown option, a value that is not a number,
    /// or a limit below its minimum.
    pub async fn connect(url: &str) -> Result<Self> {
        MemoryStoreBuilder::parse(url)?.build()
    }
}
