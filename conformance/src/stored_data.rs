//! Parser for the data of a record, in the format of session-core.
//!
//! The data starts with a head: `2`, a count, an idle time-out of six bytes, and as many versions of eight bytes.
//! The envelope of a session or a tombstone follows. A tombstone is `0`, then either `1` and a key, or `0`.
//! A tombstone that replaces nothing has no head.

use session_core::{Record, StoreKey};

/// Returns the session's envelope or the tombstone, without the head.
///
/// ```
/// use session_conformance::stored_data::envelope;
///
/// assert_eq!(envelope(b"{}"), b"{}");
/// assert_eq!(envelope(b"\x02\x00......{}"), b"{}");
/// ```
pub fn envelope(data: &[u8]) -> &[u8] {
    match data {
        [2, count, rest @ ..] => rest.get(6 + usize::from(*count) * 8..).unwrap_or_default(),
        _ => data,
    }
}

/// Returns whether the record is a tombstone.
///
/// ```
/// use session_conformance::stored_data::{is_tombstone, moved_to};
/// use session_core::{Bytes, Record, Timestamp, Version};
///
/// let data = Bytes::from_static(&[0, 0]);
/// let ended = Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, data);
/// assert!(is_tombstone(&ended));
/// assert_eq!(moved_to(&ended), None);
/// ```
pub fn is_tombstone(record: &Record) -> bool {
    envelope(&record.data).first() == Some(&0)
}

/// Returns the key to which the session of a tombstone has moved. `None` if the session has ended.
///
/// ```
/// use session_conformance::stored_data::moved_to;
/// use session_core::{Record, SessionId, StoreKey, Timestamp, Version};
///
/// let key = StoreKey::derive("id", &SessionId::random());
/// let data = [&[0, 1], &key.as_bytes()[..]].concat();
/// let moved = Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, data.into());
/// assert_eq!(moved_to(&moved), Some(key));
/// ```
pub fn moved_to(record: &Record) -> Option<StoreKey> {
    match envelope(&record.data) {
        [0, 1, key @ ..] => StoreKey::from_slice(key).ok(),
        _ => None,
    }
}
