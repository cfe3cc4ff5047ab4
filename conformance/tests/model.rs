//! Tests of the random model: it finds no unknown violations in the core, and it finds stores with a defect.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use session_conformance::model::{Plan, Promise, Target, replay, run};
use session_conformance::stored_data;
use session_core::{
    Bytes, Call, Capabilities, Cursor, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey, Timestamp,
    Version, async_trait,
};
use session_store_memory::MemoryStore;

fn memory() -> Target {
    Target::Memory(|| Arc::new(MemoryStore::new()))
}

/// Known violations of the core: the promise, and a scene that breaks it. A fix of the core shortens this list.
const KNOWN: &[(Promise, u64)] = &[];

#[tokio::test]
async fn the_core_breaks_exactly_the_known_promises() {
    for (promise, scene) in KNOWN {
        let (broken, trace) = replay(&memory(), *scene, 1).await.unwrap();
        assert!(broken.contains(promise), "{promise} is kept in scene {scene:#x}:\n{}", trace.join("\n"));
    }
    let known: BTreeSet<Promise> = KNOWN.iter().map(|(promise, _)| *promise).collect();
    let tally = run(&memory(), &Plan::rounds(7, 1_500)).await.unwrap();
    let new: Vec<_> = tally.broken.keys().filter(|promise| !known.contains(promise)).collect();
    assert!(new.is_empty(), "new violations: {new:?}\n{tally}");
}

#[tokio::test]
async fn a_scene_is_the_same_each_time() {
    for scene in 0..40 {
        // Ids of flashes and instants differ, so only the shape is compared.
        let shape = |trace: Vec<String>| -> Vec<String> {
            trace.into_iter().map(|line| line.split(['{', '[']).next().unwrap_or_default().to_owned()).collect()
        };
        let (first, trace) = replay(&memory(), scene, 1).await.unwrap();
        let (second, again) = replay(&memory(), scene, 1).await.unwrap();
        assert_eq!(first, second);
        let untimed = |line: &String| !line.contains(" ms") && !line.contains("in the end");
        let (one, other) = (shape(trace), shape(again));
        assert!(one.iter().filter(|line| untimed(line)).eq(other.iter().filter(|line| untimed(line))), "scene {scene}");
    }
}

/// Defect of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// One save in four is confirmed and not carried out.
    LosesSave,
    /// A save stores the last token twice.
    Doubles,
    /// A save replaces any version.
    Upserts,
    /// A delete is confirmed and not carried out.
    KeepsDeleted,
    /// The tombstone of a logout is confirmed and not stored.
    KeepsEnded,
    /// The tombstone of a rotation is confirmed and not stored.
    KeepsMoved,
    /// A save keeps the flashes that it should remove.
    KeepsFlashes,
}

#[derive(Debug)]
struct Bad {
    store: MemoryStore,
    wrong: Wrong,
}

/// Function that creates a store.
type Make = fn() -> Arc<dyn Store>;

fn bad<const N: usize>() -> Arc<dyn Store> {
    const ALL: [Wrong; 7] = [
        Wrong::LosesSave,
        Wrong::Doubles,
        Wrong::Upserts,
        Wrong::KeepsDeleted,
        Wrong::KeepsEnded,
        Wrong::KeepsMoved,
        Wrong::KeepsFlashes,
    ];
    Arc::new(Bad { store: MemoryStore::new(), wrong: ALL[N] })
}

impl Bad {
    /// Returns the record that is stored instead of `record`.
    async fn spoilt(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Record> {
        let mut record = record.clone();
        let envelope = stored_data::envelope(&record.data);
        let head = &record.data[..record.data.len() - envelope.len()];
        let Ok(mut json) = serde_json::from_slice::<serde_json::Value>(envelope) else { return Ok(record) };
        match self.wrong {
            Wrong::Doubles => {
                if let Some(tokens) = json["v"]["tokens"].as_array_mut()
                    && let Some(last) = tokens.last().cloned()
                {
                    tokens.push(last);
                }
            }
            Wrong::KeepsFlashes => {
                if let Some(old) = self.store.load(call, key).await?
                    && let Ok(old) = serde_json::from_slice::<serde_json::Value>(stored_data::envelope(&old.data))
                    && let Some(flashes) = old.get("f")
                {
                    json["f"] = flashes.clone();
                }
            }
            _ => return Ok(record),
        }
        let envelope = serde_json::to_vec(&json).expect("JSON");
        record.data = Bytes::from([head, &envelope].concat());
        Ok(record)
    }
}

#[async_trait]
impl Store for Bad {
    fn capabilities(&self) -> Capabilities {
        self.store.capabilities()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.store.create(call, key, record).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.store.load(call, key).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        let envelope = stored_data::envelope(&record.data);
        let tombstone = envelope.first() == Some(&0);
        let lost = match self.wrong {
            Wrong::LosesSave => !tombstone && record.version.as_i64() % 4 == 0,
            Wrong::KeepsEnded => tombstone && envelope.get(1) == Some(&0),
            Wrong::KeepsMoved => tombstone && envelope.get(1) == Some(&1),
            _ => false,
        };
        if lost {
            return Ok(Outcome::Done);
        }
        let record = self.spoilt(call, key, record).await?;
        let there = self.store.load(call, key).await?.map(|there| there.version);
        let expected = if self.wrong == Wrong::Upserts { there.unwrap_or(expected) } else { expected };
        self.store.save(call, key, expected, &record).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.store.touch(call, key, expected, expires_at).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        match self.wrong {
            Wrong::KeepsDeleted => Ok(Outcome::Done),
            _ => self.store.delete(call, key, expected).await,
        }
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.store.purge(call, limit).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.store.sessions_of(call, principal, limit).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.store.delete_all(call, principal, keep).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.store.scan(call, after, limit).await
    }
}

/// Returns how many scenes break `promise`: over a correct store, and over the store of `make`.
async fn found(make: Make, promise: Promise) -> (u64, u64) {
    let plan = Plan::rounds(11, 400);
    let count = |tally: session_conformance::model::Tally| tally.broken.get(&promise).map_or(0, |broken| broken.scenes);
    let right = count(run(&memory(), &plan).await.unwrap());
    (right, count(run(&Target::Memory(make), &plan).await.unwrap()))
}

#[tokio::test]
async fn a_wrong_store_is_found() {
    let wrong: [(Make, Promise); 7] = [
        (bad::<0>, Promise::UpdateLost),
        (bad::<1>, Promise::UpdateTwice),
        (bad::<2>, Promise::UpdateLost),
        (bad::<3>, Promise::EndUndone),
        (bad::<4>, Promise::EndUndone),
        (bad::<5>, Promise::OldIdOpens),
        (bad::<6>, Promise::FlashKept),
    ];
    for (n, (make, promise)) in wrong.into_iter().enumerate() {
        let (right, wrong) = found(make, promise).await;
        assert!(wrong > right + 2, "store {n}: {promise} is broken in {wrong} scenes, over a right store in {right}");
    }
}
