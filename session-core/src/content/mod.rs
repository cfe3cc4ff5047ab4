//! What a session holds: its values, flashes and own policy, and how they are stored.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use crate::{Error, ErrorKind, Principal, Record, Result, StoreKey, Timestamp, Version};

mod json;

/// First byte of a tombstone's data.
const TOMBSTONE: u8 = 0x00;
/// First byte of a JSON envelope.
const JSON: u8 = b'{';

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
    /// Encoded size of everything in bytes; 64 KiB unless set.
    pub max_data_len: usize,
    /// Number of values; 1,000 unless set.
    pub max_keys: usize,
    /// Number of flash messages, of all keys together; 100 unless set.
    pub max_flashes: usize,
    /// Nesting of arrays and objects in one value; 64 unless set.
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

    /// Encodes one value and checks what can be said of it alone.
    pub(crate) fn encode<T: Serialize + ?Sized>(&self, value: &T) -> Result<Bytes> {
        let raw = json::encode_value(value)?;
        if raw.len() > self.max_data_len {
            return Err(Error::fixed(ErrorKind::TooLarge, "a value alone exceeds the session's size"));
        }
        if json::depth(&raw) > self.max_depth {
            return Err(Error::fixed(ErrorKind::TooLarge, "a value is nested too deeply"));
        }
        Ok(raw)
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
    pub(crate) value: Bytes,
}

/// Limits that a session set for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnPolicy {
    pub(crate) idle: Option<Duration>,
    pub(crate) absolute: Option<Duration>,
    pub(crate) persistent: bool,
}

/// Everything of a session but its key, version and expiry. Values are held encoded.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Content {
    pub(crate) created_at: Timestamp,
    pub(crate) principal: Option<Principal>,
    pub(crate) auth_time: Option<Timestamp>,
    pub(crate) label: Option<Arc<str>>,
    pub(crate) own: OwnPolicy,
    pub(crate) values: BTreeMap<Arc<str>, Bytes>,
    pub(crate) flashes: BTreeMap<Arc<str>, Vec<Flash>>,
    /// Envelope fields of a later release, carried along so that an older process does not drop them.
    pub(crate) unknown: BTreeMap<Arc<str>, Bytes>,
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

    /// The record that stores it, within `limits`.
    pub(crate) fn to_record(&self, expires_at: Timestamp, limits: &Limits) -> Result<Record> {
        if self.values.len() > limits.max_keys {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many keys"));
        }
        if self.flash_count() > limits.max_flashes {
            return Err(Error::fixed(ErrorKind::TooLarge, "too many flash messages"));
        }
        let data = json::encode(self)?;
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
