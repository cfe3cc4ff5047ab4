//! Format of a session's file.
//!
//! | bytes | |
//! |---|---|
//! | 0–7 | `SESSFILE` |
//! | 8–11 | the layout's number, 1; this number and all others are little-endian |
//! | 12–15 | length of the principal, 0 for none |
//! | 16–23 | version |
//! | 24–31 | time of creation, in milliseconds since 1970 |
//! | 32–39 | time of expiry, in milliseconds since 1970 |
//! | 40–47 | length of the data |
//! | 48–63 | the first half of the data's SHA-256 |
//! | 64–79 | the first half of the SHA-256 of the session's key, the bytes before this, and the principal |
//!
//! The principal follows, then the data. The file ends there.
//! The last sum covers the key, so that a file under another session's name is not accepted as that session.

use session_core::{Bytes, Error, ErrorKind, Principal, Record, Result, StoreKey, Timestamp, Version};
use sha2::{Digest as _, Sha256};

/// Layout that this release reads and writes.
pub(crate) const LAYOUT: u32 = 1;

/// Length of the part before the principal.
pub(crate) const FIXED: usize = 80;
/// Maximum length of a head, which is the part before the data.
pub(crate) const LONGEST_HEAD: usize = FIXED + Principal::MAX_LEN;

const MAGIC: [u8; 8] = *b"SESSFILE";
const SUMMED: usize = 64;

type Sum = [u8; 16];

/// Head of a session's file: everything before the data.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) created_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) principal: Option<Principal>,
    pub(crate) data_len: u64,
    data_sum: Sum,
}

/// Encodes `record` as the contents of its file.
pub(crate) fn encode(key: &StoreKey, record: &Record) -> Vec<u8> {
    let principal = record.principal.as_ref().map_or("", Principal::as_str);
    let mut file = Vec::with_capacity(FIXED + principal.len() + record.data.len());
    file.extend(MAGIC);
    file.extend(LAYOUT.to_le_bytes());
    file.extend((principal.len() as u32).to_le_bytes());
    for number in [record.version.as_i64(), record.created_at.as_millis(), record.expires_at.as_millis()] {
        file.extend(number.to_le_bytes());
    }
    file.extend((record.data.len() as u64).to_le_bytes());
    file.extend(sum(&[&record.data]));
    let head_sum = sum(&[key.as_bytes(), &file, principal.as_bytes()]);
    file.extend(head_sum);
    file.extend(principal.as_bytes());
    file.extend(&record.data);
    file
}

/// Decodes the head of the session `key` from the start of its file, which has a total length of `len` bytes.
///
/// `start` must contain the whole head and may contain data after it.
pub(crate) fn head(key: &StoreKey, start: &[u8], len: u64) -> Result<Head> {
    let mut rest = start;
    if take(&mut rest)? != MAGIC {
        return corrupt("a file with a session's name is not a session file");
    }
    let layout = u32::from_le_bytes(take(&mut rest)?);
    if layout != LAYOUT {
        return Err(Error::new(ErrorKind::Corrupt, format!("a session file has layout {layout}, not {LAYOUT}")));
    }
    let principal_len = u32::from_le_bytes(take(&mut rest)?) as usize;
    let [version, created_at, expires_at] =
        [take(&mut rest)?, take(&mut rest)?, take(&mut rest)?].map(i64::from_le_bytes);
    let data_len = u64::from_le_bytes(take(&mut rest)?);
    let data_sum = take(&mut rest)?;
    let head_sum: Sum = take(&mut rest)?;
    let principal = match rest.get(..principal_len) {
        Some(principal) if principal_len <= Principal::MAX_LEN => principal,
        _ => return corrupt("a session file's principal is cut off or too long"),
    };
    if sum(&[key.as_bytes(), &start[..SUMMED], principal]) != head_sum {
        return corrupt("a session file's head does not have the sum that it states");
    }
    if Some(len) != data_len.checked_add((FIXED + principal_len) as u64) {
        return corrupt("a session file is not as long as its head says");
    }
    Ok(Head {
        version: Version::from_i64(version)?,
        created_at: Timestamp::from_millis(created_at)?,
        expires_at: Timestamp::from_millis(expires_at)?,
        principal: if principal.is_empty() { None } else { Some(name(principal)?) },
        data_len,
        data_sum,
    })
}

impl Head {
    /// Returns the length of the encoded head.
    pub(crate) fn len(&self) -> usize {
        FIXED + self.principal.as_ref().map_or(0, |principal| principal.as_str().len())
    }

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at > now
    }

    /// Returns the record, after checking that `data` has the sum that the head states.
    pub(crate) fn with(self, data: Bytes) -> Result<Record> {
        if sum(&[&data]) != self.data_sum {
            return corrupt("a session file's data does not have the sum that its head states");
        }
        Ok(Record::new(self.version, self.created_at, self.expires_at, self.principal, data))
    }
}

/// Takes the next `N` bytes.
fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N]> {
    match rest.split_first_chunk() {
        Some((taken, after)) => {
            *rest = after;
            Ok(*taken)
        }
        None => corrupt("a session file is cut off"),
    }
}

fn name(principal: &[u8]) -> Result<Principal> {
    let text = str::from_utf8(principal).ok().and_then(|text| Principal::new(text).ok());
    text.ok_or(Error::fixed(ErrorKind::Corrupt, "a session file's principal is not UTF-8 without NUL"))
}

fn sum(parts: &[&[u8]]) -> Sum {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    let whole: [u8; 32] = hash.finalize().into();
    let [sum, _] = halves(whole);
    sum
}

/// Splits a hash into two halves. The first half is long enough to detect torn and foreign files and to distinguish principals.
pub(crate) fn halves(whole: [u8; 32]) -> [[u8; 16]; 2] {
    let mut halves = [[0; 16]; 2];
    halves[0].copy_from_slice(&whole[..16]);
    halves[1].copy_from_slice(&whole[16..]);
    halves
}

const fn corrupt<T>(message: &'static str) -> Result<T> {
    Err(Error::fixed(ErrorKind::Corrupt, message))
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::option;
    use proptest::prelude::*;

    use super::*;

    fn decode(key: &StoreKey, file: &[u8]) -> Result<Record> {
        let head = head(key, file, file.len() as u64)?;
        let data = Bytes::copy_from_slice(&file[head.len()..]);
        head.with(data)
    }

    fn keys() -> impl Strategy<Value = StoreKey> {
        any::<[u8; 32]>().prop_map(StoreKey::from_bytes)
    }

    prop_compose! {
        fn records()(
            version in 0..=i64::MAX,
            created_at in 0..=Timestamp::MAX.as_millis(),
            expires_at in 0..=Timestamp::MAX.as_millis(),
            principal in option::of("[^\0]{1,60}"),
            data in vec(any::<u8>(), 0..200),
        ) -> Record {
            Record::new(
                Version::from_i64(version).unwrap(),
                Timestamp::from_millis(created_at).unwrap(),
                Timestamp::from_millis(expires_at).unwrap(),
                principal.map(|who| Principal::new(who).unwrap()),
                data.into(),
            )
        }
    }

    proptest! {
        // Each case tries every bit and every length.
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_was_written_is_read(key in keys(), record in records()) {
            prop_assert_eq!(decode(&key, &encode(&key, &record)).unwrap(), record);
        }

        #[test]
        fn no_changed_bit_is_accepted(key in keys(), record in records()) {
            let mut file = encode(&key, &record);
            for bit in 0..file.len() * 8 {
                file[bit / 8] ^= 1 << (bit % 8);
                let error = decode(&key, &file).unwrap_err();
                prop_assert_eq!(error.kind(), ErrorKind::Corrupt);
                file[bit / 8] ^= 1 << (bit % 8);
            }
        }

        #[test]
        fn nothing_torn_or_lengthened_is_accepted(key in keys(), record in records(), more in vec(any::<u8>(), 1..20)) {
            let mut file = encode(&key, &record);
            for len in 0..file.len() {
                prop_assert_eq!(decode(&key, &file[..len]).unwrap_err().kind(), ErrorKind::Corrupt);
            }
            file.extend(more);
            prop_assert_eq!(decode(&key, &file).unwrap_err().kind(), ErrorKind::Corrupt);
        }

        #[test]
        fn arbitrary_bytes_are_no_session(key in keys(), bytes in vec(any::<u8>(), 0..400), plausible: bool) {
            let mut bytes = bytes;
            if plausible && bytes.len() >= 12 {
                bytes[..8].copy_from_slice(&MAGIC);
                bytes[8..12].copy_from_slice(&LAYOUT.to_le_bytes());
            }
            prop_assert_eq!(decode(&key, &bytes).unwrap_err().kind(), ErrorKind::Corrupt);
        }

        #[test]
        fn a_file_under_another_name_is_not_that_session(one in keys(), other in keys(), record in records()) {
            prop_assume!(one != other);
            prop_assert_eq!(decode(&other, &encode(&one, &record)).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }
}
