//! Tables of a file, and their keys.
//!
//! All namespaces share the tables, because then one snapshot serves every store of the process. A key begins with its namespace and
//! a NUL, which no namespace has.

use redb::TableDefinition;
use session_core::{Namespace, Principal, StoreKey, Timestamp};

/// Layout that this release reads and writes.
pub(crate) const LAYOUT: u64 = 1;

pub(crate) type Layouts = TableDefinition<'static, &'static str, u64>;
pub(crate) type Records = TableDefinition<'static, &'static [u8], &'static [u8]>;
pub(crate) type Index = TableDefinition<'static, &'static [u8], ()>;

/// Layout of each namespace.
pub(crate) const LAYOUTS: Layouts = TableDefinition::new("session.layouts");
/// Records by namespace and key.
pub(crate) const RECORDS: Records = TableDefinition::new("session.records");
/// Keys of the records that have a principal, by namespace and principal.
pub(crate) const PRINCIPALS: Index = TableDefinition::new("session.principals");
/// Keys of all records, by namespace and the time before which the purge can skip them.
pub(crate) const EXPIRIES: Index = TableDefinition::new("session.expiries");

/// First bytes of all keys of a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Prefix(Box<[u8]>);

/// Keys from `first` on and before `end`.
pub(crate) struct Span {
    pub(crate) first: Vec<u8>,
    pub(crate) end: Vec<u8>,
}

impl Prefix {
    pub(crate) fn of(namespace: &Namespace) -> Self {
        Self([namespace.as_str().as_bytes(), b"\0"].concat().into())
    }

    /// Returns the key of a record.
    pub(crate) fn record(&self, key: &StoreKey) -> Vec<u8> {
        [&*self.0, key.as_bytes()].concat()
    }

    /// Returns the key of a record's entry in [`PRINCIPALS`].
    pub(crate) fn principal(&self, principal: &Principal, key: &StoreKey) -> Vec<u8> {
        [&*self.0, principal.as_str().as_bytes(), b"\0", key.as_bytes()].concat()
    }

    /// Returns the key of a record's entry in [`EXPIRIES`].
    pub(crate) fn expiry(&self, purge_at: Timestamp, key: &StoreKey) -> Vec<u8> {
        [&*self.0, &time(purge_at), key.as_bytes()].concat()
    }

    /// Returns the keys of all records after `after`, or of all if it is `None`.
    pub(crate) fn records_after(&self, after: Option<&StoreKey>) -> Span {
        let first = match after {
            // No key lies between a key and the same key with a further NUL.
            Some(after) => [&self.record(after), &b"\0"[..]].concat(),
            None => self.0.to_vec(),
        };
        Span { first, end: followed(&self.0) }
    }

    /// Returns the keys of all entries of `principal`.
    pub(crate) fn entries_of(&self, principal: &Principal) -> Span {
        let first = [&*self.0, principal.as_str().as_bytes(), b"\0"].concat();
        let end = followed(&first);
        Span { first, end }
    }

    /// Returns the keys of all entries that are due by `cutoff`.
    pub(crate) fn due(&self, cutoff: Timestamp) -> Span {
        let end = [&*self.0, &(cutoff.as_millis().saturating_add(1)).to_be_bytes()].concat();
        Span { first: self.0.to_vec(), end }
    }

    /// Returns the time in the key of an entry of [`EXPIRIES`].
    pub(crate) fn time_of(&self, entry: &[u8]) -> Option<i64> {
        let time = entry.get(self.0.len()..)?.first_chunk()?;
        Some(i64::from_be_bytes(*time))
    }
}

/// Returns the record's key at the end of a key of a table.
pub(crate) fn store_key(key: &[u8]) -> session_core::Result<StoreKey> {
    StoreKey::from_slice(&key[key.len().saturating_sub(StoreKey::LEN)..])
}

/// Returns the bytes of a time, which is never negative, in an order that is that of times.
fn time(at: Timestamp) -> [u8; 8] {
    at.as_millis().to_be_bytes()
}

/// Returns the first key after all keys that begin with `prefix`, which ends with a NUL.
fn followed(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use session_core::SessionId;

    use super::*;

    fn prefix(namespace: &str) -> Prefix {
        Prefix::of(&Namespace::new(namespace).unwrap())
    }

    fn key() -> StoreKey {
        StoreKey::derive("id", &SessionId::random())
    }

    fn holds(span: &Span, key: &[u8]) -> bool {
        *span.first <= *key && *key < *span.end
    }

    #[test]
    fn a_span_holds_its_own_keys_only() {
        let (shop, shop2) = (prefix("shop"), prefix("shop2"));
        let (ann, anna) = (Principal::new("ann").unwrap(), Principal::new("anna").unwrap());
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        for _ in 0..100 {
            let key = key();
            assert!(holds(&shop.records_after(None), &shop.record(&key)));
            assert!(!holds(&shop.records_after(None), &shop2.record(&key)));
            assert!(!holds(&shop.records_after(Some(&key)), &shop.record(&key)));
            assert!(holds(&shop.entries_of(&ann), &shop.principal(&ann, &key)));
            assert!(!holds(&shop.entries_of(&ann), &shop.principal(&anna, &key)));
            assert!(!holds(&shop.entries_of(&ann), &shop2.principal(&ann, &key)));
            assert!(holds(&shop.due(at(5)), &shop.expiry(at(5), &key)));
            assert!(!holds(&shop.due(at(5)), &shop.expiry(at(6), &key)));
            assert!(!holds(&shop.due(Timestamp::MAX), &shop2.expiry(at(1), &key)));
            assert_eq!(shop.time_of(&shop.expiry(at(300), &key)), Some(300));
            for stored in [shop.record(&key), shop.principal(&ann, &key), shop.expiry(at(1), &key)] {
                assert_eq!(store_key(&stored).unwrap(), key);
            }
        }
    }

    #[test]
    fn times_are_in_order() {
        let key = key();
        let at = |millis| prefix("a").expiry(Timestamp::from_millis(millis).unwrap(), &key);
        assert!(at(0) < at(1) && at(255) < at(256) && at(256) < at(1 << 40));
    }
}
