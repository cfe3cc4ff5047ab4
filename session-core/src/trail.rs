//! The versions that a record has had lately.

use std::fmt;

use bytes::Bytes;

use crate::{Error, ErrorKind, Record, Result, Version};

/// First byte of data that begin with a trail. The number of versions follows, then the versions, then the envelope.
const TRAIL: u8 = 0x02;

/// Bytes before the first version.
const HEAD: usize = 2;

/// Length of a version in bytes.
const WIDTH: usize = 8;

/// The last eight versions of a record, its own first.
///
/// It tells what became of a write whose answer was lost, after other writes have followed. If it has the version of that write,
/// the write was stored. If it has the version that the write was to replace, and not the write's own, the write was not stored.
#[derive(Clone)]
pub(crate) struct Trail {
    version: Version,
    /// As stored, and empty for a record that has had no other version as far as is known.
    stored: Bytes,
}

impl Trail {
    /// Number of versions that a record remembers.
    const VERSIONS: usize = 8;

    /// Greatest length in bytes of a trail in a record's data.
    pub(crate) const MAX_LEN: usize = HEAD + Self::VERSIONS * WIDTH;

    /// Trail of a record that has had no other version, as far as is known.
    pub(crate) const fn of(version: Version) -> Self {
        Self { version, stored: Bytes::new() }
    }

    /// Reads the trail of a record, and returns the rest of its data. A record need not have a trail.
    pub(crate) fn read(record: &Record) -> Result<(Self, &[u8])> {
        const CORRUPT: Error = Error::fixed(ErrorKind::Corrupt, "a stored session's trail does not decode");
        let data = &record.data[..];
        let &[TRAIL, count, ref rest @ ..] = data else { return Ok((Self::of(record.version), data)) };
        let count = usize::from(count);
        if count > Self::VERSIONS {
            return Err(CORRUPT);
        }
        let (_, rest) = rest.split_at_checked(count * WIDTH).ok_or(CORRUPT)?;
        let stored = record.data.slice(HEAD..HEAD + count * WIDTH);
        Ok((Self { version: record.version, stored }, rest))
    }

    /// Writes the trail of a record with `version` in place of the one with this trail.
    pub(crate) fn write_followed_by(&self, version: Version, out: &mut Vec<u8>) {
        let before = self.before();
        let before = &before[..before.len().min((Self::VERSIONS - 2) * WIDTH)];
        let count = 2 + before.len() / WIDTH;
        out.extend_from_slice(&[TRAIL, u8::try_from(count).unwrap_or(0)]);
        out.extend_from_slice(&print(version));
        out.extend_from_slice(&print(self.version));
        out.extend_from_slice(before);
    }

    pub(crate) fn contains(&self, version: Version) -> bool {
        version == self.version || self.before().chunks_exact(WIDTH).any(|entry| entry == print(version))
    }

    /// Versions before its own. A trail that does not begin with the record's own version was copied, and says nothing.
    fn before(&self) -> &[u8] {
        self.stored.strip_prefix(&print(self.version)).unwrap_or_default()
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trail({} versions)", 1 + self.before().len() / WIDTH)
    }
}

const fn print(version: Version) -> [u8; WIDTH] {
    version.as_i64().to_be_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Timestamp;

    fn version(number: u32) -> Version {
        Version::from_i64(i64::from(number)).unwrap()
    }

    fn record(version: Version, data: Vec<u8>) -> Record {
        Record::new(version, Timestamp::MIN, Timestamp::MAX, None, data.into())
    }

    proptest! {
        #[test]
        fn a_trail_has_the_last_eight_versions(count in 1_u32..30, envelope: Vec<u8>) {
            let mut trail = Trail::of(version(0));
            for n in 1..count {
                let mut data = Vec::new();
                trail.write_followed_by(version(n), &mut data);
                prop_assert!(data.len() <= Trail::MAX_LEN);
                data.extend_from_slice(&envelope);
                let record = record(version(n), data);
                let (read, rest) = Trail::read(&record).unwrap();
                prop_assert_eq!(rest, &envelope[..]);
                trail = read;
            }
            for n in 0..count {
                prop_assert_eq!(trail.contains(version(n)), n + 8 >= count);
            }
        }

        #[test]
        fn the_trail_of_another_version_is_ignored(count in 0_u8..9, versions: [u8; 64]) {
            let data = [&[TRAIL, count][..], &versions[..usize::from(count) * WIDTH]].concat();
            prop_assume!(!data[HEAD..].starts_with(&print(version(3))));
            let record = record(version(3), data);
            let (trail, _) = Trail::read(&record).unwrap();
            prop_assert!(trail.before().is_empty() && trail.contains(version(3)));
        }

        #[test]
        fn a_trail_that_is_cut_short_or_too_long_is_corrupt(count: u8, len in 0_usize..80) {
            let record = record(version(3), [&[TRAIL, count][..], &vec![0; len]].concat());
            let fits = count <= 8 && usize::from(count) * WIDTH <= len;
            prop_assert_eq!(Trail::read(&record).is_ok(), fits);
        }
    }
}
