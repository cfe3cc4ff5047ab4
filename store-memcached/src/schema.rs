//! Names and values on the server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf as _, Bytes};
use session_core::{Error, ErrorKind, Namespace, Record, Result, StoreKey, Timestamp};
use session_store_kit::stored_record;

/// First byte of every value.
const LAYOUT: u8 = 1;

/// Length of the header: layout, version, `created_at`, `expires_at`, length of the principal (1 + 3 × 8 + 1 bytes, big-endian).
const HEADER: usize = 26;

/// Position of `expires_at` in the header.
const EXPIRES_AT: usize = 17;

/// Maximum length of a value without its data.
pub(crate) const OVERHEAD: usize = HEADER + 255;

/// Longest time in seconds that the server takes for a duration. It takes a larger number for a time since 1970.
const LONGEST_DURATION: i64 = 60 * 60 * 24 * 30;

const OTHER_LAYOUT: Error = Error::fixed(
    ErrorKind::Corrupt,
    "the stored value has another layout than 1, or another program wrote it; it was not changed",
);

const DAMAGED: Error = Error::fixed(ErrorKind::Corrupt, "the stored value is shorter than its header says");

/// Names of the records of one namespace: the namespace, a colon, and the key in base64. The server allows 250 bytes.
#[derive(Clone, Debug)]
pub(crate) struct Names(String);

impl Names {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        Self(format!("{namespace}:"))
    }

    /// Appends the name of the record under `key`.
    pub(crate) fn put(&self, key: &StoreKey, out: &mut Vec<u8>) {
        let mut text = [0; 43];
        let written = URL_SAFE_NO_PAD.encode_slice(key.as_bytes(), &mut text).unwrap_or(0);
        out.extend_from_slice(self.0.as_bytes());
        out.extend_from_slice(&text[..written]);
    }

    /// Returns a name that belongs to no record, for the check of a server.
    pub(crate) fn probe(&self, unique: i64) -> String {
        format!("{}probe-{unique:x}", self.0)
    }
}

/// Encodes a record as the value to store.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let principal = record.principal.as_ref().map_or("", |principal| principal.as_str());
    let mut out = Vec::with_capacity(HEADER + principal.len() + record.data.len());
    out.push(LAYOUT);
    for number in [record.version.as_i64(), record.created_at.as_millis(), record.expires_at.as_millis()] {
        out.extend(number.to_be_bytes());
    }
    out.push(u8::try_from(principal.len()).expect("a principal has at most 255 bytes"));
    out.extend(principal.as_bytes());
    out.extend(&record.data);
    out
}

/// Decodes a stored value, without copying its data.
pub(crate) fn decode(mut value: Bytes) -> Result<Record> {
    if value.first().is_some_and(|layout| *layout != LAYOUT) {
        return Err(OTHER_LAYOUT);
    }
    let Some(header) = value.first_chunk::<HEADER>() else { return Err(DAMAGED) };
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&header[at..at + 8]);
        i64::from_be_bytes(number)
    };
    let data = HEADER + usize::from(header[HEADER - 1]);
    let Some(principal) = value.get(HEADER..data) else { return Err(DAMAGED) };
    let principal = (!principal.is_empty()).then_some(principal);
    let mut record = stored_record([number(1), number(9), number(EXPIRES_AT)], principal, &[])?;
    value.advance(data);
    record.data = value;
    Ok(record)
}

/// Returns a stored value that can be decoded, with another expiry.
pub(crate) fn extended(value: &[u8], expires_at: Timestamp) -> Vec<u8> {
    let mut value = value.to_vec();
    value[EXPIRES_AT..EXPIRES_AT + 8].copy_from_slice(&expires_at.as_millis().to_be_bytes());
    value
}

/// Converts an expiry for the server, which counts in seconds since 1970, and in 32 bits.
///
/// The server removes a record at least a second after its expiry, because its own clock moves in steps of a second and may be as
/// much ahead. The exact expiry is in the value. A record that outlasts the year 2037 is left to the server's eviction.
pub(crate) fn expiry(at: Timestamp) -> i64 {
    let seconds = at.as_millis().saturating_add(999).div_euclid(1000).saturating_add(1);
    if seconds > i64::from(i32::MAX) { 0 } else { seconds.max(LONGEST_DURATION + 1) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use session_core::{Principal, SessionId, Version};

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            version: i64, times in [0..253_402_300_799_999_i64, 0..253_402_300_799_999_i64], principal in "[a-zé]{0,40}", data: Vec<u8>, later in 0..253_402_300_799_999_i64,
        ) {
            let principal = Principal::new(principal).ok();
            let version = Version::from_i64(version);
            prop_assume!(version.is_ok());
            let mut record = Record::new(version.unwrap(), at(times[0]), at(times[1]), principal, data.into());
            let value = encode(&record);
            prop_assert!(value.len() <= OVERHEAD + record.data.len());
            prop_assert_eq!(&decode(value.clone().into()).unwrap(), &record);
            record.expires_at = at(later);
            prop_assert_eq!(&decode(extended(&value, at(later)).into()).unwrap(), &record);
        }

        #[test]
        fn what_was_not_encoded_is_corrupt_or_a_record(value: Vec<u8>) {
            if let Err(error) = decode(value.into()) {
                prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
            }
        }
    }

    #[test]
    fn a_value_that_was_cut_off_is_corrupt() {
        let ann = Principal::new("ann").unwrap();
        let value = encode(&Record::new(Version::random(), at(0), at(1), Some(ann), Bytes::new()));
        for length in 0..value.len() {
            assert_eq!(decode(value[..length].to_vec().into()).unwrap_err().kind(), ErrorKind::Corrupt, "{length}");
        }
    }

    #[test]
    fn the_server_removes_nothing_early_and_takes_no_time_for_a_duration() {
        for (millis, seconds) in [
            (-5_000, LONGEST_DURATION + 1),
            (0, LONGEST_DURATION + 1),
            (1_700_000_000_000, 1_700_000_001),
            (1_700_000_000_001, 1_700_000_002),
            (1_700_000_000_999, 1_700_000_002),
            (2_147_483_646_000, 2_147_483_647),
            (2_147_483_646_001, 0),
            (253_402_300_799_999, 0),
        ] {
            let Ok(at) = Timestamp::from_millis(millis) else { continue };
            assert_eq!(expiry(at), seconds, "{millis}");
        }
    }

    #[test]
    fn names_are_short_enough_for_the_server() {
        let names = Names::new(&Namespace::new(&"x".repeat(Namespace::MAX_LEN)).unwrap());
        let mut name = Vec::new();
        names.put(&StoreKey::derive("id", &SessionId::random()), &mut name);
        assert_eq!(name.len(), Namespace::MAX_LEN + 1 + 43);
        assert!(name.len() <= 250 && names.probe(i64::MIN).len() <= 250);
    }
}
