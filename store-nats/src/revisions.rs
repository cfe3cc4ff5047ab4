//! Sequence numbers of records that this process has read or written lately, so that a save need not read the record first.
//!
//! A number that is out of date does no harm: the write that names it is refused, and the record is read.

use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::{Principal, Record, StoreKey, Timestamp, Version};

use crate::schema::Entry;

/// Number of places, each for one key. A key has one place, and the latest of its keys is kept.
const PLACES: usize = 16_384;

/// What a write has to know of the stored record, beside its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    /// Sequence number of the record's message.
    pub(crate) sequence: u64,
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) principal: Option<Principal>,
    pub(crate) entry: Entry,
}

impl Head {
    pub(crate) fn of(record: &Record, sequence: u64, entry: Entry) -> Self {
        let Record { version, expires_at, ref principal, .. } = *record;
        Self { sequence, version, expires_at, principal: principal.clone(), entry }
    }
}

/// What is known of the key that has the place.
type Place = Option<(StoreKey, Head)>;

/// The numbers. Memory is bounded: about 2 MB.
pub(crate) struct Revisions(Box<[Mutex<Place>]>);

impl Revisions {
    pub(crate) fn new() -> Self {
        Self((0..PLACES).map(|_| Mutex::new(None)).collect())
    }

    fn place(&self, key: &StoreKey) -> MutexGuard<'_, Place> {
        // Keys are hashes already.
        let [first, second, ..] = key.as_bytes();
        let at = usize::from(u16::from_be_bytes([*first, *second])) % PLACES;
        self.0[at].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn get(&self, key: &StoreKey) -> Option<Head> {
        self.place(key).as_ref().filter(|(of, _)| of == key).map(|(_, head)| head.clone())
    }

    /// Notes what is stored. An older number replaces no newer one.
    pub(crate) fn note(&self, key: &StoreKey, head: Head) {
        let mut place = self.place(key);
        let newer = place.as_ref().is_some_and(|(of, known)| of == key && known.sequence > head.sequence);
        if !newer {
            *place = Some((*key, head));
        }
    }

    /// Forgets a record that was found to be gone, or changed.
    pub(crate) fn forget(&self, key: &StoreKey) {
        let mut place = self.place(key);
        if place.as_ref().is_some_and(|(of, _)| of == key) {
            *place = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use session_core::{Bytes, SessionId};

    use super::*;

    #[test]
    fn the_newest_number_of_a_key_is_kept_until_it_is_forgotten() {
        let revisions = Revisions::new();
        let key = StoreKey::derive("id", &SessionId::random());
        let record = Record::new(Version::random(), Timestamp::MIN, Timestamp::MAX, None, Bytes::new());
        let head = |sequence| Head::of(&record, sequence, Entry::default());
        assert_eq!(revisions.get(&key), None);
        for (noted, kept) in [(5, 5), (4, 5), (7, 7)] {
            revisions.note(&key, head(noted));
            assert_eq!(revisions.get(&key), Some(head(kept)));
        }
        let mut other = *key.as_bytes();
        other[31] ^= 1;
        let other = StoreKey::from_bytes(other);
        assert_eq!(revisions.get(&other), None);
        revisions.forget(&other);
        assert_eq!(revisions.get(&key), Some(head(7)));
        // The other key has the same place.
        revisions.note(&other, head(1));
        assert_eq!((revisions.get(&key), revisions.get(&other)), (None, Some(head(1))));
        revisions.forget(&other);
        assert_eq!(revisions.get(&other), None);
    }
}
