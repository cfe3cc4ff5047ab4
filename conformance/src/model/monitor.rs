//! State shared by the parts of a scene: the order of events, and the effects seen in the store.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use session_core::{Principal, Record, StoreKey, Version};

use crate::store_call::StoreCall;
use crate::stored_data;

tokio::task_local! {
    /// The actor on whose behalf the store is called.
    pub(super) static CALLER: Arc<Caller>;
}

/// An actor, as the store wrapper sees it.
#[derive(Debug)]
pub(super) struct Caller {
    /// Name in the trace.
    pub(super) name: String,
    /// Index of the actor's handle; `usize::MAX` for operators.
    pub(super) handle: usize,
    /// Time of its last store call.
    pub(super) last_call: AtomicU64,
}

impl Caller {
    pub(super) fn new(name: String, handle: usize) -> Arc<Self> {
        Arc::new(Self { name, handle, last_call: AtomicU64::new(0) })
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Facts known about one key.
#[derive(Clone, Debug)]
pub(super) struct KeyFacts {
    version: Version,
    pub(super) principal: Option<Principal>,
    /// Set if another principal signed in under the same key.
    pub(super) changed_hands: bool,
    /// Time at which its create took effect.
    pub(super) created: u64,
    /// The handle that created it.
    pub(super) creator: usize,
    /// Time since which it is no live session.
    pub(super) dead: Option<u64>,
    /// Key to which its tombstone points.
    pub(super) moved: Option<StoreKey>,
}

/// Effects in the store, in the order in which they were seen.
#[derive(Clone, Debug, Default)]
pub(super) struct StoreEffects {
    keys: HashMap<StoreKey, KeyFacts>,
    /// Writes that were sent or took effect: the time and the handle.
    sent: Vec<(u64, usize)>,
}

impl StoreEffects {
    pub(super) fn known(&self, key: &StoreKey) -> Option<&KeyFacts> {
        self.keys.get(key)
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = (&StoreKey, &KeyFacts)> {
        self.keys.iter()
    }

    /// Returns whether another handle than `handle` has sent a write since `since`.
    pub(super) fn others_wrote(&self, handle: usize, since: u64) -> bool {
        self.sent.iter().any(|(at, by)| *at > since && *by != handle)
    }

    /// Returns `key` and the keys after it, along the tombstones.
    pub(super) fn chain(&self, key: StoreKey) -> Vec<StoreKey> {
        let mut chain = vec![key];
        while let Some(next) = chain.last().and_then(|key| self.keys.get(key)?.moved) {
            if chain.contains(&next) {
                break;
            }
            chain.push(next);
        }
        chain
    }

    /// Returns whether the key was dead before `at`.
    pub(super) fn dead_before(&self, key: &StoreKey, at: u64) -> bool {
        self.keys.get(key).and_then(|known| known.dead).is_some_and(|dead| dead < at)
    }

    pub(super) fn sends(&mut self, at: u64, by: usize) {
        self.sent.push((at, by));
    }

    fn wrote(&mut self, at: u64, by: usize, key: StoreKey, record: &Record) {
        let known = self.keys.entry(key).or_insert_with(|| KeyFacts {
            version: record.version,
            principal: record.principal.clone(),
            changed_hands: false,
            created: at,
            creator: by,
            dead: None,
            moved: None,
        });
        // A call that takes effect twice is one write.
        if known.version == record.version && known.created != at {
            return;
        }
        known.version = record.version;
        if stored_data::is_tombstone(record) {
            known.dead.get_or_insert(at);
            known.moved = stored_data::moved_to(record);
        } else if known.principal != record.principal {
            known.changed_hands = true;
        }
    }

    fn deleted(&mut self, at: u64, key: &StoreKey) {
        if let Some(known) = self.keys.get_mut(key) {
            known.dead.get_or_insert(at);
        }
    }

    /// Records the end of the sessions that existed when the call began.
    fn deleted_all(&mut self, began: u64, at: u64, principal: &Principal, keep: Option<&StoreKey>) {
        for (key, known) in &mut self.keys {
            if known.created < began && known.principal.as_ref() == Some(principal) && Some(key) != keep {
                known.dead.get_or_insert(at);
            }
        }
    }
}

/// Lines of the trace, one for each event, with short names for keys and versions.
#[derive(Debug, Default)]
pub(super) struct Trace {
    lines: Vec<String>,
    keys: HashMap<StoreKey, usize>,
    versions: HashMap<Version, usize>,
}

impl Trace {
    pub(super) fn key(&mut self, key: &StoreKey) -> String {
        let next = self.keys.len() + 1;
        format!("k{}", self.keys.entry(*key).or_insert(next))
    }

    pub(super) fn version(&mut self, version: Version) -> String {
        let next = self.versions.len() + 1;
        format!("v{}", self.versions.entry(version).or_insert(next))
    }

    pub(super) fn record(&mut self, record: &Record) -> String {
        let mut text = self.version(record.version);
        match stored_data::envelope(&record.data) {
            [0, ..] => match stored_data::moved_to(record) {
                Some(next) => text.push_str(&format!(" moved to {}", self.key(&next))),
                None => text.push_str(" ended"),
            },
            envelope => {
                let _ = write!(text, " {}", String::from_utf8_lossy(envelope));
                if let Some(principal) = &record.principal {
                    let _ = write!(text, " of {}", principal.as_str());
                }
            }
        }
        text
    }
}

/// State shared by all parts of a scene.
#[derive(Debug)]
pub(super) struct Monitor {
    clock: AtomicU64,
    effects: Mutex<StoreEffects>,
    /// Writes whose answer the real store has lost, each with its handle.
    doubts: Mutex<Vec<(usize, StoreCall)>>,
    trace: Option<Mutex<Trace>>,
    /// Set while planned faults may occur.
    pub(super) faulty: AtomicBool,
    /// Number of late effects, and of calls in tasks of their own, that are still in flight.
    pub(super) under_way: AtomicUsize,
    /// Set if the real store failed by itself.
    pub(super) outage: AtomicBool,
    pub(super) faults: AtomicU64,
    pub(super) operations: AtomicU64,
    pub(super) commits: AtomicU64,
}

/// An effect on the store.
pub(super) enum Effect<'a> {
    Wrote(StoreKey, &'a Record),
    Deleted(StoreKey),
    DeletedAll(u64, &'a Principal, Option<&'a StoreKey>),
}

impl Monitor {
    pub(super) fn new(traced: bool) -> Arc<Self> {
        Arc::new(Self {
            clock: AtomicU64::new(1),
            effects: Mutex::default(),
            doubts: Mutex::default(),
            trace: traced.then(Mutex::default),
            faulty: AtomicBool::new(true),
            under_way: AtomicUsize::new(0),
            outage: AtomicBool::new(false),
            faults: AtomicU64::new(0),
            operations: AtomicU64::new(0),
            commits: AtomicU64::new(0),
        })
    }

    /// Returns the number of the next event.
    pub(super) fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    pub(super) fn effects(&self) -> MutexGuard<'_, StoreEffects> {
        locked(&self.effects)
    }

    pub(super) fn took_effect(&self, by: usize, effect: &Effect<'_>) {
        let mut effects = self.effects();
        let at = self.tick();
        effects.sends(at, by);
        match effect {
            Effect::Wrote(key, record) => effects.wrote(at, by, *key, record),
            Effect::Deleted(key) => effects.deleted(at, key),
            Effect::DeletedAll(began, principal, keep) => effects.deleted_all(*began, at, principal, *keep),
        }
    }

    /// Notes a write that may have taken effect.
    pub(super) fn doubts(&self, by: usize, call: &StoreCall) {
        locked(&self.doubts).push((by, call.clone()));
    }

    /// Adds the doubtful writes that took effect, as the records that are left in the end show.
    pub(super) fn settle(&self, records: &[(StoreKey, Record)]) {
        let doubts = std::mem::take(&mut *locked(&self.doubts));
        let left: HashMap<_, _> = records.iter().map(|(key, record)| (*key, record.version)).collect();
        for (by, call) in doubts {
            match &call {
                StoreCall::Create(key, record) | StoreCall::Save(key, _, record)
                    if left.get(key) == Some(&record.version) =>
                {
                    self.took_effect(by, &Effect::Wrote(*key, record));
                }
                StoreCall::Delete(key, _) if !left.contains_key(key) => self.took_effect(by, &Effect::Deleted(*key)),
                StoreCall::DeleteAll(principal, keep) => {
                    let theirs = |known: &KeyFacts| known.principal.as_ref() == Some(principal);
                    let gone = |key: &StoreKey| !left.contains_key(key) && Some(key) != keep.as_ref();
                    let ended: Vec<_> = {
                        let effects = self.effects();
                        let known = effects.keys().filter(|(key, known)| theirs(known) && gone(key));
                        known.map(|(key, _)| *key).collect()
                    };
                    ended.into_iter().for_each(|key| self.took_effect(by, &Effect::Deleted(key)));
                }
                _ => {}
            }
        }
    }

    /// Adds a line to the trace, if there is one.
    pub(super) fn note(&self, line: impl FnOnce(&mut Trace) -> String) {
        if let Some(trace) = &self.trace {
            let mut trace = locked(trace);
            let who = CALLER.try_with(|caller| caller.name.clone()).unwrap_or_default();
            let line = line(&mut trace);
            trace.lines.push(format!("{who:>8}  {line}"));
        }
    }

    /// Returns the key's name in the trace.
    pub(super) fn name(&self, key: &StoreKey) -> String {
        self.trace.as_ref().map(|trace| locked(trace).key(key)).unwrap_or_default()
    }

    pub(super) fn lines(&self) -> Vec<String> {
        self.trace.as_ref().map(|trace| std::mem::take(&mut locked(trace).lines)).unwrap_or_default()
    }

    /// Waits until no effect is in flight.
    pub(super) async fn quiet(&self) {
        while self.under_way.load(Ordering::SeqCst) > 0 {
            tokio::task::yield_now().await;
        }
    }
}
