//! How a store is made.

use session_core::{Error, ErrorKind, Result};

use crate::MemoryStore;
use crate::bound::Bound;

/// How much a [`MemoryStore`] may hold; without a bound, nothing live is ever evicted.
#[derive(Clone, Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct MemoryStoreBuilder {
    max_entries: Option<usize>,
    max_bytes: Option<usize>,
}

impl MemoryStoreBuilder {
    /// Holds at most `n` records, expired ones that have not been purged included; at least 1.
    pub const fn max_entries(mut self, n: usize) -> Self {
        self.max_entries = Some(n);
        self
    }

    /// Holds at most `n` bytes; at least 1024.
    ///
    /// A record counts the length of its data and of its principal, and 224 bytes for everything else.
    pub const fn max_bytes(mut self, n: usize) -> Self {
        self.max_bytes = Some(n);
        self
    }

    /// The store.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for bounds below the least.
    pub fn build(self) -> Result<MemoryStore> {
        if self.max_entries == Some(0) {
            return Err(Error::fixed(ErrorKind::Config, "max_entries must be at least 1"));
        }
        if self.max_bytes.is_some_and(|bytes| bytes < 1024) {
            return Err(Error::fixed(ErrorKind::Config, "max_bytes must be at least 1024"));
        }
        let bounded = self.max_entries.or(self.max_bytes).is_some();
        Ok(MemoryStore::with(bounded.then(|| Bound::new(self.max_entries, self.max_bytes))))
    }
}

/// What a URL says.
pub(crate) fn parse(url: &str) -> Result<MemoryStoreBuilder> {
    let wrong = |message: &str| Err(Error::new(ErrorKind::Config, message));
    let Some(rest) = url.strip_prefix("memory:") else { return wrong("a URL of this store begins with memory:") };
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    if !matches!(place, "" | "//") {
        return wrong("memory: is followed by options only");
    }
    let mut builder = MemoryStoreBuilder::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Ok(n) = value.parse() else { return wrong(&format!("the value of `{name}` is not a number")) };
        builder = match name {
            "max_entries" => builder.max_entries(n),
            "max_bytes" => builder.max_bytes(n),
            _ => return wrong(&format!("unknown option `{name}`; known are max_entries and max_bytes")),
        };
    }
    Ok(builder)
}
