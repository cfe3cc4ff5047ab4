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

use super::dice::Dice;
use super::scene::Fault;
use super::stage::{CALLER, Caller, Effect, Stage, locked};

const LOST: Error = Error::fixed(ErrorKind::Unavailable, "the scene plans a fault here");

/// Waits `n` turns.
pub(super) async fn turns(n: usize) {
    for _ in 0..n {
        yield_now().await;
    }
}

/// The store of one manager.
#[derive(Clone, Debug)]
pub(super) struct Faulty(Arc<Part>);

#[derive(Debug)]
pub(super) struct Part {
    inner: Arc<dyn Store>,
    stage: Arc<Stage>,
    plan: Vec<(usize, Fault)>,
    calls: AtomicUsize,
    dice: Mutex<Dice>,
    turns: usize,
    /// Maximum length of data that is accepted.
    longest: Option<usize>,
    /// Set if calls run in their own tasks, so that an effect is recorded although the caller is dropped.
    apart: bool,
}

/// A store call with its operands.
#[derive(Clone, Debug)]
enum Op {
    Create(StoreKey, Record),
    Load(StoreKey),
    Save(StoreKey, Version, Record),
    Touch(StoreKey, Version, Timestamp),
    Delete(StoreKey, Option<Version>),
    DeleteAll(Principal, Option<StoreKey>),
    List(Principal, NonZeroU32),
    Purge(NonZeroU32),
}

impl Op {
    const fn writes(&self) -> bool {
        !matches!(self, Self::Load(_) | Self::List(..))
    }
}

enum Answer {
    Outcome(Outcome),
    Record(Option<Record>),
    Count(u64),
    List(Vec<(StoreKey, Record)>),
    Purged(Purged),
}

impl Answer {
    fn outcome(self) -> Outcome {
        match self {
            Self::Outcome(outcome) => outcome,
            _ => unreachable!("the call answers an outcome"),
        }
    }
}

/// Settings of a [`Faulty`] store.
#[derive(Debug, Default)]
pub(super) struct Setting {
    pub(super) plan: Vec<(usize, Fault)>,
    pub(super) turns: usize,
    pub(super) seed: u64,
    pub(super) longest: Option<usize>,
    pub(super) apart: bool,
}

impl Faulty {
    pub(super) fn around(inner: Arc<dyn Store>, stage: Arc<Stage>, setting: Setting) -> Self {
        let Setting { plan, turns, seed, longest, apart } = setting;
        let (calls, dice) = (AtomicUsize::new(0), Mutex::new(Dice::new(seed)));
        Self(Arc::new(Part { inner, stage, plan, calls, dice, turns, longest, apart }))
    }

    async fn run(&self, call: &Call, op: Op) -> Result<Answer> {
        let part = &self.0;
        let caller = CALLER.with(Arc::clone);
        let began = part.stage.tick();
        // A touch stores no change. A later commit of the same actor may learn from another actor's load that the
        // session has ended.
        if !matches!(op, Op::Touch(..)) {
            caller.last_call.store(began, Ordering::SeqCst);
        }
        if op.writes() {
            part.stage.truth().sends(began, caller.handle);
        }
        let fault = part.next_fault(&op);
        part.stage.note(|trace| format!("  store: {}{}", describe(trace, &op), say(fault)));
        part.pause().await;
        match fault {
            None => {
                let answer = part.carry(call, op, &caller).await;
                part.pause().await;
                answer
            }
            Some(Fault::Before) => Err(LOST),
            Some(Fault::After) => {
                let _lost = part.carry(call, op, &caller).await;
                part.pause().await;
                Err(LOST)
            }
            Some(Fault::Late(after)) => {
                let (part, call) = (part.clone(), call.clone());
                part.stage.under_way.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(CALLER.scope(caller.clone(), async move {
                    turns(after).await;
                    let _lost = part.carry_out(&call, &op, &caller).await;
                    part.stage.under_way.fetch_sub(1, Ordering::SeqCst);
                }));
                Err(LOST)
            }
        }
    }
}

fn say(fault: Option<Fault>) -> String {
    fault.map(|fault| format!("   <- fault: {fault:?}")).unwrap_or_default()
}

fn describe(trace: &mut super::stage::Trace, op: &Op) -> String {
    match op {
        Op::Create(key, record) => format!("create {}: {}", trace.key(key), trace.record(record)),
        Op::Load(key) => format!("load {}", trace.key(key)),
        Op::Save(key, expected, record) => {
            format!("save {} over {}: {}", trace.key(key), trace.version(*expected), trace.record(record))
        }
        Op::Touch(key, expected, at) => {
            format!("touch {} over {} to {at:?}", trace.key(key), trace.version(*expected))
        }
        Op::Delete(key, expected) => {
            format!("delete {} {}", trace.key(key), expected.map(|at| trace.version(at)).unwrap_or_default())
        }
        Op::DeleteAll(principal, _) => format!("delete all of {}", principal.as_str()),
        Op::List(principal, _) => format!("list {}", principal.as_str()),
        Op::Purge(_) => "purge".into(),
    }
}

impl Part {
    fn next_fault(&self, op: &Op) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if !self.stage.faulty.load(Ordering::SeqCst) {
            return None;
        }
        let (_, fault) = self.plan.iter().find(|(at, _)| *at == call)?;
        self.stage.faults.fetch_add(1, Ordering::Relaxed);
        Some(if op.writes() { *fault } else { Fault::Before })
    }

    async fn pause(&self) {
        let n = if self.turns == 0 { 0 } else { locked(&self.dice).below(self.turns + 1) };
        turns(n).await;
    }

    async fn carry(self: &Arc<Self>, call: &Call, op: Op, caller: &Arc<Caller>) -> Result<Answer> {
        if !self.apart {
            return self.carry_out(call, &op, caller).await;
        }
        let (part, call, caller) = (self.clone(), call.clone(), caller.clone());
        self.stage.under_way.fetch_add(1, Ordering::SeqCst);
        let task = tokio::spawn(CALLER.scope(caller.clone(), async move {
            let answer = part.carry_out(&call, &op, &caller).await;
            part.stage.under_way.fetch_sub(1, Ordering::SeqCst);
            answer
        }));
        task.await.map_err(|_| LOST)?
    }

    async fn carry_out(&self, call: &Call, op: &Op, caller: &Caller) -> Result<Answer> {
        let (inner, began) = (&self.inner, self.stage.tick());
        if let (Op::Create(_, record) | Op::Save(_, _, record), Some(longest)) = (op, self.longest)
            && record.data.len() > longest
        {
            self.stage.note(|_| "  store: too large".into());
            return Err(ErrorKind::TooLarge.into());
        }
        let answer = match op {
            Op::Create(key, record) => inner.create(call, key, record).await.map(Answer::Outcome),
            Op::Load(key) => inner.load(call, key).await.map(Answer::Record),
            Op::Save(key, expected, record) => inner.save(call, key, *expected, record).await.map(Answer::Outcome),
            Op::Touch(key, expected, at) => inner.touch(call, key, *expected, *at).await.map(Answer::Outcome),
            Op::Delete(key, expected) => inner.delete(call, key, *expected).await.map(Answer::Outcome),
            Op::DeleteAll(principal, keep) => inner.delete_all(call, principal, keep.as_ref()).await.map(Answer::Count),
            Op::List(principal, limit) => inner.sessions_of(call, principal, *limit).await.map(Answer::List),
            Op::Purge(limit) => inner.purge(call, *limit).await.map(Answer::Purged),
        };
        self.note(op, &answer);
        let effect = match (op, &answer) {
            (Op::Create(key, record) | Op::Save(key, _, record), Ok(Answer::Outcome(Outcome::Done))) => {
                Effect::Wrote(*key, record)
            }
            (Op::Delete(key, _), Ok(Answer::Outcome(Outcome::Done))) => Effect::Deleted(*key),
            (Op::DeleteAll(principal, keep), Ok(Answer::Count(1..))) => {
                Effect::DeletedAll(began, principal, keep.as_ref())
            }
            (_, Err(_)) => {
                self.stage.outage.store(true, Ordering::SeqCst);
                return answer;
            }
            _ => return answer,
        };
        self.stage.took_effect(caller.handle, &effect);
        answer
    }

    fn note(&self, op: &Op, answer: &Result<Answer>) {
        self.stage.note(|trace| {
            let what = match op {
                Op::Create(key, record) => format!("create {} {}", trace.key(key), trace.version(record.version)),
                Op::Save(key, _, record) => format!("save {} {}", trace.key(key), trace.version(record.version)),
                other => describe(trace, other),
            };
            let answer = match answer {
                Ok(Answer::Outcome(outcome)) => format!("{outcome:?}"),
                Ok(Answer::Record(Some(record))) => trace.record(record),
                Ok(Answer::Record(None)) => "none".into(),
                Ok(Answer::Count(count)) => format!("{count}"),
                Ok(Answer::List(list)) => format!("{} records", list.len()),
                Ok(Answer::Purged(purged)) => format!("{} removed", purged.removed),
                Err(error) => format!("{error}"),
            };
            format!("  store: {what} -> {answer}")
        });
    }
}

#[async_trait]
impl Store for Faulty {
    fn capabilities(&self) -> Capabilities {
        self.0.inner.capabilities()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.run(call, Op::Create(*key, record.clone())).await.map(Answer::outcome)
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        match self.run(call, Op::Load(*key)).await? {
            Answer::Record(record) => Ok(record),
            _ => unreachable!("a load answers a record"),
        }
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.run(call, Op::Save(*key, expected, record.clone())).await.map(Answer::outcome)
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.run(call, Op::Touch(*key, expected, expires_at)).await.map(Answer::outcome)
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.run(call, Op::Delete(*key, expected)).await.map(Answer::outcome)
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        match self.run(call, Op::Purge(limit)).await? {
            Answer::Purged(purged) => Ok(purged),
            _ => unreachable!("a purge answers what it removed"),
        }
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        match self.run(call, Op::List(principal.clone(), limit)).await? {
            Answer::List(list) => Ok(list),
            _ => unreachable!("a list answers a list"),
        }
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        match self.run(call, Op::DeleteAll(principal.clone(), keep.copied())).await? {
            Answer::Count(count) => Ok(count),
            _ => unreachable!("`delete_all` answers a count"),
        }
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.0.inner.scan(call, after, limit).await
    }
}
