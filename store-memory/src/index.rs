//! Which slots hold the sessions of a principal.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::{Cursor, Error, ErrorKind, Principal, Result};

const PARTS: usize = 64;

/// Each principal's hash with each of its places.
type Part = BTreeSet<(u64, Place)>;

/// Where a record lies: the number of its shard and its slot there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) shard: u32,
    pub(crate) slot: u32,
}

impl Place {
    pub(crate) fn to_cursor(self) -> Cursor {
        Cursor::new([self.shard.to_be_bytes(), self.slot.to_be_bytes()].concat())
    }

    pub(crate) fn from_cursor(cursor: &Cursor) -> Result<Self> {
        match cursor.as_bytes().as_chunks::<4>() {
            (&[shard, slot], []) => Ok(Self { shard: u32::from_be_bytes(shard), slot: u32::from_be_bytes(slot) }),
            _ => Err(Error::fixed(ErrorKind::Corrupt, "a cursor of another store")),
        }
    }
}

/// The places of each principal's records.
///
/// Principals are kept as 64-bit hashes under a random key: two words per session, and no text twice.
/// A place is therefore a hint, and whoever follows it compares the record's principal.
///
/// # Order of locks
/// A shard's lock may be held when one of these is taken, never the other way round.
/// The index changes under the lock of the record's shard, so each record's entries change in the order of its writes,
/// and whoever reads the index after a write has returned finds the record's place.
pub(crate) struct Index {
    hasher: RandomState,
    parts: Box<[Mutex<Part>]>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), parts: (0..PARTS).map(|_| Mutex::default()).collect() }
    }

    /// To be called with the lock of `place.shard` held.
    pub(crate) fn insert(&self, principal: &Principal, place: Place) {
        let hash = self.hash(principal);
        self.part(hash).insert((hash, place));
    }

    /// To be called with the lock of `place.shard` held.
    pub(crate) fn remove(&self, principal: &Principal, place: Place) {
        let hash = self.hash(principal);
        self.part(hash).remove(&(hash, place));
    }

    /// Where records of `principal` may lie. To be called without any shard's lock.
    pub(crate) fn places(&self, principal: &Principal) -> Vec<Place> {
        let hash = self.hash(principal);
        let first = (hash, Place { shard: 0, slot: 0 });
        let last = (hash, Place { shard: u32::MAX, slot: u32::MAX });
        self.part(hash).range(first..=last).map(|&(_, place)| place).collect()
    }

    fn hash(&self, principal: &Principal) -> u64 {
        self.hasher.hash_one(principal.as_str())
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, Part> {
        self.parts[hash as usize % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many entries there are, for tests.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}
