//! Keys, the layout of a record, and the scripts.
//!
//! A cluster has the same keys and records. Keys contain no braces, because braces around the namespace would put all keys into one slot,
//! on one node. Each record and each principal's index is on the node that serves its slot.
//! `apart.rs` explains how a record and its entry stay consistent.
//! Besides keys, an index on a cluster holds doubt marks. A mark is `?` and a key; its score is the negated time from which the entry
//! may be removed.

use std::fmt;

use bytes::{Buf, Bytes};
use session_core::{Error, ErrorKind, Namespace, Principal, Record, Result, StoreKey, Timestamp, Version};

/// First byte of every record. The scripts contain it too.
const LAYOUT: u8 = 1;

/// Length of the header: layout, version, `created_at`, `expires_at`, `index_until`, length of the principal (1 + 4 × 8 + 1 bytes, big-endian).
const HEADER: usize = 34;

/// Prefixes of a namespace's keys.
#[derive(Clone)]
pub(crate) struct Keys {
    /// `<namespace>:s:`, then the 32 bytes of the key.
    records: Box<[u8]>,
    /// `<namespace>:p:`, then the principal.
    indexes: Box<[u8]>,
}

impl Keys {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        Self {
            records: format!("{namespace}:s:").into_bytes().into(),
            indexes: format!("{namespace}:p:").into_bytes().into(),
        }
    }

    /// Returns the prefix of the keys of records.
    pub(crate) fn records(&self) -> &[u8] {
        &self.records
    }

    pub(crate) fn record(&self, key: &StoreKey) -> Vec<u8> {
        [&*self.records, key.as_bytes()].concat()
    }

    /// Returns the names of several records, concatenated.
    pub(crate) fn names<'a>(&self, keys: impl ExactSizeIterator<Item = &'a StoreKey>) -> Vec<u8> {
        let mut names = Vec::with_capacity(keys.len() * (self.records.len() + StoreKey::LEN));
        for key in keys {
            names.extend_from_slice(&self.records);
            names.extend_from_slice(key.as_bytes());
        }
        names
    }

    /// Splits the result of [`names`](Self::names).
    pub(crate) fn each<'a>(&self, names: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        names.chunks_exact(self.records.len() + StoreKey::LEN)
    }

    pub(crate) fn index(&self, principal: &Principal) -> Vec<u8> {
        self.index_of(principal.as_str().as_bytes())
    }

    /// Returns the name of the index of a principal given as bytes, as in a record.
    pub(crate) fn index_of(&self, principal: &[u8]) -> Vec<u8> {
        [&*self.indexes, principal].concat()
    }

    /// Returns the key of the record stored under `name`, or `None` if it is not the name of a record.
    pub(crate) fn key_of(&self, name: &[u8]) -> Option<StoreKey> {
        name.strip_prefix(&*self.records).and_then(|key| StoreKey::from_slice(key).ok())
    }

    /// Returns the pattern that matches all records. A namespace has no character with a special meaning in patterns.
    pub(crate) fn pattern(&self) -> Vec<u8> {
        [&*self.records, b"*"].concat()
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Encodes a record as the string to store.
pub(crate) fn encode(record: &Record) -> Vec<u8> {
    let mut out = Vec::new();
    encode_into(&mut out, record);
    out
}

/// Appends the encoded record to `out`.
pub(crate) fn encode_into(out: &mut Vec<u8>, record: &Record) {
    let principal = record.principal.as_ref().map_or("", Principal::as_str);
    out.reserve(HEADER + principal.len() + record.data.len());
    out.push(LAYOUT);
    out.extend(record.version.as_i64().to_be_bytes());
    out.extend(record.created_at.as_millis().to_be_bytes());
    out.extend(record.expires_at.as_millis().to_be_bytes());
    // `index_until`. On a single server the entry is written in the same step; on a cluster a script sets this field.
    out.extend(record.expires_at.as_millis().to_be_bytes());
    out.push(u8::try_from(principal.len()).expect("a principal has at most 255 bytes"));
    out.extend(principal.as_bytes());
    out.extend(&record.data);
}

/// Decodes a stored record, without copying its data.
pub(crate) fn decode(bytes: Vec<u8>) -> Result<Record> {
    let mut bytes = Bytes::from(bytes);
    if bytes.first().is_some_and(|layout| *layout != LAYOUT) {
        return Err(OTHER_LAYOUT);
    }
    let Some(header) = bytes.first_chunk::<HEADER>() else { return Err(DAMAGED) };
    let number = |at: usize| {
        let mut number = [0; 8];
        number.copy_from_slice(&header[at..at + 8]);
        i64::from_be_bytes(number)
    };
    let data = HEADER + usize::from(header[HEADER - 1]);
    let principal = match bytes.get(HEADER..data) {
        None => return Err(DAMAGED),
        Some([]) => None,
        Some(text) => Some(Principal::new(std::str::from_utf8(text).map_err(|_| DAMAGED)?).map_err(|_| DAMAGED)?),
    };
    let time = |at| Timestamp::from_millis(number(at)).map_err(|_| DAMAGED);
    let (version, created_at, expires_at) = (Version::from_i64(number(1))?, time(9)?, time(17)?);
    bytes.advance(data);
    Ok(Record::new(version, created_at, expires_at, principal, bytes))
}

/// Encodes a version in the form that the scripts compare.
pub(crate) fn version(version: Version) -> [u8; 8] {
    version.as_i64().to_be_bytes()
}

/// Converts an expiry for the server. At least 1, because `PXAT 0` is an error; a record with expiry 1 is removed at once.
pub(crate) fn expiry(at: Timestamp) -> i64 {
    at.as_millis().max(1)
}

pub(crate) const OTHER_LAYOUT: Error = Error::fixed(
    ErrorKind::Corrupt,
    "what lies under the key is a record of another layout than 1, or not one of this store's; it was left alone",
);

const DAMAGED: Error = Error::fixed(ErrorKind::Corrupt, "a stored record is cut short or was changed");

/// Text of the function that saves one record, shared by the scripts for one key and for many.
macro_rules! save {
    () => {
        include_str!("scripts/save.lua")
    };
}

/// Scripts of a store.
pub(crate) struct Scripts {
    pub(crate) create: Script,
    pub(crate) save: Script,
    pub(crate) touch: Script,
    pub(crate) delete: Script,
    pub(crate) people: People,
}

/// Scripts for index entries.
pub(crate) enum People {
    /// Scripts for a single server, which holds a record and its entry.
    Together(Together),
    /// Scripts for a cluster, where a record and its entry may be on different nodes.
    #[cfg(feature = "cluster")]
    Apart(Apart),
}

pub(crate) struct Together {
    pub(crate) list: Script,
    pub(crate) heal: Script,
    pub(crate) delete_all: Script,
    /// Saves one record for each key.
    pub(crate) save_many: Script,
}

#[cfg(feature = "cluster")]
pub(crate) struct Apart {
    pub(crate) enter: Script,
    pub(crate) list: Script,
    pub(crate) heal: Script,
    pub(crate) remove: Script,
}

impl Scripts {
    pub(crate) fn together() -> Self {
        Self::with(
            include_str!("scripts/entry.lua"),
            People::Together(Together {
                list: Script::new("", include_str!("scripts/list.lua")),
                heal: Script::new("", include_str!("scripts/heal.lua")),
                delete_all: Script::new("", include_str!("scripts/delete_all.lua")),
                save_many: Script::new(
                    include_str!("scripts/entry.lua"),
                    concat!(save!(), include_str!("scripts/save_many.lua")),
                ),
            }),
        )
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn apart() -> Self {
        use crate::apart::{GRACE, LEASE, MARGIN};
        let [lease, margin, grace] = [LEASE, MARGIN, GRACE].map(|time| time.as_millis());
        let times = format!("local LEASE, MARGIN, GRACE = {lease}, {margin}, {grace}\n");
        Self::with(
            &[&times, include_str!("scripts/apart.lua")].concat(),
            People::Apart(Apart {
                enter: Script::new("", include_str!("scripts/enter.lua")),
                list: Script::new("", include_str!("scripts/list_apart.lua")),
                heal: Script::new(&times, include_str!("scripts/heal_apart.lua")),
                remove: Script::new("", include_str!("scripts/remove.lua")),
            }),
        )
    }

    /// Creates the scripts for writes, which are the same for both kinds of server. `entries` holds the functions that maintain index entries.
    fn with(entries: &str, people: People) -> Self {
        Self {
            create: Script::new(entries, include_str!("scripts/create.lua")),
            save: Script::new(entries, concat!(save!(), include_str!("scripts/save_one.lua"))),
            touch: Script::new(entries, include_str!("scripts/touch.lua")),
            delete: Script::new(entries, include_str!("scripts/delete.lua")),
            people,
        }
    }
}

/// A script with the hash by which the server identifies it.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) text: String,
    pub(crate) hash: String,
}

impl Script {
    fn new(entries: &str, body: &str) -> Self {
        let text = [include_str!("scripts/common.lua"), entries, body].concat();
        let hash = redis::Script::new(&text).get_hash().to_owned();
        Self { text, hash }
    }
}

#[cfg(test)]
mod tests {
    use session_core::SessionId;

    use super::*;

    fn record(principal: Option<&str>, data: &'static [u8]) -> Record {
        let principal = principal.map(|who| Principal::new(who).unwrap());
        Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, principal, Bytes::from_static(data))
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let long = "é".repeat(127);
        for principal in [None, Some("a"), Some("Zoë 🦀"), Some(&*long)] {
            for data in [&b""[..], b"\0", b"{}"] {
                let record = record(principal, data);
                assert_eq!(decode(encode(&record)).unwrap(), record);
            }
        }
    }

    #[test]
    fn what_is_no_record_of_this_layout_is_corrupt() {
        let good = encode(&record(Some("ann"), b"data"));
        for length in 0..HEADER + 3 {
            let error = decode(good[..length].to_vec()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "{length} bytes");
        }
        let mut later = good.clone();
        later[0] = 2;
        assert!(decode(later).unwrap_err().to_string().contains("another layout"));
        let (mut negative, mut text) = (good.clone(), good);
        negative[1] = 0xff;
        assert_eq!(decode(negative).unwrap_err().kind(), ErrorKind::Corrupt);
        text[HEADER] = 0xff;
        assert_eq!(decode(text).unwrap_err().kind(), ErrorKind::Corrupt);
    }

    #[test]
    fn keys_of_records_and_of_people_are_apart() {
        let keys = Keys::new(&Namespace::new("web").unwrap());
        let key = StoreKey::derive("id", &SessionId::random());
        assert_eq!(keys.key_of(&keys.record(&key)), Some(key));
        assert_eq!(keys.key_of(&keys.index(&Principal::new("x".repeat(32)).unwrap())), None);
        assert_eq!(keys.key_of(b"web:s:short"), None);
        assert_eq!(Keys::new(&Namespace::new("web_").unwrap()).key_of(&keys.record(&key)), None);
    }
}
