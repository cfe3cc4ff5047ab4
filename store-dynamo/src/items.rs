//! Conversion between records and items.

use std::collections::HashMap;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use session_core::{Bytes, Principal, Record, Result, StoreKey, Timestamp, Version, days};
use session_store_kit::{WRONG_TYPE, stored_principal};
use sha2::{Digest as _, Sha256};

/// DynamoDB item: attributes by name.
pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) const PK: &str = "pk";
pub(crate) const SK: &str = "sk";
pub(crate) const VERSION: &str = "version";
pub(crate) const CREATED_AT: &str = "created_at";
pub(crate) const EXPIRES_AT: &str = "expires_at";
pub(crate) const PRINCIPAL: &str = "principal";
pub(crate) const DATA: &str = "data";
/// Name of the expiry in whole seconds, some time after which the server removes the item.
pub(crate) const TTL: &str = "ttl";
/// Name of the instant until which the entry of a session's principal certainly remains, in milliseconds.
pub(crate) const INDEX_UNTIL: &str = "index_until";
pub(crate) const LAYOUT: &str = "layout";

/// Sort key of a session. That of an entry is the session's key, which has 32 bytes.
const SESSION: &[u8] = b"s";

/// First byte of an entry's partition key, before the hash of the principal. A session's partition key has 32 bytes, an entry's 33.
const ENTRY: u8 = b'p';

/// Maximum size of an item, 400 KB, including the names of its attributes.
const ITEM: usize = 400 * 1024;

/// Maximum size of a number in bytes. DynamoDB documents the size of numbers only approximately.
const NUMBER: usize = 21;

/// Maximum length of a record's data: the size of an item less the maximum size of everything else in a session's item.
pub(crate) const MAX_DATA_LEN: usize = ITEM
    - (PK.len() + StoreKey::LEN)
    - (SK.len() + SESSION.len())
    - (VERSION.len() + CREATED_AT.len() + EXPIRES_AT.len() + TTL.len() + INDEX_UNTIL.len() + 5 * NUMBER)
    - (PRINCIPAL.len() + Principal::MAX_LEN)
    - DATA.len();

/// Time by which an entry outlives its session, so that touches write it about once a day instead of each time.
/// One more day matters little, because the server itself may take days to remove expired items.
const ENTRY_OUTLIVES: std::time::Duration = days(1);

/// Returns the instant until which the entry of a session with this expiry should remain.
pub(crate) fn entry_until(expires_at: Timestamp) -> Timestamp {
    expires_at.plus(ENTRY_OUTLIVES)
}

pub(crate) fn bytes(bytes: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(bytes))
}

pub(crate) fn number(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

pub(crate) fn instant(at: Timestamp) -> AttributeValue {
    number(at.as_millis())
}

/// Converts an expiry to seconds, rounded up, because the server may remove an item late but never early.
pub(crate) fn ttl(at: Timestamp) -> AttributeValue {
    number((at.as_millis() + 999) / 1000)
}

pub(crate) fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// Returns an item with these attributes.
pub(crate) fn item<const N: usize>(attributes: [(&str, AttributeValue); N]) -> Item {
    attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Returns the primary key of a session.
pub(crate) fn session_key(key: &StoreKey) -> Item {
    item([(PK, bytes(key.as_bytes())), (SK, bytes(SESSION))])
}

/// Returns the partition key of a principal's entries. It is hashed because AWS's logs and metrics show keys.
pub(crate) fn partition(principal: &Principal) -> AttributeValue {
    let hash = Sha256::digest(principal.as_str().as_bytes());
    bytes(&[&[ENTRY][..], &hash].concat())
}

/// Returns the primary key of the entry of `principal` for the session under `key`.
pub(crate) fn entry_key(principal: &Principal, key: &StoreKey) -> Item {
    item([(PK, partition(principal)), (SK, bytes(key.as_bytes()))])
}

/// Returns the entry of `principal` for the session under `key`.
pub(crate) fn entry(principal: &Principal, key: &StoreKey, until: Timestamp) -> Item {
    let mut item = entry_key(principal, key);
    item.insert(TTL.to_owned(), ttl(until));
    item
}

/// Returns the item of a session. Its entry, if it has a principal, remains until `index_until`.
pub(crate) fn session(key: &StoreKey, record: &Record, index_until: Option<Timestamp>) -> Item {
    let mut item = session_key(key);
    let mut set = |name: &str, value| drop(item.insert(name.to_owned(), value));
    set(VERSION, number(record.version.as_i64()));
    set(CREATED_AT, instant(record.created_at));
    set(EXPIRES_AT, instant(record.expires_at));
    set(TTL, ttl(record.expires_at));
    set(DATA, bytes(&record.data));
    if let Some(principal) = &record.principal {
        set(PRINCIPAL, text(principal.as_str()));
    }
    if let Some(until) = index_until {
        set(INDEX_UNTIL, instant(until));
    }
    item
}

/// Parts of a stored session that decide about a write.
pub(crate) struct Stored {
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) principal: Option<Principal>,
}

impl Stored {
    pub(crate) fn of(item: &Item) -> Result<Self> {
        let version = Version::from_i64(integer(item, VERSION)?)?;
        let expires_at = Timestamp::from_millis(integer(item, EXPIRES_AT)?)?;
        Ok(Self { version, expires_at, principal: principal(item)? })
    }

    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at > now
    }
}

/// Reads the record from an item, without copying its data.
pub(crate) fn record(mut item: Item) -> Result<Record> {
    let Stored { version, expires_at, principal } = Stored::of(&item)?;
    let created_at = Timestamp::from_millis(integer(&item, CREATED_AT)?)?;
    match item.remove(DATA) {
        Some(AttributeValue::B(data)) => {
            Ok(Record::new(version, created_at, expires_at, principal, Bytes::from(data.into_inner())))
        }
        _ => Err(WRONG_TYPE),
    }
}

/// Reads a session's key from an attribute: `pk` of a session, `sk` of an entry.
pub(crate) fn key(item: &Item, name: &str) -> Result<StoreKey> {
    StoreKey::from_slice(blob(item, name)?)
}

pub(crate) fn blob<'a>(item: &'a Item, name: &str) -> Result<&'a [u8]> {
    match item.get(name) {
        Some(AttributeValue::B(bytes)) => Ok(bytes.as_ref()),
        _ => Err(WRONG_TYPE),
    }
}

pub(crate) fn integer(item: &Item, name: &str) -> Result<i64> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().map_err(|_| WRONG_TYPE),
        _ => Err(WRONG_TYPE),
    }
}

fn principal(item: &Item) -> Result<Option<Principal>> {
    match item.get(PRINCIPAL) {
        None => Ok(None),
        Some(AttributeValue::S(text)) => stored_principal(text.as_bytes()).map(Some),
        Some(_) => Err(WRONG_TYPE),
    }
}

#[cfg(test)]
mod tests {
    use session_core::{ErrorKind, SessionId};

    use super::*;

    fn key_() -> StoreKey {
        StoreKey::derive("id", &SessionId::random())
    }

    fn sample(principal: Option<&str>, data: &'static [u8]) -> Record {
        let principal = principal.map(|who| Principal::new(who).unwrap());
        Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, principal, Bytes::from_static(data))
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        for who in [None, Some("a"), Some("Zoë 🦀")] {
            for data in [&b""[..], b"\0", b"{}"] {
                let (key_, sample) = (key_(), sample(who, data));
                let item = session(&key_, &sample, None);
                assert_eq!(key(&item, PK).unwrap(), key_);
                assert_eq!(record(item).unwrap(), sample);
            }
        }
    }

    #[test]
    fn what_is_no_record_is_corrupt() {
        let good = session(&key_(), &sample(Some("ann"), b"data"), None);
        for name in [VERSION, CREATED_AT, EXPIRES_AT, DATA] {
            let mut item = good.clone();
            item.remove(name);
            assert_eq!(record(item.clone()).unwrap_err().kind(), ErrorKind::Corrupt, "without {name}");
            item.insert(name.to_owned(), text("x"));
            assert_eq!(record(item).unwrap_err().kind(), ErrorKind::Corrupt, "{name} as a text");
        }
        for wrong in [text(""), text("a\0"), number(1)] {
            let mut item = good.clone();
            item.insert(PRINCIPAL.to_owned(), wrong);
            assert_eq!(record(item).unwrap_err().kind(), ErrorKind::Corrupt);
        }
    }

    #[test]
    fn the_longest_data_is_what_readme_md_says() {
        assert_eq!(MAX_DATA_LEN, 409_149);
    }

    #[test]
    fn seconds_are_rounded_up() {
        for (millis, seconds) in [(0, 0), (1, 1), (999, 1), (1000, 1), (1001, 2)] {
            assert_eq!(ttl(Timestamp::from_millis(millis).unwrap()), number(seconds), "{millis} ms");
        }
    }

    #[test]
    fn no_session_lies_among_the_entries_of_a_principal() {
        let AttributeValue::B(partition) = partition(&Principal::new("ann").unwrap()) else { panic!("no bytes") };
        assert_ne!(partition.as_ref().len(), StoreKey::LEN);
    }
}
