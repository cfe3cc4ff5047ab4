//! A store in memory whose every call is one step of the schedule.

use std::collections::BTreeMap;
use std::fmt;

use session_core::{Call, Capabilities, Outcome, Record, Result, Store, StoreKey, Timestamp, Version, async_trait};
use shuttle::sync::Mutex;

use crate::trace;

/// Records by key. A call can be overtaken only while it waits for this lock.
pub(crate) struct Model {
    /// Whether the manager is told that other processes write to the store.
    shared: bool,
    records: Mutex<BTreeMap<StoreKey, Record>>,
}

impl Model {
    pub(crate) fn new(shared: bool) -> Self {
        Self { shared, records: Mutex::default() }
    }

    /// Runs `run` on the live record under `key`, in one step.
    fn with<R>(&self, call: &Call, key: &StoreKey, run: impl FnOnce(&mut Option<Record>) -> R) -> R {
        let mut records = self.records.lock().unwrap();
        let mut slot = records.remove(key).filter(|record| record.is_live(call.now));
        let answer = run(&mut slot);
        records.extend(slot.map(|record| (*key, record)));
        answer
    }

    /// Runs a write in one step, and traces it as `what`.
    fn write(
        &self,
        what: impl FnOnce() -> String,
        call: &Call,
        key: &StoreKey,
        run: impl FnOnce(&mut Option<Record>) -> Outcome,
    ) -> Result<Outcome> {
        Ok(self.with(call, key, |slot| {
            let outcome = run(slot);
            trace::step(|| format!("store: {}: {outcome:?}, now {}", what(), named(slot)));
            outcome
        }))
    }
}

/// Returns the short name of the stored version.
fn named(slot: &Option<Record>) -> String {
    slot.as_ref().map_or("nothing".to_owned(), |record| trace::version(record.version))
}

impl fmt::Debug for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Model")
    }
}

#[async_trait]
impl Store for Model {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().shared(self.shared)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.write(
            || format!("create {}", trace::version(record.version)),
            call,
            key,
            |slot| match slot {
                Some(there) if there.version == record.version => Outcome::Done,
                Some(_) => Outcome::Exists,
                None => {
                    *slot = Some(record.clone());
                    Outcome::Done
                }
            },
        )
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        Ok(self.with(call, key, |slot| {
            trace::step(|| format!("store: load: {}", named(slot)));
            slot.clone()
        }))
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        let what = || format!("save {} over {}", trace::version(record.version), trace::version(expected));
        self.write(what, call, key, |slot| match slot {
            None => Outcome::Missing,
            Some(there) if there.version == record.version => Outcome::Done,
            Some(there) if there.version == expected => {
                *there = record.clone();
                Outcome::Done
            }
            Some(_) => Outcome::Conflict,
        })
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.write(
            || format!("touch over {}", trace::version(expected)),
            call,
            key,
            |slot| match slot {
                None => Outcome::Missing,
                Some(there) if there.version != expected => Outcome::Conflict,
                Some(there) => {
                    there.expires_at = there.expires_at.max(expires_at);
                    Outcome::Done
                }
            },
        )
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.write(
            || "delete".to_owned(),
            call,
            key,
            |slot| match (&slot, expected) {
                (None, _) => Outcome::Missing,
                (Some(there), Some(expected)) if there.version != expected => Outcome::Conflict,
                (Some(_), _) => {
                    *slot = None;
                    Outcome::Done
                }
            },
        )
    }
}
