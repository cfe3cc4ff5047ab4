//! Data of a record, as session-core writes them.
//!
//! A head comes first: `2`, a count, an idle time-out of six bytes, and as many versions of eight bytes. Then follows
//! the envelope of a session, or a tombstone: `0`, then `1` and a key or `0`. A tombstone that replaces nothing has no head.

use session_core::{Record, StoreKey};

/// The session's envelope or the tombstone, after the head.
pub fn envelope(data: &[u8]) -> &[u8] {
    match data {
        [2, count, rest @ ..] => rest.get(6 + usize::from(*count) * 8..).unwrap_or_default(),
        _ => data,
    }
}

/// Whether a record is a tombstone.
pub fn is_tombstone(record: &Record) -> bool {
    envelope(&record.data).first() == Some(&0)
}

/// The key under which the session is stored that a tombstone stands for. `None` if the session has ended.
pub fn moved_to(record: &Record) -> Option<StoreKey> {
    match envelope(&record.data) {
        [0, 1, key @ ..] => StoreKey::from_slice(key).ok(),
        _ => None,
    }
}
