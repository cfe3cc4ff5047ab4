//! In-memory store for tests, which can read and replace its records.
#![allow(dead_code, reason = "each test program uses a part")]

use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard};

use session_core::{
    Bytes, Call, Capabilities, Cursor, Error, ErrorKind, Outcome, Page, Principal, Purged, Record, Result, Store,
    StoreKey, Timestamp, Version, async_trait,
};

/// A store that ignores expiry, except in lists. Supports no optional operation unless it is told to. Clones share their records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shelf(
    Arc<Mutex<Vec<(StoreKey, Record)>>>,
    Arc<Mutex<Vec<&'static str>>>,
    Capabilities,
    Arc<Mutex<Vec<&'static str>>>,
);

impl Shelf {
    /// Creates a store with these capabilities.
    pub(crate) fn that_can(capabilities: Capabilities) -> Self {
        Self(Arc::default(), Arc::default(), capabilities, Arc::default())
    }

    /// Returns the number of records that are sessions, not tombstones.
    pub(crate) fn sessions(&self) -> usize {
        self.records()
            .iter()
            .filter(|(_, record)| record.data.get(8 + usize::from(record.data[1]) * 8) != Some(&0))
            .count()
    }

    /// Returns the number of records, tombstones included.
    pub(crate) fn len(&self) -> usize {
        self.records().len()
    }

    fn records(&self) -> MutexGuard<'_, Vec<(StoreKey, Record)>> {
        self.0.lock().unwrap()
    }

    /// Returns the names of the writing calls since the last call of this method.
    pub(crate) fn writes(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.1.lock().unwrap())
    }

    /// Lets these calls fail from now on, without an effect. The call `lost save` is a save that fails after it took effect.
    pub(crate) fn fail(&self, calls: &[&'static str]) {
        *self.3.lock().unwrap() = calls.to_vec();
    }

    fn check(&self, call: &'static str) -> Result<()> {
        let fails = self.3.lock().unwrap().contains(&call);
        if fails { Err(ErrorKind::Unavailable.into()) } else { Ok(()) }
    }

    fn wrote(&self, call: &'static str) -> Result<()> {
        self.check(call)?;
        self.1.lock().unwrap().push(call);
        Ok(())
    }

    /// Returns the record that was created last.
    pub(crate) fn record(&self) -> Record {
        self.records().last().unwrap().1.clone()
    }

    /// Returns the envelope of the last created record that is not a tombstone.
    pub(crate) fn envelope(&self) -> Bytes {
        let after_head =
            |data: &Bytes| if data[0] == 2 { data.slice(8 + usize::from(data[1]) * 8..) } else { data.clone() };
        let records = self.records();
        records.iter().rev().map(|(_, record)| after_head(&record.data)).find(|envelope| envelope[0] != 0).unwrap()
    }

    /// Removes all records.
    pub(crate) fn empty(&self) {
        self.records().clear();
    }

    /// Replaces the data of all records, under new versions.
    pub(crate) fn replace(&self, data: &'static [u8]) {
        for (_, record) in self.records().iter_mut() {
            let (created, expires, principal) = (record.created_at, record.expires_at, record.principal.clone());
            *record = Record::new(Version::random(), created, expires, principal, Bytes::from_static(data));
        }
    }
}

#[async_trait]
impl Store for Shelf {
    fn capabilities(&self) -> Capabilities {
        self.2
    }

    async fn create(&self, _: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.wrote("create")?;
        self.records().push((*key, record.clone()));
        Ok(Outcome::Done)
    }

    async fn load(&self, _: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.check("load")?;
        Ok(self.records().iter().find(|(there, _)| there == key).map(|(_, record)| record.clone()))
    }

    async fn save(&self, _: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.wrote("save")?;
        let mut records = self.records();
        let Some((_, there)) = records.iter_mut().find(|(there, _)| there == key) else { return Ok(Outcome::Missing) };
        if there.version != expected {
            return Ok(Outcome::Conflict);
        }
        *there = record.clone();
        self.check("lost save").map(|()| Outcome::Done)
    }

    async fn touch(&self, _: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.wrote("touch")?;
        let mut records = self.records();
        let Some((_, there)) = records.iter_mut().find(|(there, _)| there == key) else { return Ok(Outcome::Missing) };
        if there.version != expected {
            return Ok(Outcome::Conflict);
        }
        there.expires_at = there.expires_at.max(expires_at);
        Ok(Outcome::Done)
    }

    async fn delete(&self, _: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.wrote("delete")?;
        let mut records = self.records();
        let Some(at) = records.iter().position(|(there, _)| there == key) else { return Ok(Outcome::Missing) };
        if expected.is_some_and(|expected| expected != records[at].1.version) {
            return Ok(Outcome::Conflict);
        }
        records.remove(at);
        Ok(Outcome::Done)
    }

    async fn purge(&self, _: &Call, _: NonZeroU32) -> Result<Purged> {
        Err(Error::unsupported("purge"))
    }

    async fn sessions_of(&self, call: &Call, who: &Principal, limit: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        if !self.2.by_principal {
            return Err(Error::unsupported("sessions_of"));
        }
        let records = self.records();
        let found =
            records.iter().filter(|(_, record)| record.is_live(call.now) && record.principal.as_ref() == Some(who));
        Ok(found.take(limit.get() as usize).cloned().collect())
    }

    async fn delete_all(&self, _: &Call, who: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        if !self.2.by_principal {
            return Err(Error::unsupported("delete_all"));
        }
        let mut records = self.records();
        let before = records.len();
        records.retain(|(key, record)| record.principal.as_ref() != Some(who) || Some(key) == keep);
        Ok((before - records.len()) as u64)
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        if !self.2.scan {
            return Err(Error::unsupported("scan"));
        }
        let mut records = self.records().clone();
        records.sort_by_key(|(key, _)| *key);
        records.retain(|(key, record)| {
            record.is_live(call.now) && after.as_ref().is_none_or(|after| key.as_bytes()[..] > *after.as_bytes())
        });
        records.truncate(limit.get() as usize);
        let full = records.len() == limit.get() as usize;
        let next = records.last().filter(|_| full).map(|(key, _)| Cursor::new(key.as_bytes().to_vec()));
        Ok(Page::new(records, next))
    }
}
