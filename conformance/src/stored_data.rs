//! Parser for the data of a record, in the format of session-core.
//!
//! The data starts with a head: `2`, a count, an idle time-out of six bytes, and as many versions of eight bytes.
//! The envelope of a session or a tombstone follows. A tombstone is `0`, then either `1` and a key, or `0`.
//! A tombstone that replaces nothing has no head.

use session_core::{Record, StoreKey};

/// Returns the session's envelope or the tombstone, without the head.
pub fn envelope(data: &[u8]) -> &[u8] {
    match data {
        [2, count, rest @ ..] => rest.get(6 + usize::from(*count) * 8..).unwrap_or_default(),
        _ => data,
    }
}

/// Returns whether the record is a tombstone.
pub fn is_tombstone(record: &Record) -> bool {
    envelope(&record.data).first() == Some(&0)
}

/// Returns the key to which the session of a tombstone has moved. `None` if the session has ended.
pub fn moved_to(record: &Record) -> Option<StoreKey> {
    match envelope(&record.data) {
        [0, 1, key @ ..] => StoreKey::from_slice(key).ok(),
        _ => None,
    }
}
