#![doc = include_str!("../README.md")]

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::{
    Call, Capabilities, Clock as _, Cursor, Error, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    SystemClock, Timestamp, Version, async_trait,
};

/// Sessions in a map.
#[derive(Default)]
pub struct MapStore(Mutex<HashMap<StoreKey, Record>>);

impl MapStore {
    fn rows(&self) -> MutexGuard<'_, HashMap<StoreKey, Record>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MapStore {
    // Written by hand: a derived one would walk through the records.
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
        match rows.get(key).filter(|stored| stored.is_live(call.now)) {
            // The same call twice is one call.
            Some(stored) if stored.version == record.version => Ok(Outcome::Done),
            Some(_) => Ok(Outcome::Exists),
            None => {
                rows.insert(*key, record.clone());
                Ok(Outcome::Done)
            }
        }
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        // It never writes: what has expired is left to `purge`.
        Ok(self.rows().get(key).filter(|stored| stored.is_live(call.now)).cloned())
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        let mut rows = self.rows();
        let Some(stored) = rows.get_mut(key).filter(|stored| stored.is_live(call.now)) else {
            return Ok(Outcome::Missing);
        };
        if stored.version == record.version {
            return Ok(Outcome::Done);
        }
        if stored.version != expected {
            return Ok(Outcome::Conflict);
        }
        *stored = record.clone();
        Ok(Outcome::Done)
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expires_at: Timestamp) -> Result<Outcome> {
        let mut rows = self.rows();
        let Some(stored) = rows.get_mut(key).filter(|stored| stored.is_live(call.now)) else {
            return Ok(Outcome::Missing);
        };
        stored.expires_at = stored.expires_at.max(expires_at);
        Ok(Outcome::Done)
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        let mut rows = self.rows();
        let Some(stored) = rows.get(key).filter(|stored| stored.is_live(call.now)) else {
            return Ok(Outcome::Missing);
        };
        if expected.is_some_and(|version| version != stored.version) {
            return Ok(Outcome::Conflict);
        }
        rows.remove(key);
        Ok(Outcome::Done)
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        // Both clocks must call it expired, so that a node with a wrong clock deletes nothing.
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

    async fn sessions_of(&self, _: &Call, _: &Principal, _: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        Err(Error::unsupported("sessions_of"))
    }

    async fn delete_all(&self, _: &Call, _: &Principal, _: Option<&StoreKey>) -> Result<u64> {
        Err(Error::unsupported("delete_all"))
    }

    async fn scan(&self, _: &Call, _: Option<Cursor>, _: NonZeroU32) -> Result<Page> {
        Err(Error::unsupported("scan"))
    }
}

#[cfg(doctest)]
#[doc = include_str!("../../writing-a-store.md")]
mod page {}
