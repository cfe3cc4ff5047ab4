//! Size limits of a store, and counters of its records and bytes.

use std::sync::atomic::{AtomicUsize, Ordering};

use session_core::{Principal, Record};

/// Cost of a record in bytes besides its data and its principal: slot, hash table, allocations, index entry.
pub(crate) const OVERHEAD: usize = 224;

/// Size limits of a store, and its size.
#[derive(Debug)]
pub(crate) struct Limits {
    max_entries: usize,
    max_bytes: usize,
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Limits {
    pub(crate) fn new(max_entries: Option<usize>, max_bytes: Option<usize>) -> Self {
        let (max_entries, max_bytes) = (max_entries.unwrap_or(usize::MAX), max_bytes.unwrap_or(usize::MAX));
        Self { max_entries, max_bytes, entries: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Returns the smallest `max_bytes` that fits one record with `data_len` bytes of data and any principal.
    pub(crate) const fn least_bytes(data_len: usize) -> usize {
        data_len + OVERHEAD + Principal::MAX_LEN
    }

    /// Returns the maximum length of data that fits with any principal, or `None` without a limit on bytes.
    pub(crate) fn max_data_len(&self) -> Option<usize> {
        (self.max_bytes < usize::MAX).then(|| self.max_bytes - Self::least_bytes(0))
    }

    /// Returns the number of shards for these limits, at most `most`.
    ///
    /// The order of use is exact within a shard, so a small store has one shard. A large store evicts from the shard it writes to:
    /// the least recently used of hundreds of records there is about as old as the least recently used of the store.
    pub(crate) fn shards(&self, most: usize) -> usize {
        let records = self.max_entries.min(self.max_bytes / (OVERHEAD + 512));
        (records / 1024).clamp(1, most).next_power_of_two()
    }

    pub(crate) fn added(&self, record: &Record) {
        self.entries.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(cost(record), Ordering::Relaxed);
    }

    pub(crate) fn removed(&self, record: &Record) {
        self.entries.fetch_sub(1, Ordering::Relaxed);
        self.bytes.fetch_sub(cost(record), Ordering::Relaxed);
    }

    pub(crate) fn replaced(&self, old: &Record, new: &Record) {
        // Wrapping addition of the difference gives the exact sum, also when the new record is smaller.
        self.bytes.fetch_add(cost(new).wrapping_sub(cost(old)), Ordering::Relaxed);
    }

    pub(crate) fn exceeded(&self) -> bool {
        self.entries.load(Ordering::Relaxed) > self.max_entries || self.bytes.load(Ordering::Relaxed) > self.max_bytes
    }
}

fn cost(record: &Record) -> usize {
    record.data.len() + record.principal.as_ref().map_or(0, |principal| principal.as_str().len()) + OVERHEAD
}
