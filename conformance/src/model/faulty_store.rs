//! A wrapper of a store that fails as a scene plans, and records the effects.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use session_core::{
    Call, Capabilities, Cursor, Error, ErrorKind, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version,
};
use tokio::task::yield_now;

use super::monitor::{CALLER, Caller, Effect, Monitor, locked};
use super::rng::Rng;
use super::scene::Fault;
use crate::store_call::{StoreCall, StoreReply};

const LOST: Error = Error::fixed(ErrorKind::Unavailable, "the scene plans a fault here");

/// Waits `n` turns.
pub(super) async fn turns(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

/// The store of one manager.
#[derive(Clone, Debug)]
pub(super) struct FaultyStore(Arc<FaultyStoreInner>);

#[derive(Debug)]
pub(super) struct FaultyStoreInner {
    inner: Arc<dyn Store>,
    monitor: Arc<Monitor>,
    plan: Vec<(usize, Fault)>,
    calls: AtomicUsize,
    rng: Mutex<Rng>,
    turns: usize,
    /// Maximum length of data that is accepted.
    longest: Option<usize>,
    /// Set if calls run in their own tasks, so that an effect is recorded although the caller is dropped.
    own_tasks: bool,
}

/// Settings of a [`FaultyStore`].
#[derive(Debug, Default)]
pub(super) struct FaultSettings {
    pub(super) plan: Vec<(usize, Fault)>,
    pub(super) turns: usize,
    pub(super) seed: u64,
    pub(super) longest: Option<usize>,
    pub(super) own_tasks: bool,
}

impl FaultyStore {
    pub(super) fn around(inner: Arc<dyn Store>, monitor: Arc<Monitor>, setting: FaultSettings) -> Self {
        let FaultSettings { plan, turns, seed, longest, own_tasks } = setting;
        let (calls, rng) = (AtomicUsize::new(0), Mutex::new(Rng::new(seed)));
        Self(Arc::new(FaultyStoreInner { inner, monitor, plan, calls, rng, turns, longest, own_tasks }))
    }

    async fn run(&self, call: &Call, operation: StoreCall) -> Result<StoreReply> {
        let part = &self.0;
        let caller = CALLER.with(Arc::clone);
        let began = part.monitor.tick();
        // A touch stores no change. A later commit of the same actor may learn from another actor's load that the
        // session has ended.
        if !matches!(operation, StoreCall::Touch(..)) {
            caller.last_call.store(began, Ordering::SeqCst);
        }
        if operation.writes() {
            part.monitor.effects().sends(began, caller.handle);
        }
        let fault = part.next_fault(&operation);
        part.monitor.note(|trace| format!("  store: {}{}", describe(trace, &operation), say(fault)));
        part.pause().await;
        match fault {
            None => {
                let answer = part.carry(call, operation, &caller).await;
                part.pause().await;
                answer
            }
            Some(Fault::Before) => Err(LOST),
            Some(Fault::After) => {
                let _lost = part.carry(call, operation, &caller).await;
                part.pause().await;
                Err(LOST)
            }
            Some(Fault::Late(after)) => {
                let (part, call) = (part.clone(), call.clone());
                part.monitor.under_way.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(CALLER.scope(caller.clone(), async move {
                    turns(after).await;
                    let _lost = part.carry_out(&call, &operation, &caller).await;
                    part.monitor.under_way.fetch_sub(1, Ordering::SeqCst);
                }));
                Err(LOST)
            }
        }
    }
}

fn say(fault: Option<Fault>) -> String {
    fault.map(|fault| format!("   <- fault: {fault:?}")).unwrap_or_default()
}

fn describe(trace: &mut super::monitor::Trace, operation: &StoreCall) -> String {
    match operation {
        StoreCall::Create(key, record) => format!("create {}: {}", trace.key(key), trace.record(record)),
        StoreCall::Load(key) => format!("load {}", trace.key(key)),
        StoreCall::Save(key, expected, record) => {
            format!("save {} over {}: {}", trace.key(key), trace.version(*expected), trace.record(record))
        }
        StoreCall::Touch(key, expected, at) => {
            format!("touch {} over {} to {at:?}", trace.key(key), trace.version(*expected))
        }
        StoreCall::Delete(key, expected) => {
            format!("delete {} {}", trace.key(key), expected.map(|at| trace.version(at)).unwrap_or_default())
        }
        StoreCall::DeleteAll(principal, _) => format!("delete all of {}", principal.as_str()),
        StoreCall::SessionsOf(principal, _) => format!("list {}", principal.as_str()),
        StoreCall::Purge(_) => "purge".into(),
    }
}

impl FaultyStoreInner {
    fn next_fault(&self, operation: &StoreCall) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if !self.monitor.faulty.load(Ordering::SeqCst) {
            return None;
        }
        let (_, fault) = self.plan.iter().find(|(at, _)| *at == call)?;
        self.monitor.faults.fetch_add(1, Ordering::Relaxed);
        Some(if operation.writes() { *fault } else { Fault::Before })
    }

    async fn pause(&self) {
        let n = if self.turns == 0 { 0 } else { locked(&self.rng).below(self.turns + 1) };
        turns(n).await;
    }

    async fn carry(self: &Arc<Self>, call: &Call, operation: StoreCall, caller: &Arc<Caller>) -> Result<StoreReply> {
        if !self.own_tasks {
            return self.carry_out(call, &operation, caller).await;
        }
        let (part, call, caller) = (self.clone(), call.clone(), caller.clone());
        self.monitor.under_way.fetch_add(1, Ordering::SeqCst);
        let task = tokio::spawn(CALLER.scope(caller.clone(), async move {
            let answer = part.carry_out(&call, &operation, &caller).await;
            part.monitor.under_way.fetch_sub(1, Ordering::SeqCst);
            answer
        }));
        task.await.map_err(|_| LOST)?
    }

    async fn carry_out(&self, call: &Call, operation: &StoreCall, caller: &Caller) -> Result<StoreReply> {
        let (inner, began) = (&self.inner, self.monitor.tick());
        if let (Some(record), Some(longest)) = (operation.record(), self.longest)
            && record.data.len() > longest
        {
            self.monitor.note(|_| "  store: too large".into());
            return Err(ErrorKind::TooLarge.into());
        }
        let answer = operation.send(&**inner, call).await;
        self.note(operation, &answer);
        let effect = match (operation, &answer) {
            (
                StoreCall::Create(key, record) | StoreCall::Save(key, _, record),
                Ok(StoreReply::Outcome(Outcome::Done)),
            ) => Effect::Wrote(*key, record),
            (StoreCall::Delete(key, _), Ok(StoreReply::Outcome(Outcome::Done))) => Effect::Deleted(*key),
            (StoreCall::DeleteAll(principal, keep), Ok(StoreReply::Removed(1..))) => {
                Effect::DeletedAll(began, principal, keep.as_ref())
            }
            (_, Err(_)) => {
                self.monitor.outage.store(true, Ordering::SeqCst);
                self.monitor.doubts(caller.handle, operation);
                return answer;
            }
            _ => return answer,
        };
        self.monitor.took_effect(caller.handle, &effect);
        answer
    }

    fn note(&self, operation: &StoreCall, answer: &Result<StoreReply>) {
        self.monitor.note(|trace| {
            let what = match operation {
                StoreCall::Create(key, record) => {
                    format!("create {} {}", trace.key(key), trace.version(record.version))
                }
                StoreCall::Save(key, _, record) => format!("save {} {}", trace.key(key), trace.version(record.version)),
                other => describe(trace, other),
            };
            let answer = match answer {
                Ok(StoreReply::Outcome(outcome)) => format!("{outcome:?}"),
                Ok(StoreReply::Loaded(Some(record))) => trace.record(record),
                Ok(StoreReply::Loaded(None)) => "none".into(),
                Ok(StoreReply::Removed(count)) => format!("{count}"),
                Ok(StoreReply::Listed(list)) => format!("{} records", list.len()),
                Ok(StoreReply::Purged(purged)) => format!("{} removed", purged.removed),
                Err(error) => format!("{error}"),
            };
            format!("  store: {what} -> {answer}")
        });
    }
}

#[async_trait]
impl Store for FaultyStore {
    fn capabilities(&self) -> Capabilities {
        self.0.inner.capabilities()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.run(call, StoreCall::Create(*key, record.clone())).await.map(StoreReply::outcome)
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.run(call, StoreCall::Load(*key)).await.map(StoreReply::loaded)
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.run(call, StoreCall::Save(*key, expected, record.clone())).await.map(StoreReply::outcome)
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.run(call, StoreCall::Touch(*key, expected, expires_at)).await.map(StoreReply::outcome)
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.run(call, StoreCall::Delete(*key, expected)).await.map(StoreReply::outcome)
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.run(call, StoreCall::Purge(limit)).await.map(StoreReply::purged)
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.run(call, StoreCall::SessionsOf(principal.clone(), limit)).await.map(StoreReply::listed)
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.run(call, StoreCall::DeleteAll(principal.clone(), keep.copied())).await.map(StoreReply::removed)
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.0.inner.scan(call, after, limit).await
    }

    async fn close(&self) -> Result<()> {
        self.0.inner.close().await
    }
}
