//! Store of one request whose session is kept in its cookie.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};

use session_core::{
    Call, Capabilities, Clock as _, Error, ErrorKind, Live, Outcome, Purged, Record, Result, Store, StoreKey,
    SystemClock, Timestamp, Version, async_trait,
};

use crate::cookie_value::sealed_len;

/// Store that holds the record from a request's cookie. It keeps the contract of every store within the request.
#[derive(Debug)]
pub(crate) struct RequestStore {
    /// Usually one record. After a rotation the replaced record remains as well.
    records: Mutex<Vec<(StoreKey, Record)>>,
    /// Maximum length of the cookie's value in bytes, so that an explicit save can fail as too large. The line that is sent is checked again.
    room: usize,
}

impl RequestStore {
    pub(crate) fn new(from_cookie: Option<(StoreKey, Record)>, room: usize) -> Self {
        Self { records: Mutex::new(from_cookie.into_iter().collect()), room }
    }

    /// Returns the record under `key`, also if it has expired.
    pub(crate) fn record(&self, key: &StoreKey) -> Option<Record> {
        self.lock().iter().find(|(stored, _)| stored == key).map(|(_, record)| record.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(StoreKey, Record)>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fits(&self, record: &Record) -> Result<()> {
        if sealed_len(record) > self.room {
            return Err(Error::fixed(
                ErrorKind::TooLarge,
                "the cookie with its attributes would exceed `CookieOptions::max_len`: keep less in the session",
            ));
        }
        Ok(())
    }

    /// Applies `change` to the record under `key`, unless `decide` returns another outcome.
    fn change(
        &self,
        call: &Call,
        key: &StoreKey,
        decide: impl FnOnce(Live) -> Option<Outcome>,
        change: impl FnOnce(&mut Record),
    ) -> Outcome {
        let mut records = self.lock();
        if let Some(outcome) = decide(live(&records, call, key)) {
            return outcome;
        }
        if let Some((_, record)) = records.iter_mut().find(|(stored, _)| stored == key) {
            change(record);
        }
        Outcome::Done
    }
}

/// Live version under `key`.
fn live(records: &[(StoreKey, Record)], call: &Call, key: &StoreKey) -> Live {
    Record::live(records.iter().find(|(stored, _)| stored == key).map(|(_, record)| record), call.now)
}

#[async_trait]
impl Store for RequestStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.fits(record)?;
        let mut records = self.lock();
        if let Some(outcome) = live(&records, call, key).create(record.version) {
            return Ok(outcome);
        }
        records.retain(|(stored, _)| stored != key);
        records.push((*key, record.clone()));
        Ok(Outcome::Done)
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        Ok(self.record(key).filter(|record| record.is_live(call.now)))
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.fits(record)?;
        Ok(self.change(call, key, |live| live.save(expected, record.version), |there| *there = record.clone()))
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        let extend = |there: &mut Record| there.expires_at = there.expires_at.max(expires_at);
        Ok(self.change(call, key, |live| live.touch(expected), extend))
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        let mut records = self.lock();
        if let Some(outcome) = live(&records, call, key).delete(expected) {
            return Ok(outcome);
        }
        records.retain(|(stored, _)| stored != key);
        Ok(Outcome::Done)
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        // Uses the earlier of the two clocks, like every store.
        let now = call.now.min(SystemClock.now());
        let mut records = self.lock();
        let expired = records.iter().filter(|(_, record)| !record.is_live(now)).count();
        let mut left = expired.min(limit.get() as usize);
        let removed = left;
        records.retain(|(_, record)| {
            let goes = left > 0 && !record.is_live(now);
            left -= usize::from(goes);
            !goes
        });
        Ok(Purged::new(u32::try_from(removed).unwrap_or(u32::MAX), expired > removed))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use session_conformance::{ClauseResult, Harness, Subject, Suite, clauses};

    use super::*;

    struct RequestStores;

    #[async_trait]
    impl Harness for RequestStores {
        async fn subject(&self) -> Result<Subject> {
            Ok(Subject::new("request-store", env!("CARGO_PKG_VERSION")).without_namespaces())
        }

        async fn open(&self, _: &str) -> Result<Arc<dyn Store>> {
            Ok(Arc::new(RequestStore::new(None, usize::MAX)))
        }
    }

    /// A session relies on the contract of a store, so this one must pass the same clauses.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn it_keeps_the_promises_of_every_store() {
        let suite = Suite::new(RequestStores);
        let mut passed = 0;
        for clause in clauses() {
            match suite.check(clause).await.result {
                ClauseResult::Passed => passed += 1,
                ClauseResult::Ignored(_) => {}
                failed => panic!("{}: {failed:?}", clause.name),
            }
        }
        assert!(passed > 40, "{passed} clauses passed");
    }
}
