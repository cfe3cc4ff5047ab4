//! Names of records and indexes on the server.
//!
//! The names contain no braces, because braces around the namespace would put all of them into one slot, on one node of a cluster.

use std::fmt;

use session_core::{Namespace, Principal, StoreKey};

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
    pub(crate) fn record_names<'a>(&self, keys: impl ExactSizeIterator<Item = &'a StoreKey>) -> Vec<u8> {
        let mut names = Vec::with_capacity(keys.len() * (self.records.len() + StoreKey::LEN));
        for key in keys {
            names.extend_from_slice(&self.records);
            names.extend_from_slice(key.as_bytes());
        }
        names
    }

    /// Splits the result of [`record_names`](Self::record_names).
    pub(crate) fn split_names<'a>(&self, names: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + use<'a> {
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

    /// Returns a name for trying commands on records. It is the name of no record if `suffix` is not as long as a key.
    pub(crate) fn record_probe(&self, suffix: &str) -> Vec<u8> {
        [&*self.records, suffix.as_bytes()].concat()
    }

    /// Returns a name for trying commands on indexes. It is the index of a principal that is named `suffix`.
    pub(crate) fn index_probe(&self, suffix: &str) -> Vec<u8> {
        self.index_of(suffix.as_bytes())
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

#[cfg(test)]
mod tests {
    use session_core::SessionId;

    use super::*;

    #[test]
    fn names_of_records_and_of_indexes_differ() {
        let keys = Keys::new(&Namespace::new("web").unwrap());
        let key = StoreKey::derive("id", &SessionId::random());
        assert_eq!(keys.key_of(&keys.record(&key)), Some(key));
        assert_eq!(keys.key_of(&keys.index(&Principal::new("x".repeat(32)).unwrap())), None);
        assert_eq!(keys.key_of(b"web:s:short"), None);
        assert_eq!(Keys::new(&Namespace::new("web_").unwrap()).key_of(&keys.record(&key)), None);
    }
}
