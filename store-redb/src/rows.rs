//! Conversion between the values of the table of records and records.
//!
//! A value has a head of 33 bytes: version, creation, expiry and purge time, each a little-endian number of eight bytes, and the length
//! of the principal, zero for none. The principal and the data follow.

use session_core::{Principal, Record, Result, Timestamp, Version};
use session_store_kit::{WRONG_TYPE, stored_principal, stored_record};

const HEAD: usize = 33;
const EXPIRES_AT: usize = 16;
const PURGE_AT: usize = 24;

/// What decides about a write to a stored record.
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    /// Time before which the purge can skip the record. It is in the key of the record's entry in `session.expiries`, and never later
    /// than `expires_at`. Only the purge moves it to a later time, so that saves and touches which extend the expiry change no index.
    pub(crate) purge_at: Timestamp,
    pub(crate) principal: Option<Principal>,
}

impl Head {
    pub(crate) fn read(value: &[u8]) -> Result<Self> {
        let [version, _, expires_at] = numbers(value)?;
        Ok(Self {
            version: Version::from_i64(version)?,
            expires_at: Timestamp::from_millis(expires_at)?,
            purge_at: Timestamp::from_millis(number(value, PURGE_AT)?)?,
            principal: split(value)?.0.map(stored_principal).transpose()?,
        })
    }
}

/// Returns the value to store for `record`.
pub(crate) fn value(record: &Record, purge_at: Timestamp) -> Vec<u8> {
    let principal = record.principal.as_ref().map_or("", Principal::as_str);
    let mut value = Vec::with_capacity(HEAD + principal.len() + record.data.len());
    for number in
        [record.version.as_i64(), record.created_at.as_millis(), record.expires_at.as_millis(), purge_at.as_millis()]
    {
        value.extend_from_slice(&number.to_le_bytes());
    }
    // A principal has at most 255 bytes.
    value.push(principal.len() as u8);
    value.extend_from_slice(principal.as_bytes());
    value.extend_from_slice(&record.data);
    value
}

/// Returns `value` with another expiry.
pub(crate) fn with_expiry(value: &[u8], expires_at: Timestamp) -> Vec<u8> {
    with_number(value, EXPIRES_AT, expires_at)
}

/// Returns `value` with another purge time.
pub(crate) fn with_purge_at(value: &[u8], purge_at: Timestamp) -> Vec<u8> {
    with_number(value, PURGE_AT, purge_at)
}

/// Reads the record if it is live at `now`.
pub(crate) fn live(value: &[u8], now: Timestamp) -> Result<Option<Record>> {
    // Nothing but the expiry is read of a record that has expired.
    if Timestamp::from_millis(number(value, EXPIRES_AT)?)? <= now {
        return Ok(None);
    }
    let (principal, data) = split(value)?;
    stored_record(numbers(value)?, principal, data).map(Some)
}

fn with_number(value: &[u8], at: usize, time: Timestamp) -> Vec<u8> {
    let mut value = value.to_vec();
    if let Some(number) = value.get_mut(at..at + 8) {
        number.copy_from_slice(&time.as_millis().to_le_bytes());
    }
    value
}

fn numbers(value: &[u8]) -> Result<[i64; 3]> {
    Ok([number(value, 0)?, number(value, 8)?, number(value, EXPIRES_AT)?])
}

fn number(value: &[u8], at: usize) -> Result<i64> {
    let bytes = value.get(at..).and_then(|rest| rest.first_chunk()).ok_or(WRONG_TYPE)?;
    Ok(i64::from_le_bytes(*bytes))
}

/// Returns the principal's text, if there is one, and the data.
fn split(value: &[u8]) -> Result<(Option<&[u8]>, &[u8])> {
    let (len, rest) = value.get(HEAD - 1..).and_then(<[u8]>::split_first).ok_or(WRONG_TYPE)?;
    let (principal, data) = rest.split_at_checked(usize::from(*len)).ok_or(WRONG_TYPE)?;
    Ok(((*len > 0).then_some(principal), data))
}

#[cfg(test)]
mod tests {
    use session_core::{Bytes, ErrorKind};

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    fn record(principal: Option<&str>, data: &'static [u8]) -> Record {
        let principal = principal.map(|name| Principal::new(name).unwrap());
        Record::new(Version::random(), at(1000), at(5000), principal, Bytes::from_static(data))
    }

    #[test]
    fn a_record_comes_back_while_it_is_live() {
        let longest = "x".repeat(255);
        for record in [record(None, b""), record(Some("ann"), b"{}"), record(Some(&longest), b"\0\xff")] {
            let stored = value(&record, at(4000));
            assert_eq!(live(&stored, at(4999)).unwrap().as_ref(), Some(&record));
            assert_eq!(live(&stored, at(5000)).unwrap(), None);
            let head = Head::read(&stored).unwrap();
            assert_eq!((head.version, head.expires_at, head.purge_at), (record.version, at(5000), at(4000)));
            assert_eq!(head.principal, record.principal);
            let moved = with_purge_at(&with_expiry(&stored, at(9000)), at(8000));
            let head = Head::read(&moved).unwrap();
            assert_eq!((head.expires_at, head.purge_at), (at(9000), at(8000)));
            assert_eq!(live(&moved, at(8999)).unwrap().unwrap().data, record.data);
        }
    }

    #[test]
    fn a_value_that_is_cut_off_is_corrupt() {
        let stored = value(&record(Some("ann"), b""), at(4000));
        for len in 0..stored.len() {
            assert_eq!(live(&stored[..len], at(0)).unwrap_err().kind(), ErrorKind::Corrupt, "{len}");
            assert!(Head::read(&stored[..len]).is_err(), "{len}");
        }
    }
}
