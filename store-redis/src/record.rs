//! Layout of a stored record. It is the same on a single server and on a cluster.

use bytes::{Buf, Bytes};
use redis::Value;
use session_core::{Call, Error, ErrorKind, Principal, Record, Result, Timestamp, Version};

use crate::error::UNEXPECTED_REPLY;

/// First byte of every record. The scripts contain it too.
const LAYOUT: u8 = 1;

/// Length of the header: layout, version, `created_at`, `expires_at`, `index_until`, length of the principal (1 + 4 × 8 + 1 bytes, big-endian).
const HEADER: usize = 34;

/// Maximum length of an encoded record without its data.
const OVERHEAD: usize = HEADER + 255;

/// Length of an argument that every server accepts: the lowest value of `proto-max-bulk-len` and of `client-query-buffer-limit`
/// is 1 MiB, and the query buffer also holds the beginning of the next command.
pub(crate) const UNREFUSED_LEN: usize = (1 << 20) - (64 << 10);

/// Returns the maximum length of a record's data, if an argument may have `argument` bytes.
pub(crate) const fn max_data_len(argument: usize) -> usize {
    argument.saturating_sub(OVERHEAD)
}

/// Encodes a record as the string to store.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, record);
    out
}

/// Appends the encoded record to `out`.
pub(crate) fn encode_into(out: &mut Vec<u8>, record: &Record) {
    let principal = record.principal.as_ref().map_or("", Principal::as_str);
    out.reserve(HEADER + principal.len() + record.data.len());
    out.push(LAYOUT);
    out.extend(record.version.as_i64().to_be_bytes());
    out.extend(record.created_at.as_millis().to_be_bytes());
    out.extend(record.expires_at.as_millis().to_be_bytes());
    // `index_until`. On a single server the entry is written in the same step; on a cluster a script sets this field.
    out.extend(record.expires_at.as_millis().to_be_bytes());
    out.push(u8::try_from(principal.len()).expect("a principal has at most 255 bytes"));
    out.extend(principal.as_bytes());
    out.extend(&record.data);
}

/// Decodes a stored record, without copying its data.
fn decode(bytes: Vec<u8>) -> Result<Record> {
    let mut bytes = Bytes::from(bytes);
    if bytes.first().is_some_and(|layout| *layout != LAYOUT) {
        return Err(OTHER_LAYOUT);
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Err(DAMAGED) };
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&header[at..at + 8]);
        i64::from_be_bytes(number)
    };
    let data = HEADER + usize::from(header[HEADER - 1]);
    let principal = match bytes.get(HEADER..data) {
        None => return Err(DAMAGED),
        Some([]) => None,
        Some(text) => Some(Principal::new(std::str::from_utf8(text).map_err(|_| DAMAGED)?).map_err(|_| DAMAGED)?),
    };
    let time = |at| Timestamp::from_millis(number(at)).map_err(|_| DAMAGED);
    let (version, created_at, expires_at) = (Version::from_i64(number(1))?, time(9)?, time(17)?);
    bytes.advance(data);
    Ok(Record::new(version, created_at, expires_at, principal, bytes))
}

/// Returns the record in an answer if it is live. The server may still have a record that has expired by the caller's clock.
pub(crate) fn live(call: &Call, answer: Value) -> Result<Option<Record>> {
    match answer {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(decode(bytes)?).filter(|record| record.is_live(call.now))),
        _ => Err(UNEXPECTED_REPLY),
    }
}

/// Encodes a version in the form that the scripts compare.
pub(crate) fn version(version: Version) -> [u8; 8] {
    version.as_i64().to_be_bytes()
}

/// Converts an expiry for the server. At least 1, because `PXAT 0` is an error; a record with expiry 1 is removed at once.
pub(crate) fn expiry(at: Timestamp) -> i64 {
    at.as_millis().max(1)
}

pub(crate) const OTHER_LAYOUT: Error = Error::fixed(
    ErrorKind::Corrupt,
    "the stored value has another layout than 1, or another program wrote it; it was not changed",
);

const DAMAGED: Error = Error::fixed(ErrorKind::Corrupt, "the stored record is damaged");

#[cfg(test)]
mod tests {
    use super::*;

    fn record(principal: Option<&str>, data: &'static [u8]) -> Record {
        let principal = principal.map(|who| Principal::new(who).unwrap());
        Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, principal, Bytes::from_static(data))
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let long = "é".repeat(127);
        for principal in [None, Some("a"), Some("Zoë 🦀"), Some(&*long)] {
            for data in [&b""[..], b"\0", b"{}"] {
                let record = record(principal, data);
                assert_eq!(decode(encode(&record)).unwrap(), record);
            }
        }
    }

    #[test]
    fn what_is_no_record_of_this_layout_is_corrupt() {
        let good = encode(&record(Some("ann"), b"data"));
        for length in 0..HEADER + 3 {
            let error = decode(good[..length].to_vec()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes");
        }
        let mut later = good.clone();
        later[0] = 2;
        assert!(decode(later).unwrap_err().to_string().contains("another layout"));
        let (mut negative, mut text) = (good.clone(), good);
        negative[1] = 0xff;
        assert_eq!(decode(negative).unwrap_err().kind(), ErrorKind::Corrupt);
        text[HEADER] = 0xff;
        assert_eq!(decode(text).unwrap_err().kind(), ErrorKind::Corrupt);
    }
}
