//! Conversion between sessions and records.

use super::content::Content;
use super::limits::{Codec, JSON, MESSAGEPACK};
use super::value::Rules;
use crate::trail::Trail;
use crate::{Error, ErrorKind, Record, Result, StoreKey, Timestamp, Version};

use super::json;
#[cfg(feature = "messagepack")]
use super::messagepack;

/// First byte of a tombstone's data.
const TOMBSTONE: u8 = 0x00;

impl Content {
    /// Encodes the content as a record and checks `rules`.
    pub(crate) fn to_record(
        &self,
        version: Version,
        expires_at: Timestamp,
        trail: Option<&Trail>,
        rules: &Rules,
    ) -> Result<Record> {
        let limits = &rules.limits;
        if self.values.len() > limits.max_keys {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many keys"));
        }
        if self.flash_count() > limits.max_flashes {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many flash messages"));
        }
        let data = match self.codec {
            Codec::Json => json::encode(self, trail)?,
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => messagepack::encode(self, trail)?,
        };
        if data.len() > limits.max_data_len {
            return Err(Error::fixed(ErrorKind::TooLarge, "the session's data exceed its size"));
        }
        Ok(Record::new(version, self.created_at, expires_at, self.principal.clone(), data))
    }
}

/// Decoded record.
pub(crate) enum Stored {
    /// Session.
    Content(Content),
    /// Remains of a session that has moved to the key, or has ended.
    Tombstone(Option<StoreKey>),
}

impl Stored {
    /// Decodes a record in the format that its first byte names, and its trail.
    pub(crate) fn read(record: &Record) -> Result<(Self, Trail)> {
        let session = |(content, trail)| (Self::Content(content), trail);
        match record.data.first() {
            Some(&JSON) => json::decode(record).map(session),
            #[cfg(feature = "messagepack")]
            Some(&MESSAGEPACK) => messagepack::decode(record).map(session),
            // The record is intact, so it must not be replaced by a blank session.
            #[cfg(not(feature = "messagepack"))]
            Some(&MESSAGEPACK) => Err(Error::fixed(
                ErrorKind::Unsupported,
                "a stored session is in MessagePack, and this program is built without the feature `messagepack`",
            )),
            Some(&TOMBSTONE) => read_tombstone(record),
            _ => Err(Error::fixed(ErrorKind::Corrupt, "a stored session has an unknown format")),
        }
    }
}

/// First byte of a tombstone's data, then whether the session moved, then the key that it moved to, then the trail.
const MOVED: u8 = 1;
const ENDED: u8 = 0;

/// Creates the record that replaces a session which moved to `next` or ended. `over` is the trail of the session's record, if there was one.
pub(crate) fn tombstone(
    next: Option<&StoreKey>,
    created_at: Timestamp,
    expires_at: Timestamp,
    over: Option<&Trail>,
) -> Record {
    let version = Version::random();
    let mut data = vec![TOMBSTONE, if next.is_some() { MOVED } else { ENDED }];
    data.extend(next.iter().flat_map(|key| key.as_bytes()));
    data.extend(over.map_or_else(|| Trail::of(version), |over| over.followed_by(version)).text());
    Record::new(version, created_at, expires_at, None, data.into())
}

fn read_tombstone(record: &Record) -> Result<(Stored, Trail)> {
    const CORRUPT: Error = Error::fixed(ErrorKind::Corrupt, "a stored tombstone does not decode");
    let (next, trail) = match (record.data.get(1), record.data.get(2..)) {
        (Some(&ENDED), Some(trail)) => (None, trail),
        (Some(&MOVED), Some(rest)) => {
            let (key, trail) = rest.split_at(rest.len().min(StoreKey::LEN));
            (Some(StoreKey::from_slice(key)?), trail)
        }
        _ => return Err(CORRUPT),
    };
    // No release copies a tombstone, so its trail always begins with its own version.
    let trail = Trail::stored(record.version, record.data.slice_ref(trail));
    if trail.is_own() { Ok((Stored::Tombstone(next), trail)) } else { Err(CORRUPT) }
}
