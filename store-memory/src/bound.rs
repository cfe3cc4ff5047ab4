//! How much a store may hold.

use std::sync::atomic::{AtomicUsize, Ordering};

use session_core::{Principal, Record};

/// What a record costs beside its data and its principal: slot, table, allocations, index.
pub(crate) const OVERHEAD: usize = 224;

/// The bounds of a store, and how much of them is in use.
#[derive(Debug)]
pub(crate) struct Bound {
    max_entries: usize,
    max_bytes: usize,
    entries: AtomicUsize,
    bytes: AtomicUsize,
}

impl Bound {
    pub(crate) fn new(max_entries: Option<usize>, max_bytes: Option<usize>) -> Self {
        let (max_entries, max_bytes) = (max_entries.unwrap_or(usize::MAX), max_bytes.unwrap_or(usize::MAX));
        Self { max_entries, max_bytes, entries: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// The least `max_bytes` that any one record with `data_len` bytes fits in.
    pub(crate) const fn least_bytes(data_len: usize) -> usize {
        data_len + OVERHEAD + Principal::MAX_LEN
    }

    /// The longest data that fits for whatever principal.
    pub(crate) fn max_data_len(&self) -> Option<usize> {
        (self.max_bytes < usize::MAX).then(|| self.max_bytes - Self::least_bytes(0))
    }

    /// How many shards serve these bounds.
    ///
    /// Within a shard the order of use is exact, so a small store has one; a large one evicts from the shard it writes to,
    /// whose oldest of hundreds is about as old as the oldest of all.
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
        // Wrapping addition of the difference: the sum is exact, whichever is larger.
        self.bytes.fetch_add(cost(new).wrapping_sub(cost(old)), Ordering::Relaxed);
    }

    pub(crate) fn exceeded(&self) -> bool {
        self.entries.load(Ordering::Relaxed) > self.max_entries || self.bytes.load(Ordering::Relaxed) > self.max_bytes
    }
}

fn cost(record: &Record) -> usize {
    record.data.len() + record.principal.as_ref().map_or(0, |principal| principal.as_str().len()) + OVERHEAD
}
