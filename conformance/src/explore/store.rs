//! The model store: a map whose calls wait until the explorer carries them out.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::names::{Names, hash_of};
use crate::store_call::{StoreCall, StoreReply};
use session_core::{
    Call, Capabilities, Error, ErrorKind, Outcome, Principal, Purged, Record, Result, Store, StoreKey, Timestamp,
    Version, async_trait,
};

/// A call in flight, for which a task waits.
pub(super) struct PendingCall {
    id: u64,
    pub(super) task: usize,
    pub(super) now: Timestamp,
    pub(super) operation: StoreCall,
    /// Identifies the call in every run that reaches the same state.
    pub(super) name: u64,
    pub(super) answer: Option<Result<StoreReply>>,
    waker: Waker,
}

/// A write whose caller got an error or was dropped, and that may still take effect.
pub(super) struct LateWrite {
    id: u64,
    pub(super) now: Timestamp,
    pub(super) operation: StoreCall,
    pub(super) name: u64,
}

/// Stored records and calls in flight.
#[derive(Default)]
pub(super) struct StoreState {
    /// Includes expired records until a purge.
    pub(super) records: BTreeMap<StoreKey, Record>,
    pub(super) pending: Vec<PendingCall>,
    pub(super) late: Vec<LateWrite>,
    /// Carries out calls at once, unseen by the explorer. For the set-up and final checks.
    pub(super) at_once: bool,
    pub(super) current_task: usize,
    /// Items of the current poll, which are named at its end.
    unnamed: Vec<Unnamed>,
    named: u64,
    next_id: u64,
    pub(super) names: Names,
    /// Maximum length of data that the store accepts.
    pub(super) max_data_len: Option<usize>,
    /// Set if no other process writes to the store.
    pub(super) in_process: bool,
}

/// An item that gets its name at the end of the poll that created it.
#[derive(Clone, Copy, Debug)]
enum Unnamed {
    Version(Version),
    Key(StoreKey),
    Call(u64),
}

impl StoreState {
    /// Registers the new versions and keys of a call.
    fn note_call(&mut self, operation: &StoreCall) {
        self.names.see(operation);
        if let Some(record) = operation.record()
            && !self.names.versions.contains_key(&record.version)
        {
            self.unnamed.push(Unnamed::Version(record.version));
        }
        if let Some(key) = operation.key()
            && !self.names.keys.contains_key(key)
        {
            self.unnamed.push(Unnamed::Key(*key));
        }
    }

    /// Names the items that the poll `poll` has sent. The name depends on the poll only, so that it is equal in every
    /// equal run.
    pub(super) fn end_poll(&mut self, poll: u64) {
        for unnamed in std::mem::take(&mut self.unnamed) {
            self.named += 1;
            let name = hash_of((poll, self.named));
            match unnamed {
                Unnamed::Version(version) => {
                    self.names.versions.entry(version).or_insert(name);
                }
                Unnamed::Key(key) => {
                    self.names.keys.entry(key).or_insert(name);
                }
                Unnamed::Call(id) => {
                    let call = self.pending.iter_mut().find(|call| call.id == id);
                    if let Some(call) = call {
                        call.name = name;
                    }
                    if let Some(late) = self.late.iter_mut().find(|late| late.id == id) {
                        late.name = name;
                    }
                }
            }
        }
        self.named = 0;
    }

    /// Returns a hash of the records and of the calls in flight. Equal in runs whose stores are in the same state.
    pub(super) fn hash(&self) -> u64 {
        let mut records: Vec<_> = self
            .records
            .iter()
            .map(|(key, record)| (self.names.keys.get(key), self.names.hash_record(record)))
            .collect();
        records.sort_unstable();
        let mut late: Vec<_> = self.late.iter().map(|late| late.name).collect();
        late.sort_unstable();
        let mut pending: Vec<_> = self
            .pending
            .iter()
            .map(|call| (call.name, call.answer.as_ref().map(|answer| self.names.hash_answer(answer))))
            .collect();
        pending.sort_unstable();
        hash_of((records, late, pending))
    }

    /// Carries out `operation` by the contract of [`Store`].
    pub(super) fn carry_out(&mut self, now: Timestamp, operation: &StoreCall) -> Result<StoreReply> {
        if let (Some(longest), Some(record)) = (self.max_data_len, operation.record())
            && record.data.len() > longest
        {
            return Err(Error::fixed(ErrorKind::TooLarge, "over the store's limit"));
        }
        let live = operation.key().and_then(|key| self.records.get(key)).filter(|record| record.is_live(now));
        let outcome = match operation {
            StoreCall::Load(_) => return Ok(StoreReply::Loaded(live.cloned())),
            StoreCall::SessionsOf(principal, _) => {
                let of = |record: &Record| record.is_live(now) && record.principal.as_ref() == Some(principal);
                let mut found: Vec<_> = self
                    .records
                    .iter()
                    .filter(|(_, record)| of(record))
                    .map(|(key, record)| (*key, record.clone()))
                    .collect();
                // Keys are random, so two equal runs would differ in the order of the keys.
                found.sort_by_key(|(key, _)| self.names.keys.get(key).copied());
                return Ok(StoreReply::Listed(found));
            }
            StoreCall::Purge(_) => {
                self.purge(now);
                return Ok(StoreReply::Purged(Purged::default()));
            }
            StoreCall::DeleteAll(principal, keep) => {
                let before = self.records.len();
                self.records.retain(|key, record| {
                    let of = record.is_live(now) && record.principal.as_ref() == Some(principal);
                    !of || keep.as_ref() == Some(key)
                });
                return Ok(StoreReply::Removed((before - self.records.len()) as u64));
            }
            StoreCall::Create(key, record) => match live {
                Some(live) if live.version == record.version => Outcome::Done,
                Some(_) => Outcome::Exists,
                None => {
                    let mut stored = record.clone();
                    // As in a store in the application's memory, so that requests share what one of them has decoded.
                    stored.share_decoding();
                    self.records.insert(*key, stored);
                    Outcome::Done
                }
            },
            StoreCall::Save(key, expected, record) => match live {
                None => Outcome::Missing,
                Some(live) if live.version == record.version => Outcome::Done,
                Some(live) if live.version != *expected => Outcome::Conflict,
                Some(_) => {
                    self.records.entry(*key).and_modify(|stored| replace_fields(stored, record));
                    Outcome::Done
                }
            },
            StoreCall::Touch(key, expected, expires_at) => match live {
                None => Outcome::Missing,
                Some(live) if live.version != *expected => Outcome::Conflict,
                Some(live) => {
                    let later = live.expires_at.max(*expires_at);
                    if let Some(record) = self.records.get_mut(key) {
                        record.expires_at = later;
                    }
                    Outcome::Done
                }
            },
            StoreCall::Delete(key, expected) => match live {
                None => Outcome::Missing,
                Some(live) if expected.is_some_and(|expected| expected != live.version) => Outcome::Conflict,
                Some(_) => {
                    self.records.remove(key);
                    Outcome::Done
                }
            },
        };
        Ok(StoreReply::Outcome(outcome))
    }

    /// Carries out the call at `index`, and wakes its task to take the answer.
    pub(super) fn answer(&mut self, index: usize) {
        let (now, operation) = (self.pending[index].now, self.pending[index].operation.clone());
        let answer = self.carry_out(now, &operation);
        self.pending[index].answer = Some(answer);
        self.pending[index].waker.wake_by_ref();
    }

    /// Answers the call at `index` with an error. Its write may still take effect at any later step.
    pub(super) fn lose(&mut self, index: usize) {
        let call = &mut self.pending[index];
        call.answer = Some(Err(Error::fixed(ErrorKind::Unavailable, "no answer")));
        call.waker.wake_by_ref();
        if call.operation.writes() {
            let late = LateWrite { id: call.id, now: call.now, operation: call.operation.clone(), name: call.name };
            self.late.push(late);
        }
    }

    /// Carries out a late write.
    pub(super) fn arrive(&mut self, index: usize) -> Result<StoreReply> {
        let late = self.late.remove(index);
        self.carry_out(late.now, &late.operation)
    }

    /// Removes late writes that can no longer change anything, because versions never come back.
    pub(super) fn forget_dead_writes(&mut self) {
        if self.late.is_empty() {
            return;
        }
        let records = &self.records;
        self.late.retain(|late| match &late.operation {
            StoreCall::Save(key, expected, _) | StoreCall::Delete(key, Some(expected)) => {
                records.get(key).is_some_and(|record| record.version == *expected)
            }
            StoreCall::Touch(key, expected, expires_at) => {
                records.get(key).is_some_and(|record| record.version == *expected && record.expires_at < *expires_at)
            }
            StoreCall::Delete(key, None) => records.contains_key(key),
            _ => true,
        });
    }

    /// Removes the records that have expired at `now`.
    pub(super) fn purge(&mut self, now: Timestamp) {
        self.records.retain(|_, record| record.is_live(now));
    }
}

/// Replaces the fields of a stored record one by one, as a store may. The decoded form that it shares stays, and counts no more.
fn replace_fields(stored: &mut Record, record: &Record) {
    let Record { version, created_at, expires_at, principal, data, .. } = record.clone();
    (stored.version, stored.created_at, stored.expires_at) = (version, created_at, expires_at);
    (stored.principal, stored.data) = (principal, data);
}

/// A handle to the store, shared by all processes.
#[derive(Clone)]
pub(super) struct ModelStore(pub(super) Arc<Mutex<StoreState>>);

impl ModelStore {
    pub(super) fn shared(&self) -> MutexGuard<'_, StoreState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, call: &Call, operation: StoreCall) -> Calling {
        Calling { store: self.clone(), now: call.now, state: CallState::Unsent(operation) }
    }
}

impl fmt::Debug for ModelStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ModelStore")
    }
}

enum CallState {
    Unsent(StoreCall),
    Sent(u64),
    Over,
}

/// A call, sent by its first poll. A write that is dropped before it took effect may still take effect later.
struct Calling {
    store: ModelStore,
    now: Timestamp,
    state: CallState,
}

impl Future for Calling {
    type Output = Result<StoreReply>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let mut shared = this.store.shared();
        match std::mem::replace(&mut this.state, CallState::Over) {
            CallState::Unsent(operation) => {
                shared.note_call(&operation);
                if shared.at_once {
                    return Poll::Ready(shared.carry_out(this.now, &operation));
                }
                let id = shared.next_id;
                shared.next_id += 1;
                let (task, now, waker) = (shared.current_task, this.now, context.waker().clone());
                shared.unnamed.push(Unnamed::Call(id));
                shared.pending.push(PendingCall { id, task, now, operation, name: 0, answer: None, waker });
                this.state = CallState::Sent(id);
                Poll::Pending
            }
            CallState::Sent(id) => {
                let index =
                    shared.pending.iter().position(|call| call.id == id).expect("it is pending until it is over");
                match shared.pending[index].answer.is_some() {
                    true => Poll::Ready(shared.pending.remove(index).answer.expect("it is there")),
                    false => {
                        shared.pending[index].waker = context.waker().clone();
                        this.state = CallState::Sent(id);
                        Poll::Pending
                    }
                }
            }
            CallState::Over => panic!("polled after it was ready"),
        }
    }
}

impl Drop for Calling {
    fn drop(&mut self) {
        let CallState::Sent(id) = self.state else { return };
        let mut shared = self.store.shared();
        let Some(index) = shared.pending.iter().position(|call| call.id == id) else { return };
        let call = shared.pending.remove(index);
        if call.answer.is_none() && call.operation.writes() {
            shared.late.push(LateWrite { id: call.id, now: call.now, operation: call.operation, name: call.name });
        }
    }
}

#[async_trait]
impl Store for ModelStore {
    fn capabilities(&self) -> Capabilities {
        let shared = self.shared();
        let can = Capabilities::new().durable(true).shared(!shared.in_process).by_principal(true);
        can.max_data_len(shared.max_data_len)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.call(call, StoreCall::Create(*key, record.clone())).await.map(StoreReply::outcome)
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.call(call, StoreCall::Load(*key)).await.map(StoreReply::loaded)
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.call(call, StoreCall::Save(*key, expected, record.clone())).await.map(StoreReply::outcome)
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.call(call, StoreCall::Touch(*key, expected, expires_at)).await.map(StoreReply::outcome)
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.call(call, StoreCall::Delete(*key, expected)).await.map(StoreReply::outcome)
    }

    async fn purge(&self, call: &Call, _: NonZeroU32) -> Result<Purged> {
        self.shared().purge(call.now);
        Ok(Purged::default())
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.call(call, StoreCall::SessionsOf(principal.clone(), limit)).await.map(StoreReply::listed)
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.call(call, StoreCall::DeleteAll(principal.clone(), keep.copied())).await.map(StoreReply::removed)
    }
}
