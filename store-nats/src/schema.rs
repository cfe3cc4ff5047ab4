//! Subjects of a bucket, and the values under them.
//!
//! One bucket holds all namespaces. A namespace is one token of the subjects:
//!
//! - `$KV.<bucket>.<namespace>.s.<key>` is a record.
//! - `$KV.<bucket>.<namespace>.p.<principal>.<key>` is an index entry, see [`crate::principals`].
//! - `$KV.<bucket>.<namespace>.probe` is written to prove that the leader has a majority, see [`crate::proof`].
//!
//! Keys and principals are base64url without padding, so each is one token that a key-value bucket permits.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::{Buf as _, Bytes};
use session_core::{Error, ErrorKind, Namespace, Principal, Record, Result, StoreKey, Timestamp};
use session_store_kit::stored_record;

/// First byte of every value.
const LAYOUT: u8 = 1;

/// Length of the header: layout, five numbers of eight bytes (version, `created_at`, `expires_at`, until when the index entry is
/// kept, the entry's sequence number), length of the principal. All are big-endian.
const HEADER: usize = 1 + 5 * 8 + 1;

/// Maximum length of a value without its data.
pub(crate) const OVERHEAD: usize = HEADER + Principal::MAX_LEN;

/// Longest time to live that the server is told, a hundred years. A record that lives longer is never removed by the server.
const LONGEST: i64 = 100 * 366 * 24 * 3600;

const OTHER_LAYOUT: Error = Error::fixed(
    ErrorKind::Corrupt,
    "the stored value has another layout than 1, or another program wrote it; it was not changed",
);

const DAMAGED: Error = Error::fixed(ErrorKind::Corrupt, "the stored value is shorter than its header says");

/// Subjects of one namespace in one bucket.
#[derive(Clone, Debug)]
pub(crate) struct Subjects {
    /// Name of the stream of the bucket.
    pub(crate) stream: String,
    /// `$KV.<bucket>.<namespace>.`
    prefix: String,
}

impl Subjects {
    pub(crate) fn new(bucket: &str, namespace: &Namespace) -> Self {
        Self { stream: format!("KV_{bucket}"), prefix: format!("$KV.{bucket}.{namespace}.") }
    }

    pub(crate) fn record(&self, key: &StoreKey) -> String {
        format!("{}s.{}", self.prefix, text(key.as_bytes()))
    }

    /// Returns the subjects of all records, with a wildcard.
    pub(crate) fn records(&self) -> String {
        format!("{}s.*", self.prefix)
    }

    pub(crate) fn entry(&self, principal: &Principal, key: &StoreKey) -> String {
        format!("{}p.{}.{}", self.prefix, text(principal.as_str().as_bytes()), text(key.as_bytes()))
    }

    /// Returns the subjects of all entries of a principal, with a wildcard.
    pub(crate) fn entries(&self, principal: &Principal) -> String {
        format!("{}p.{}.*", self.prefix, text(principal.as_str().as_bytes()))
    }

    pub(crate) fn probe(&self) -> String {
        format!("{}probe", self.prefix)
    }

    /// Returns the key in the last token of a subject.
    pub(crate) fn key_of(subject: &str) -> Option<StoreKey> {
        let token = subject.rsplit('.').next()?;
        StoreKey::from_slice(&URL_SAFE_NO_PAD.decode(token).ok()?).ok()
    }
}

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Index entry that a record relies on, as the record's header has it. Both numbers are 0 without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Time in milliseconds until which the entry is kept.
    pub(crate) until: i64,
    /// Sequence number of the entry.
    pub(crate) sequence: u64,
}

/// Encodes a record as the value to store.
pub(crate) fn encode(record: &Record, entry: Entry) -> Bytes {
    let principal = record.principal.as_ref().map_or("", |principal| principal.as_str());
    let mut out = Vec::with_capacity(HEADER + principal.len() + record.data.len());
    out.push(LAYOUT);
    for number in [record.version.as_i64(), record.created_at.as_millis(), record.expires_at.as_millis(), entry.until] {
        out.extend(number.to_be_bytes());
    }
    out.extend(entry.sequence.to_be_bytes());
    out.push(u8::try_from(principal.len()).expect("a principal has at most 255 bytes"));
    out.extend(principal.as_bytes());
    out.extend(&record.data);
    out.into()
}

/// Decodes a stored value, without copying its data.
pub(crate) fn decode(mut value: Bytes) -> Result<(Record, Entry)> {
    if value.first().is_some_and(|layout| *layout != LAYOUT) {
        return Err(OTHER_LAYOUT);
    }
    let Some(header) = value.first_chunk::<HEADER>() else { return Err(DAMAGED) };
    let number = |n: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&header[1 + 8 * n..9 + 8 * n]);
        number
    };
    let [version, created_at, expires_at, until] = [0, 1, 2, 3].map(|n| i64::from_be_bytes(number(n)));
    let entry = Entry { until, sequence: u64::from_be_bytes(number(4)) };
    let data = HEADER + usize::from(header[HEADER - 1]);
    let Some(principal) = value.get(HEADER..data) else { return Err(DAMAGED) };
    let principal = (!principal.is_empty()).then_some(principal);
    let mut record = stored_record([version, created_at, expires_at], principal, &[])?;
    value.advance(data);
    record.data = value;
    Ok((record, entry))
}

/// Encodes the value of an index entry: the time until which it is kept.
pub(crate) fn encode_entry(until: i64) -> Bytes {
    [&[LAYOUT][..], &until.to_be_bytes()].concat().into()
}

/// Decodes the value of an index entry. A value that cannot be read counts as ended, so it is written again.
pub(crate) fn decode_entry(value: &[u8]) -> i64 {
    let until = value.strip_prefix(&[LAYOUT]).and_then(|rest| rest.try_into().ok());
    until.map_or(0, i64::from_be_bytes)
}

/// Returns the seconds after which the server removes what is kept until `expires_at`, in milliseconds. `None` if it never does.
///
/// The server counts from its own time, in whole seconds. So the time is the longer one of what the caller's clock and the server's
/// say, `nows`, and more than a second is added. The exact expiry is in the value.
pub(crate) fn time_to_live(expires_at: i64, nows: [Timestamp; 2]) -> Option<i64> {
    let now = nows.into_iter().min()?.as_millis();
    let seconds = expires_at.saturating_sub(now).saturating_add(999).div_euclid(1000).saturating_add(2);
    (seconds <= LONGEST).then_some(seconds.max(1))
}

/// Adds a signed number of milliseconds to this machine's time.
pub(crate) fn shifted(now: Timestamp, millis: i64) -> Timestamp {
    let by = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { now.minus(by) } else { now.plus(by) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use session_core::{SessionId, Version};

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis).unwrap()
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            version in 0..i64::MAX, times in [0..253_402_300_799_999_i64, 0..253_402_300_799_999_i64],
            principal in "[a-zé]{0,40}", data: Vec<u8>, until: i64, sequence: u64,
        ) {
            let principal = Principal::new(principal).ok();
            let version = Version::from_i64(version).unwrap();
            let record = Record::new(version, at(times[0]), at(times[1]), principal, data.into());
            let entry = Entry { until, sequence };
            let value = encode(&record, entry);
            prop_assert!(value.len() <= OVERHEAD + record.data.len());
            prop_assert_eq!(decode(value).unwrap(), (record, entry));
            prop_assert_eq!(decode_entry(&encode_entry(until)), until);
        }

        #[test]
        fn what_was_not_encoded_is_corrupt_or_a_record(value: Vec<u8>) {
            if let Err(error) = decode(value.clone().into()) {
                prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
            }
            decode_entry(&value);
        }
    }

    #[test]
    fn a_value_that_was_cut_off_is_corrupt() {
        let ann = Principal::new("ann").unwrap();
        let value = encode(&Record::new(Version::random(), at(0), at(1), Some(ann), Bytes::new()), Entry::default());
        for length in 0..value.len() {
            assert_eq!(decode(value.slice(..length)).unwrap_err().kind(), ErrorKind::Corrupt, "{length}");
        }
    }

    #[test]
    fn subjects_are_tokens_of_a_bucket() {
        let subjects = Subjects::new("shop", &Namespace::new("web").unwrap());
        let key = StoreKey::derive("id", &SessionId::random());
        let ann = Principal::new("ann.*.> \n").unwrap();
        let entry = subjects.entry(&ann, &key);
        assert_eq!(Subjects::key_of(&subjects.record(&key)), Some(key));
        assert_eq!(Subjects::key_of(&entry), Some(key));
        assert_eq!(Subjects::key_of(&subjects.probe()), None);
        assert_eq!(entry.rsplit_once('.').unwrap().0, subjects.entries(&ann).rsplit_once('.').unwrap().0);
        let permitted = |c: char| c.is_ascii_alphanumeric() || "-_.$".contains(c);
        assert!(entry.chars().all(permitted) && subjects.record(&key).chars().all(permitted));
        assert_eq!(subjects.record(&key).split('.').count(), 5);
    }

    #[test]
    fn the_server_removes_nothing_early() {
        let now = 1_700_000_000_000;
        for (expires_at, caller, server, seconds) in [
            (now + 1, now, now, Some(3)),
            (now + 1000, now, now, Some(3)),
            (now + 1001, now, now, Some(4)),
            // A clock that is ahead or behind does not shorten a life.
            (now + 60_000, now + 50_000, now, Some(62)),
            (now + 60_000, now, now + 50_000, Some(62)),
            (now - 10_000, now, now, Some(1)),
            (0, now, now, Some(1)),
            (253_402_300_799_999, now, now, None),
            (i64::MAX, now, now, None),
        ] {
            assert_eq!(time_to_live(expires_at, [at(caller), at(server)]), seconds, "{expires_at}");
        }
    }
}
