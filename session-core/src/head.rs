//! Head of a record's data, before the envelope: the idle time-out that it was stored with, and the versions that the record has had.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::{Error, ErrorKind, Record, Result, Version};

/// First byte of data with a head. The number of versions follows, then the idle time-out, the versions, and the envelope.
const HEAD: u8 = 0x02;

/// Length of an idle time-out in bytes: milliseconds, up to 8,900 years.
const IDLE: usize = 6;

/// Bytes before the first version.
const VERSIONS_AT: usize = 2 + IDLE;

/// Length of a version in bytes.
const WIDTH: usize = 8;

/// Part of a record's data before its envelope.
#[derive(Clone)]
pub(crate) struct Head {
    /// Idle time-out when the record was stored. Its last use is its expiry less this. `None` if the record has no head.
    pub(crate) idle: Option<Duration>,
    pub(crate) trail: Trail,
}

impl Head {
    /// Greatest length in bytes.
    pub(crate) const MAX_LEN: usize = VERSIONS_AT + Trail::VERSIONS * WIDTH;

    /// Reads the head of a record, and returns the rest of its data. A record need not have a head.
    pub(crate) fn read(record: &Record) -> Result<(Self, &[u8])> {
        const CORRUPT: Error = Error::fixed(ErrorKind::Corrupt, "a stored session's head does not decode");
        let data = &record.data[..];
        let &[HEAD, count, ref rest @ ..] = data else {
            return Ok((Self { idle: None, trail: Trail::of(record.version) }, data));
        };
        let versions = usize::from(count) * WIDTH;
        let (idle, rest) = rest.split_first_chunk::<IDLE>().ok_or(CORRUPT)?;
        let (_, rest) =
            rest.split_at_checked(versions).filter(|_| versions <= Trail::VERSIONS * WIDTH).ok_or(CORRUPT)?;
        let idle = idle.iter().fold(0, |millis, byte| millis << 8 | u64::from(*byte));
        let stored = record.data.slice(VERSIONS_AT..VERSIONS_AT + versions);
        let trail = Trail { version: record.version, stored };
        Ok((Self { idle: Some(Duration::from_millis(idle)), trail }, rest))
    }

    /// Writes the head of a record with `version`. `over` is the trail of the record that it replaces.
    pub(crate) fn write(out: &mut Vec<u8>, idle: Duration, version: Version, over: Option<&Trail>) {
        let millis = u64::try_from(idle.as_millis()).unwrap_or(u64::MAX).min((1 << (8 * IDLE)) - 1);
        let count = over.map_or(0, Trail::followed_len);
        out.extend_from_slice(&[HEAD, u8::try_from(count).unwrap_or(0)]);
        out.extend_from_slice(&millis.to_be_bytes()[8 - IDLE..]);
        if let Some(over) = over {
            over.write_followed_by(version, out);
        }
    }
}

/// Last eight versions of a record, the present one first.
///
/// A trail tells the outcome of a write whose answer was lost, even after other writes. If it has the version of that write,
/// the write was stored. If it has only the version that the write was to replace, the write was not stored.
#[derive(Clone)]
pub(crate) struct Trail {
    version: Version,
    /// Versions as they are stored. Empty if the record is not known to have had another version.
    stored: Bytes,
}

impl Trail {
    /// Maximum number of versions in a trail.
    const VERSIONS: usize = 8;

    /// Creates the trail of a record that is not known to have had another version.
    pub(crate) const fn of(version: Version) -> Self {
        Self { version, stored: Bytes::new() }
    }

    /// Returns the number of versions in the trail of the record that replaces this one.
    fn followed_len(&self) -> usize {
        (2 + self.before().len() / WIDTH).min(Self::VERSIONS)
    }

    /// Writes the trail of a record with `version`, which replaces the record with this trail.
    fn write_followed_by(&self, version: Version, out: &mut Vec<u8>) {
        out.extend_from_slice(&print(version));
        out.extend_from_slice(&print(self.version));
        out.extend_from_slice(&self.before()[..(self.followed_len() - 2) * WIDTH]);
    }

    /// Whether this is the trail of a record with `version`.
    pub(crate) fn is_of(&self, version: Version) -> bool {
        self.version == version
    }

    pub(crate) fn contains(&self, version: Version) -> bool {
        version == self.version || self.before().chunks_exact(WIDTH).any(|entry| entry == print(version))
    }

    /// Returns the versions before the record's own. A trail that does not begin with that version was copied from another record and is ignored.
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
        fn a_trail_has_the_last_eight_versions(count in 1_u32..30, millis in 0_u64..1 << 48, envelope: Vec<u8>) {
            let idle = Duration::from_millis(millis);
            let mut trail = Trail::of(version(0));
            for n in 1..count {
                let mut data = Vec::new();
                Head::write(&mut data, idle, version(n), Some(&trail));
                prop_assert!(data.len() <= Head::MAX_LEN);
                data.extend_from_slice(&envelope);
                let record = record(version(n), data);
                let (read, rest) = Head::read(&record).unwrap();
                prop_assert_eq!((rest, read.idle), (&envelope[..], Some(idle)));
                trail = read.trail;
            }
            for n in 0..count {
                prop_assert_eq!(trail.contains(version(n)), n + 8 >= count);
            }
        }

        #[test]
        fn the_trail_of_another_version_is_ignored(count in 0_u8..9, rest: [u8; IDLE + 64]) {
            let data = [&[HEAD, count][..], &rest[..IDLE + usize::from(count) * WIDTH]].concat();
            prop_assume!(!data[VERSIONS_AT..].starts_with(&print(version(3))));
            let record = record(version(3), data);
            let trail = Head::read(&record).unwrap().0.trail;
            prop_assert!(trail.before().is_empty() && trail.contains(version(3)));
        }

        #[test]
        fn a_head_that_is_cut_short_or_too_long_is_corrupt(count: u8, len in 0_usize..80) {
            let record = record(version(3), [&[HEAD, count][..], &vec![0; len]].concat());
            let fits = count <= 8 && IDLE + usize::from(count) * WIDTH <= len;
            prop_assert_eq!(Head::read(&record).is_ok(), fits);
        }
    }

    #[test]
    fn the_longest_idle_time_out_is_kept_as_the_longest_that_can_be_written() {
        let mut data = Vec::new();
        Head::write(&mut data, Duration::MAX, version(1), None);
        let idle = Head::read(&record(version(1), data)).unwrap().0.idle;
        assert_eq!(idle, Some(Duration::from_millis((1 << 48) - 1)));
    }
}
