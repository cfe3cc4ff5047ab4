//! Conversion between sessions and records.

use std::sync::Arc;
use std::time::Duration;

use super::content::Content;
use super::limits::{Codec, JSON, MESSAGEPACK};
use super::value::Rules;
use crate::head::{Head, Trail};
use crate::mutant::{self, Mutant};
use crate::{Error, ErrorKind, Record, Result, StoreKey, Timestamp, Version};

use super::json;
#[cfg(feature = "messagepack")]
use super::messagepack;

/// First byte of a tombstone's data.
const TOMBSTONE: u8 = 0x00;

impl Content {
    /// Encodes the content as a record that is used at `now` and expires after `idle`, and checks the limits in `rules`.
    ///
    /// `over` is the trail of the record that it replaces.
    pub(crate) fn to_record(
        &self,
        version: Version,
        now: Timestamp,
        idle: Duration,
        over: Option<&Trail>,
        rules: &Rules,
    ) -> Result<Record> {
        let limits = &rules.limits;
        if self.values.len() > limits.max_keys {
            return Err(rules.too_many_keys());
        }
        if self.flash_count() > limits.max_flashes {
            let most = limits.max_flashes;
            let message = format!(
                "the session has more than {most} flash messages, its `Limits::max_flashes`; show them, or raise that limit"
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let values: usize = self.values.iter().map(|(key, value)| key.len() + value.raw.len() + 8).sum();
        let mut data = Vec::with_capacity(Head::MAX_LEN + values + 64);
        Head::write(&mut data, idle, version, over);
        match self.codec {
            Codec::Json => json::encode(self, &mut data)?,
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => messagepack::encode(self, &mut data)?,
        }
        if data.len() > limits.max_data_len {
            let error = rules.too_long("the encoded session", data.len());
            let largest = self.values.iter().max_by_key(|(_, value)| value.raw.len());
            return Err(largest.map_or(error.clone(), |(key, _)| error.on_key(key)));
        }
        Ok(Record::new(version, self.created_at, now.plus(idle), self.principal.clone(), data.into()))
    }
}

/// What a session's record was decoded to, for copies of the record.
pub(crate) struct Decoded {
    content: Arc<Content>,
    head: Head,
}

impl Decoded {
    /// Returns what a copy of `record` was decoded to, if the copy had the same version, principal and start.
    fn of(record: &Record) -> Option<&Self> {
        let is_same = |decoded: &&Self| {
            decoded.head.trail.is_of(record.version)
                && decoded.content.created_at == record.created_at
                && decoded.content.principal == record.principal
        };
        let decoded = record.decoding.get(&record.data);
        decoded.filter(|decoded| is_same(decoded) || mutant::is(Mutant::TrustsAnyDecoding))
    }

    /// Notes what `record` was decoded to, for its copies.
    pub(crate) fn fill(record: &Record, content: &Arc<Content>, head: &Head) {
        record.decoding.fill(&record.data, || Self { content: content.clone(), head: head.clone() });
    }
}

/// Decoded record.
pub(crate) enum Stored {
    /// Session.
    Content(Arc<Content>),
    /// Remains of a session that has moved to the key, or has ended.
    Tombstone(Option<StoreKey>),
}

impl Stored {
    /// Decodes a record in the format that the first byte after its head names, and returns its head.
    ///
    /// A session is decoded once for all copies of the record that share it.
    pub(crate) fn read(record: &Record) -> Result<(Self, Head)> {
        if let Some(Decoded { content, head }) = Decoded::of(record) {
            return Ok((Self::Content(content.clone()), head.clone()));
        }
        let (head, envelope) = Head::read(record)?;
        let content = |content| {
            let content = Arc::new(content);
            Decoded::fill(record, &content, &head);
            Self::Content(content)
        };
        let stored = match envelope.first() {
            Some(&JSON) => content(json::decode(record, envelope)?),
            #[cfg(feature = "messagepack")]
            Some(&MESSAGEPACK) => content(messagepack::decode(record, envelope)?),
            // The record is intact, so it must not be replaced by a blank session.
            #[cfg(not(feature = "messagepack"))]
            Some(&MESSAGEPACK) => {
                return Err(Error::fixed(
                    ErrorKind::Unsupported,
                    "a stored session is in MessagePack; build this program with the feature `messagepack`",
                ));
            }
            Some(&TOMBSTONE) => Self::Tombstone(read_tombstone(&envelope[1..])?),
            _ => {
                return Err(Error::fixed(
                    ErrorKind::Corrupt,
                    "a stored session has an unknown format; another program or a later release wrote it",
                ));
            }
        };
        Ok((stored, head))
    }
}

/// Second byte of a tombstone of a session that has moved. The new key follows.
const MOVED: u8 = 1;
/// Second byte of a tombstone of a session that has ended.
const ENDED: u8 = 0;

/// Creates the record that replaces a session which has moved to `next`, or has ended.
///
/// `over` is the trail of the session's record, if there was one.
pub(crate) fn tombstone(
    next: Option<&StoreKey>,
    created_at: Timestamp,
    expires_at: Timestamp,
    over: Option<&Trail>,
) -> Record {
    let version = Version::random();
    let mut data = Vec::with_capacity(Head::MAX_LEN + 2 + StoreKey::LEN);
    if over.is_some() {
        Head::write(&mut data, Duration::ZERO, version, over);
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
