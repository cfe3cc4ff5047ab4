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
    /// Encodes the content as a record, in place of the one with the trail `over`, and checks `rules`.
    pub(crate) fn to_record(
        &self,
        version: Version,
        expires_at: Timestamp,
        over: Option<&Trail>,
        rules: &Rules,
    ) -> Result<Record> {
        let limits = &rules.limits;
        if self.values.len() > limits.max_keys {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many keys"));
        }
        if self.flash_count() > limits.max_flashes {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many flash messages"));
        }
        let values: usize = self.values.iter().map(|(key, value)| key.len() + value.raw.len() + 8).sum();
        let mut data = Vec::with_capacity(Trail::MAX_LEN + values + 64);
        if let Some(over) = over {
            over.write_followed_by(version, &mut data);
        }
        match self.codec {
            Codec::Json => json::encode(self, &mut data)?,
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => messagepack::encode(self, &mut data)?,
        }
        if data.len() > limits.max_data_len {
            return Err(Error::fixed(ErrorKind::TooLarge, "the session's data exceed its size"));
        }
        Ok(Record::new(version, self.created_at, expires_at, self.principal.clone(), data.into()))
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
    /// Decodes a record in the format that the first byte after its trail names, and returns its trail.
    pub(crate) fn read(record: &Record) -> Result<(Self, Trail)> {
        let (trail, envelope) = Trail::read(record)?;
        let stored = match envelope.first() {
            Some(&JSON) => Self::Content(json::decode(record, envelope)?),
            #[cfg(feature = "messagepack")]
            Some(&MESSAGEPACK) => Self::Content(messagepack::decode(record, envelope)?),
            // The record is intact, so it must not be replaced by a blank session.
            #[cfg(not(feature = "messagepack"))]
            Some(&MESSAGEPACK) => {
                return Err(Error::fixed(
                    ErrorKind::Unsupported,
                    "a stored session is in MessagePack, and this program is built without the feature `messagepack`",
                ));
            }
            Some(&TOMBSTONE) => Self::Tombstone(read_tombstone(&envelope[1..])?),
            _ => return Err(Error::fixed(ErrorKind::Corrupt, "a stored session has an unknown format")),
        };
        Ok((stored, trail))
    }
}

/// Second byte of a tombstone: whether the session moved. If so, the key that it moved to follows.
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
    let mut data = Vec::with_capacity(Trail::MAX_LEN + 2 + StoreKey::LEN);
    if let Some(over) = over {
        over.write_followed_by(version, &mut data);
    }
    data.extend_from_slice(&[TOMBSTONE, if next.is_some() { MOVED } else { ENDED }]);
    data.extend(next.iter().flat_map(|key| key.as_bytes()));
    Record::new(version, created_at, expires_at, None, data.into())
}

fn read_tombstone(rest: &[u8]) -> Result<Option<StoreKey>> {
    match rest {
        [ENDED] => Ok(None),
        [MOVED, key @ ..] => StoreKey::from_slice(key).map(Some),
        _ => Err(Error::fixed(ErrorKind::Corrupt, "a stored tombstone does not decode")),
    }
}
