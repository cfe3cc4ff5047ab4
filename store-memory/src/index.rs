//! Index from principals to the slots of their sessions.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::{Cursor, Error, ErrorKind, Principal, Result};

const PARTS: usize = 64;

/// One part of the index: pairs of a principal's hash and the location of one of its records.
type Part = BTreeSet<(u64, Location)>;

/// Location of a record: the number of its shard and its slot there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) shard: u32,
    pub(crate) slot: u32,
}

impl Location {
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

/// Index of the locations of each principal's records.
///
/// A principal is stored as a 64-bit hash under a random key. An entry therefore takes two words, and the text is not stored twice.
/// Two principals may share a hash, so a location is only a hint: the caller must compare the principal of the record found there.
///
/// # Lock order
/// A thread may take a lock of the index while it holds a shard's lock, never the other way round.
/// The index changes under the lock of the record's shard, so the entries of a record change in the order of its writes.
/// A read of the index that starts after a write has returned therefore finds the record's location.
pub(crate) struct Index {
    hasher: RandomState,
    parts: Box<[Mutex<Part>]>,
}

impl Index {
    pub(crate) fn new() -> Self {
        Self { hasher: RandomState::new(), parts: (0..PARTS).map(|_| Mutex::default()).collect() }
    }

    /// Adds an entry. The caller must hold the lock of `location.shard`.
    pub(crate) fn insert(&self, principal: &Principal, location: Location) {
        let hash = self.hash(principal);
        self.part(hash).insert((hash, location));
    }

    /// Removes an entry. The caller must hold the lock of `location.shard`.
    pub(crate) fn remove(&self, principal: &Principal, location: Location) {
        let hash = self.hash(principal);
        self.part(hash).remove(&(hash, location));
    }

    /// Returns the locations where records of `principal` may be. The caller must hold no shard's lock.
    pub(crate) fn locations(&self, principal: &Principal) -> Vec<Location> {
        let hash = self.hash(principal);
        let first = (hash, Location { shard: 0, slot: 0 });
        let last = (hash, Location { shard: u32::MAX, slot: u32::MAX });
        self.part(hash).range(first..=last).map(|&(_, location)| location).collect()
    }

    fn hash(&self, principal: &Principal) -> u64 {
        self.hasher.hash_one(principal.as_str())
    }

    fn part(&self, hash: u64) -> MutexGuard<'_, Part> {
        self.parts[hash as usize % PARTS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of entries, for tests.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.parts.iter().map(|part| part.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }
}
