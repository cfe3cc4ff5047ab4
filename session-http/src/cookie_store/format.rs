//! Byte layout of a session that is kept in its cookie, before it is sealed:
//!
//! | bytes | content |
//! |---|---|
//! | 1 | number of the layout, 1 |
//! | 32 | id of the session |
//! | 8 | time of creation in ms since 1970, big-endian |
//! | 8 | time of expiry in ms since 1970, big-endian |
//! | 1 | length of the principal in bytes; 0 without a principal |
//! | 0–255 | the principal |
//! | rest | content of the session; its first byte gives the format |

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use session_core::{Bytes, Principal, Record, Timestamp, Version};
use zeroize::Zeroizing;

/// Context of the seal. The seal also covers the purpose and the session's name.
pub(crate) const CONTEXT: &[u8] = b"layout 1";

const LAYOUT: u8 = 1;
const ID: usize = 32;
const TIME: usize = 8;

/// Length in bytes of what [`write`] returns for `record`.
pub(crate) fn len(record: &Record) -> usize {
    1 + ID + 2 * TIME + 1 + principal(record).len() + record.data.len()
}

/// Writes `id` and `record`, but not the version, because a cookie belongs to one client and has no concurrent writers.
pub(crate) fn write(id: &str, record: &Record) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(Vec::with_capacity(len(record)));
    bytes.push(LAYOUT);
    let mut raw = Zeroizing::new([0; ID]);
    // The id comes from this crate's own session and always has this length.
    let decoded = URL_SAFE_NO_PAD.decode_slice(id, &mut *raw);
    debug_assert_eq!(decoded, Ok(ID));
    bytes.extend_from_slice(&*raw);
    bytes.extend_from_slice(&record.created_at.as_millis().to_be_bytes());
    bytes.extend_from_slice(&record.expires_at.as_millis().to_be_bytes());
    let principal = principal(record);
    bytes.push(u8::try_from(principal.len()).unwrap_or(u8::MAX));
    bytes.extend_from_slice(principal.as_bytes());
    bytes.extend_from_slice(&record.data);
    bytes
}

/// Reads the id and the record. Returns `None` if the bytes are malformed; they are checked although this server sealed them.
pub(crate) fn read(bytes: &[u8]) -> Option<(String, Record)> {
    let (&layout, rest) = bytes.split_first()?;
    if layout != LAYOUT {
        return None;
    }
    let (id, rest) = rest.split_first_chunk::<ID>()?;
    let (created_at, rest) = time(rest)?;
    let (expires_at, rest) = time(rest)?;
    let (&length, rest) = rest.split_first()?;
    let (principal, data) = rest.split_at_checked(length.into())?;
    let principal = match principal {
        [] => None,
        text => Some(Principal::new(std::str::from_utf8(text).ok()?).ok()?),
    };
    let record = Record::new(Version::random(), created_at, expires_at, principal, Bytes::copy_from_slice(data));
    Some((URL_SAFE_NO_PAD.encode(id), record))
}

fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (millis, rest) = bytes.split_first_chunk::<TIME>()?;
    Some((Timestamp::from_millis(i64::from_be_bytes(*millis)).ok()?, rest))
}

fn principal(record: &Record) -> &str {
    record.principal.as_ref().map_or("", Principal::as_str)
}
