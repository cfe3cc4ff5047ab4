//! A correct store in the simplest form: one map under one lock. Each mutant is this store with one defect.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::{
    Clock as _, Cursor, Error, ErrorKind, Outcome, Page, Principal, Purged, Record, Result, StoreKey, SystemClock,
    Timestamp, Version,
};

/// Maximum length of data that the reference accepts.
pub(crate) const LONGEST: usize = 100_000;

/// Server of one namespace.
#[derive(Default)]
pub(crate) struct World {
    rows: Mutex<Rows>,
    locked: AtomicU64,
    /// Whether the server removes expired records by its own clock.
    expires_itself: bool,
}

/// Records, and the index of those with a principal.
#[derive(Clone, Default)]
pub(crate) struct Rows {
    pub(crate) records: BTreeMap<StoreKey, Record>,
    pub(crate) index: BTreeSet<(Principal, StoreKey)>,
}

impl World {
    pub(crate) fn new(expires_itself: bool) -> Self {
        Self { expires_itself, ..Self::default() }
    }

    pub(crate) fn rows(&self) -> MutexGuard<'_, Rows> {
        self.locked.fetch_add(1, Ordering::SeqCst);
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        if self.expires_itself {
            let now = SystemClock.now();
            rows.records.retain(|_, record| record.is_live(now));
        }
        rows
    }

    /// Waits until another call has locked the rows, or for 200 turns if none does.
    /// An operation that races with others at this point therefore always loses.
    pub(crate) async fn dawdle(&self) {
        let before = self.locked.load(Ordering::SeqCst);
        for _ in 0..200 {
            tokio::task::yield_now().await;
            if self.locked.load(Ordering::SeqCst) > before + 1 {
                return;
            }
        }
    }
}

pub(crate) fn fits(record: &Record) -> Result<()> {
    if record.data.len() > LONGEST {
        return Err(Error::fixed(ErrorKind::TooLarge, "the reference store takes 100,000 bytes"));
    }
    Ok(())
}

impl Rows {
    pub(crate) fn live(&self, now: Timestamp, key: &StoreKey) -> Option<&Record> {
        self.records.get(key).filter(|record| record.is_live(now))
    }

    /// Writes the record and moves its index entry.
    pub(crate) fn put(&mut self, key: &StoreKey, record: &Record) {
        self.remove(key);
        if let Some(principal) = &record.principal {
            self.index.insert((principal.clone(), *key));
        }
        self.records.insert(*key, record.clone());
    }

    pub(crate) fn remove(&mut self, key: &StoreKey) -> Option<Record> {
        let old = self.records.remove(key)?;
        if let Some(principal) = &old.principal {
            self.index.remove(&(principal.clone(), *key));
        }
        Some(old)
    }

    pub(crate) fn create(&mut self, now: Timestamp, key: &StoreKey, record: &Record) -> Outcome {
        match self.live(now, key) {
            Some(stored) if stored.version == record.version => Outcome::Done,
            Some(_) => Outcome::Exists,
            None => {
                self.put(key, record);
                Outcome::Done
            }
        }
    }

    pub(crate) fn save(&mut self, now: Timestamp, key: &StoreKey, expected: Version, record: &Record) -> Outcome {
        match self.live(now, key) {
            None => Outcome::Missing,
            Some(stored) if stored.version == record.version => Outcome::Done,
            Some(stored) if stored.version != expected => Outcome::Conflict,
            Some(_) => {
                self.put(key, record);
                Outcome::Done
            }
        }
    }

    pub(crate) fn touch(
        &mut self,
        now: Timestamp,
        key: &StoreKey,
        expected: Version,
        expires_at: Timestamp,
    ) -> Outcome {
        match self.records.get_mut(key).filter(|record| record.is_live(now)) {
            None => Outcome::Missing,
            Some(record) if record.version != expected => Outcome::Conflict,
            Some(record) => {
                record.expires_at = record.expires_at.max(expires_at);
                Outcome::Done
            }
        }
    }

    pub(crate) fn delete(&mut self, now: Timestamp, key: &StoreKey, expected: Option<Version>) -> Outcome {
        match self.live(now, key) {
            None => Outcome::Missing,
            Some(stored) if expected.is_some_and(|version| version != stored.version) => Outcome::Conflict,
            Some(_) => {
                self.remove(key);
                Outcome::Done
            }
        }
    }

    /// Returns the keys of records that are expired by both clocks, at most `limit` and one more.
    pub(crate) fn expired(&self, now: Timestamp, limit: NonZeroU32) -> Vec<StoreKey> {
        let by_both = now.min(SystemClock.now());
        let expired = self.records.iter().filter(|(_, record)| !record.is_live(by_both));
        expired.map(|(key, _)| *key).take(limit.get() as usize + 1).collect()
    }

    pub(crate) fn purge(&mut self, now: Timestamp, limit: NonZeroU32) -> Purged {
        let mut keys = self.expired(now, limit);
        let more = keys.len() > limit.get() as usize;
        keys.truncate(limit.get() as usize);
        keys.iter().for_each(|key| drop(self.remove(key)));
        Purged::new(keys.len() as u32, more)
    }

    pub(crate) fn sessions_of(&self, now: Timestamp, principal: &Principal) -> Vec<(StoreKey, Record)> {
        let entries = self.index.iter().filter(|(who, _)| who == principal);
        let found = entries.filter_map(|(_, key)| self.live(now, key).map(|record| (*key, record.clone())));
        found.filter(|(_, record)| record.principal.as_ref() == Some(principal)).collect()
    }

    pub(crate) fn delete_all(&mut self, now: Timestamp, principal: &Principal, keep: Option<&StoreKey>) -> u64 {
        let keys = self.sessions_of(now, principal).into_iter().map(|(key, _)| key);
        let keys: Vec<_> = keys.filter(|key| Some(key) != keep).collect();
        keys.iter().for_each(|key| drop(self.remove(key)));
        keys.len() as u64
    }

    pub(crate) fn scan(&self, now: Timestamp, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let from = match &after {
            Some(cursor) => Bound::Excluded(StoreKey::from_slice(cursor.as_bytes())?),
            None => Bound::Unbounded,
        };
        let rest = self.records.range((from, Bound::Unbounded)).take(limit.get() as usize);
        let rows: Vec<_> = rest.map(|(key, record)| (*key, record.clone())).collect();
        let full = rows.len() == limit.get() as usize;
        let next = rows.last().filter(|_| full).map(|(key, _)| Cursor::new(key.as_bytes().to_vec()));
        Ok(Page::new(rows.into_iter().filter(|(_, record)| record.is_live(now)).collect(), next))
    }
}
