//! What a session holds: its values, flashes and own policy, and how they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{Error, ErrorKind, Principal, Record, Result, StoreKey, Timestamp, Version};

mod json;
#[cfg(feature = "messagepack")]
mod messagepack;
mod value;

pub use value::Codec;
pub(crate) use value::{Rules, Value};

/// First byte of a tombstone's data.
const TOMBSTONE: u8 = 0x00;
/// First byte of a JSON envelope.
const JSON: u8 = b'{';
/// First byte of a MessagePack envelope: a map whose length takes 16 bits.
const MESSAGEPACK: u8 = 0xde;

/// What a session may hold at most. Beyond it is [`ErrorKind::TooLarge`](crate::ErrorKind::TooLarge).
///
/// ```
/// use session_core::Limits;
///
/// let limits = Limits::new().max_data_len(16 * 1024).max_keys(50);
/// assert_eq!(limits.max_flashes, 100);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Encoded size of everything in bytes; 64 KiB unless set, and never more than the store takes
    /// ([`Capabilities::max_data_len`](crate::Capabilities::max_data_len)).
    pub max_data_len: usize,
    /// Number of values; 1,000 unless set.
    pub max_keys: usize,
    /// Number of flash messages, of all keys together; 100 unless set.
    pub max_flashes: usize,
    /// Nesting of arrays and objects in one value; 64 unless set, and 127 however it is set: nothing deeper is read.
    pub max_depth: usize,
}

impl Limits {
    /// The defaults.
    pub const fn new() -> Self {
        Self { max_data_len: 64 * 1024, max_keys: 1_000, max_flashes: 100, max_depth: 64 }
    }

    /// Sets [`max_data_len`](#structfield.max_data_len).
    #[must_use]
    pub const fn max_data_len(mut self, bytes: usize) -> Self {
        self.max_data_len = bytes;
        self
    }

    /// Sets [`max_keys`](#structfield.max_keys).
    #[must_use]
    pub const fn max_keys(mut self, keys: usize) -> Self {
        self.max_keys = keys;
        self
    }

    /// Sets [`max_flashes`](#structfield.max_flashes).
    #[must_use]
    pub const fn max_flashes(mut self, flashes: usize) -> Self {
        self.max_flashes = flashes;
        self
    }

    /// Sets [`max_depth`](#structfield.max_depth).
    #[must_use]
    pub const fn max_depth(mut self, depth: usize) -> Self {
        self.max_depth = depth;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// One message; its id is what a reader removes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Flash {
    pub(crate) id: u64,
    pub(crate) value: Value,
}

/// Limits that a session set for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnPolicy {
    pub(crate) idle: Option<Duration>,
    pub(crate) absolute: Option<Duration>,
    pub(crate) persistent: bool,
}

/// As both codecs have it.
#[derive(Serialize, Deserialize)]
struct WirePolicy {
    #[serde(rename = "i", default, skip_serializing_if = "Option::is_none")]
    idle: Option<u64>,
    #[serde(rename = "a", default, skip_serializing_if = "Option::is_none")]
    absolute: Option<u64>,
    #[serde(rename = "p", default, skip_serializing_if = "std::ops::Not::not")]
    persistent: bool,
}

impl From<OwnPolicy> for WirePolicy {
    fn from(own: OwnPolicy) -> Self {
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        Self { idle: own.idle.map(millis), absolute: own.absolute.map(millis), persistent: own.persistent }
    }
}

impl From<WirePolicy> for OwnPolicy {
    fn from(wire: WirePolicy) -> Self {
        Self {
            idle: wire.idle.map(Duration::from_millis),
            absolute: wire.absolute.map(Duration::from_millis),
            persistent: wire.persistent,
        }
    }
}

/// Everything of a session but its key, version and expiry. Values are held encoded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) created_at: Timestamp,
    pub(crate) principal: Option<Principal>,
    pub(crate) auth_time: Option<Timestamp>,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) own: OwnPolicy,
    pub(crate) values: BTreeMap<Arc<str>, Value>,
    pub(crate) flashes: BTreeMap<Arc<str>, Vec<Flash>>,
    /// Envelope fields of a later release, carried along so that an older process does not drop them.
    pub(crate) unknown: BTreeMap<Arc<str>, Value>,
}

impl Content {
    pub(crate) fn empty(created_at: Timestamp) -> Self {
        Self {
            created_at,
            principal: None,
            auth_time: None,
            label: None,
            own: OwnPolicy::default(),
            values: BTreeMap::new(),
            flashes: BTreeMap::new(),
            unknown: BTreeMap::new(),
        }
    }

    pub(crate) fn flash_count(&self) -> usize {
        self.flashes.values().map(Vec::len).sum()
    }

    /// Who it belongs to and since when: if this changes under a request, its changes are not replayed.
    pub(crate) fn identity(&self) -> (Option<&Principal>, Option<Timestamp>) {
        (self.principal.as_ref(), self.auth_time)
    }

    /// The codec to write it in: `wanted`, unless it still holds what only MessagePack can.
    fn codec(&self, wanted: Codec) -> Codec {
        let flashes = self.flashes.values().flatten().map(|flash| &flash.value);
        let mut values = self.values.values().chain(self.unknown.values()).chain(flashes);
        values.find_map(|value| (value.codec != Codec::Json).then_some(value.codec)).unwrap_or(wanted)
    }

    /// The record that stores it, by `rules`.
    pub(crate) fn to_record(&self, expires_at: Timestamp, rules: &Rules) -> Result<Record> {
        let limits = &rules.limits;
        if self.values.len() > limits.max_keys {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many keys"));
        }
        if self.flash_count() > limits.max_flashes {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many flash messages"));
        }
        let data = match self.codec(rules.codec) {
            Codec::Json => json::encode(self)?,
            #[cfg(feature = "messagepack")]
            Codec::MessagePack => messagepack::encode(self)?,
        };
        if data.len() > limits.max_data_len {
            return Err(Error::fixed(ErrorKind::TooLarge, "the session's data exceed its size"));
        }
        Ok(Record::new(Version::random(), self.created_at, expires_at, self.principal.clone(), data))
    }
}

/// What a stored record turns out to be.
pub(crate) enum Stored {
    /// A session.
    Content(Content),
    /// What is left where a session was: the key it moved to, or none if it ended.
    Tombstone(Option<StoreKey>),
}

impl Stored {
    /// Reads a record, by the format that its first byte names.
    pub(crate) fn read(record: &Record) -> Result<Self> {
        match record.data.first() {
            Some(&JSON) => json::decode(record).map(Self::Content),
            #[cfg(feature = "messagepack")]
            Some(&MESSAGEPACK) => messagepack::decode(record).map(Self::Content),
            // Nothing is wrong with it, so nobody is to get a blank session in its place.
            #[cfg(not(feature = "messagepack"))]
            Some(&MESSAGEPACK) => Err(Error::fixed(
                ErrorKind::Unsupported,
                "a stored session is in MessagePack, and this program is built without the feature `messagepack`",
            )),
            Some(&TOMBSTONE) if record.data.len() == 1 => Ok(Self::Tombstone(None)),
            Some(&TOMBSTONE) => StoreKey::from_slice(&record.data[1..]).map(|next| Self::Tombstone(Some(next))),
            _ => Err(Error::fixed(ErrorKind::Corrupt, "a stored session has an unknown format")),
        }
    }
}

/// The record left where a session was.
pub(crate) fn tombstone(next: Option<&StoreKey>, created_at: Timestamp, expires_at: Timestamp) -> Record {
    let mut data = vec![TOMBSTONE];
    data.extend(next.iter().flat_map(|key| key.as_bytes()));
    Record::new(Version::random(), created_at, expires_at, None, data.into())
}

#[cfg(test)]
mod tests;
