//! Tombstones, as session-core writes them: `0`, then `1` and a key or `0`, then the trail.

use session_core::{Record, StoreKey};

/// Whether a record is a tombstone.
pub(crate) fn is(record: &Record) -> bool {
    record.data.first() == Some(&0)
}

/// The key under which the session is stored that a tombstone stands for. `None` if the session has ended.
pub(crate) fn moved_to(record: &Record) -> Option<StoreKey> {
    let moved = is(record) && record.data.get(1) == Some(&1);
    StoreKey::from_slice(record.data.get(2..2 + StoreKey::LEN).filter(|_| moved)?).ok()
}
