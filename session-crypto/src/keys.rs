//! Keys of a sealer or a signer.

use std::sync::Arc;

use crate::derive::{ID, Key};

/// Keys of one use, purpose and name, the current one first.
#[derive(Clone)]
pub(crate) struct Keys(Arc<[([u8; ID], Key)]>);

impl Keys {
    pub(crate) fn new(keys: impl Iterator<Item = ([u8; ID], Key)>) -> Self {
        Self(keys.collect())
    }

    pub(crate) fn current(&self) -> (&[u8; ID], &Key) {
        let (id, key) = &self.0[0];
        (id, key)
    }

    /// Every key with this id, and whether it is the current one. Two keys share an id in about one of 2^32 pairs.
    pub(crate) fn with_id<'a>(&'a self, id: &'a [u8]) -> impl Iterator<Item = (&'a Key, bool)> {
        self.0.iter().enumerate().filter(move |(_, (known, _))| known == id).map(|(n, (_, key))| (key, n == 0))
    }
}
