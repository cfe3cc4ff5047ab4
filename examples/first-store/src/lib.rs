#![doc = include_str!("../README.md")]

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::{
    Call, Capabilities, Clock as _, Outcome, Purged, Record, Result, Store, StoreKey, SystemClock, Timestamp, Version,
    async_trait,
};

/// A store that keeps its records in a map.
#[derive(Default)]
pub struct MapStore(Mutex<HashMap<StoreKey, Record>>);

impl MapStore {
    fn rows(&self) -> MutexGuard<'_, HashMap<StoreKey, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MapStore {
    // Not derived, because a derived `Debug` would print all records.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MapStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MapStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        let mut rows = self.rows();
        if let Some(outcome) = Record::live(rows.get(key), call.now).create(record.version) {
            return Ok(outcome);
        }
        rows.insert(*key, record.clone());
        Ok(Outcome::Done)
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        // A load never writes. Expired records are left to `purge`.
        Ok(self.rows().get(key).filter(|stored| stored.is_live(call.now)).cloned())
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        let mut rows = self.rows();
        if let Some(outcome) = Record::live(rows.get(key), call.now).save(expected, record.version) {
            return Ok(outcome);
        }
        rows.insert(*key, record.clone());
        Ok(Outcome::Done)
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        let mut rows = self.rows();
        if let Some(outcome) = Record::live(rows.get(key), call.now).touch(expected) {
            return Ok(outcome);
        }
        // A touch never shortens the life of a record.
        rows.entry(*key).and_modify(|stored| stored.expires_at = stored.expires_at.max(expires_at));
        Ok(Outcome::Done)
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        let mut rows = self.rows();
        if let Some(outcome) = Record::live(rows.get(key), call.now).delete(expected) {
            return Ok(outcome);
        }
        rows.remove(key);
        Ok(Outcome::Done)
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        // A record must have expired by both clocks, so that a node with a wrong clock removes no live record.
        let now = call.now.min(SystemClock.now());
        let mut rows = self.rows();
        let mut expired: Vec<_> = rows.iter().filter(|(_, stored)| !stored.is_live(now)).map(|(key, _)| *key).collect();
        let limit = limit.get() as usize;
        let more = expired.len() > limit;
        expired.truncate(limit);
        for key in &expired {
            rows.remove(key);
        }
        Ok(Purged::new(expired.len() as u32, more))
    }
}

#[cfg(doctest)]
#[doc = include_str!("../../../docs/writing-a-store.md")]
mod page {}
