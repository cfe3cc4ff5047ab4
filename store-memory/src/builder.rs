//! Builder and URL parser of the store.

use session_core::Result;
use session_store_kit::{within, wrong};

use crate::MemoryStore;
use crate::bound::Bound;

/// Builder of a [`MemoryStore`] with bounds. Without a bound, no live record is ever evicted.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct MemoryStoreBuilder {
    max_entries: Option<usize>,
    max_bytes: Option<usize>,
}

impl MemoryStoreBuilder {
    /// Limits the store to `n` records, including expired records that have not been purged. At least 1.
    pub const fn max_entries(mut self, n: usize) -> Self {
        self.max_entries = Some(n);
        self
    }

    /// Limits the store to `n` bytes. At least 1024.
    ///
    /// A record counts as the length of its data, the length of its principal, and 224 bytes for everything else.
    pub const fn max_bytes(mut self, n: usize) -> Self {
        self.max_bytes = Some(n);
        self
    }

    /// Creates the store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a bound below its minimum.
    pub fn build(self) -> Result<MemoryStore> {
        within("max_entries", self.max_entries.unwrap_or(usize::MAX), 1..=usize::MAX)?;
        within("max_bytes", self.max_bytes.unwrap_or(usize::MAX), 1024..=usize::MAX)?;
        let bounded = self.max_entries.or(self.max_bytes).is_some();
        Ok(MemoryStore::with(bounded.then(|| Bound::new(self.max_entries, self.max_bytes))))
    }
}

/// Parses a URL into a builder.
pub(crate) fn parse(url: &str) -> Result<MemoryStoreBuilder> {
    let (place, mut query) = session_store_kit::split(url)?;
    match place.strip_prefix("memory:") {
        None => return wrong("a URL of this store begins with memory:"),
        Some("" | "//") => {}
        Some(_) => return wrong("memory: is followed by options only"),
    }
    let (max_entries, max_bytes) = (query.number("max_entries")?, query.number("max_bytes")?);
    query.finish()?;
    Ok(MemoryStoreBuilder { max_entries, max_bytes })
}
