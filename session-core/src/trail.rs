//! The versions that a record has had lately.

use std::fmt;

use bytes::Bytes;

use crate::Version;

/// Number of versions that a record remembers.
const VERSIONS: usize = 8;

/// Length of a version in print: six bits for each character.
const WIDTH: usize = 11;

/// Characters of a version in print, those of base64url.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The last eight versions of a record, its own first.
///
/// It tells what became of a write whose answer was lost, after other writes have followed. If it has the version of that write,
/// the write was stored. If it has the version that the write was to replace, and not the write's own, the write was not stored.
///
/// A release that knows no trails carries one along unchanged. Then it does not begin with the record's own version and is ignored.
#[derive(Clone)]
pub(crate) struct Trail {
    version: Version,
    /// As stored: it may be no trail of this version.
    text: Bytes,
}

impl Trail {
    /// Greatest length of the text in bytes.
    pub(crate) const MAX_LEN: usize = VERSIONS * WIDTH;

    /// Trail of a record that has had no other version, as far as is known.
    pub(crate) const fn of(version: Version) -> Self {
        Self { version, text: Bytes::new() }
    }

    /// Trail of a record with `version` that is stored with this text.
    ///
    /// The text is looked at when it is needed, because most requests only read.
    pub(crate) const fn stored(version: Version, text: Bytes) -> Self {
        Self { version, text }
    }

    /// Trail of a record with `version` in place of the one with this trail.
    pub(crate) fn followed_by(&self, version: Version) -> Self {
        let mut text = Vec::with_capacity(Self::MAX_LEN);
        text.extend_from_slice(&print(version));
        text.extend_from_slice(&print(self.version));
        let before = self.before();
        text.extend_from_slice(&before[..before.len().min(Self::MAX_LEN - 2 * WIDTH)]);
        Self { version, text: text.into() }
    }

    pub(crate) fn contains(&self, version: Version) -> bool {
        let print = print(version);
        version == self.version || self.before().chunks_exact(WIDTH).any(|entry| entry == print)
    }

    /// The text to store: ASCII that needs no escapes.
    pub(crate) fn text(&self) -> Bytes {
        if self.text.is_empty() { Bytes::copy_from_slice(&print(self.version)) } else { self.text.clone() }
    }

    /// Whether the text was written with the record's own version.
    pub(crate) fn is_own(&self) -> bool {
        self.text.starts_with(&print(self.version))
    }

    /// Versions before its own, in print.
    fn before(&self) -> &[u8] {
        // The envelope that it was read from has no escapes in it, so it can be cut anywhere if it is ASCII.
        match self.text.strip_prefix(&print(self.version)) {
            Some(before) if before.len() <= Self::MAX_LEN - WIDTH && before.is_ascii() => before,
            _ => &[],
        }
    }
}

impl fmt::Debug for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trail({} versions)", 1 + self.before().len() / WIDTH)
    }
}

fn print(version: Version) -> [u8; WIDTH] {
    let mut bits = version.as_i64().cast_unsigned();
    [0; WIDTH].map(|_: u8| {
        let character = ALPHABET[(bits & 63) as usize];
        bits >>= 6;
        character
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(number: u32) -> Version {
        Version::from_i64(i64::from(number)).unwrap()
    }

    proptest! {
        #[test]
        fn a_trail_has_the_last_eight_versions(count in 1_u32..30) {
            let trail = (1..count).fold(Trail::of(version(0)), |trail, n| trail.followed_by(version(n)));
            let read = Trail::stored(version(count - 1), trail.text());
            for n in 0..count {
                prop_assert_eq!(trail.contains(version(n)), n + 8 >= count);
                prop_assert_eq!(read.contains(version(n)), n + 8 >= count);
            }
            prop_assert!(trail.text().len() <= Trail::MAX_LEN);
        }

        #[test]
        fn what_is_no_trail_of_the_version_is_ignored(text in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assume!(!text.starts_with(&print(version(3))));
            let trail = Trail::stored(version(3), text.into());
            prop_assert!(trail.before().is_empty() && trail.contains(version(3)));
        }
    }
}
