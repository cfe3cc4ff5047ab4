//! A wrapper of a store that stops an operation at a named point, or loses its reply.
//!
//! A test decides the order of concurrent requests with it, without sleeping.
//!
//! ```
//! use std::sync::Arc;
//!
//! use session_conformance::gate::{Gate, Operation, Point};
//! use session_core::{NullStore, Store};
//!
//! # async fn example() {
//! let gate = Gate::around(NullStore);
//! let held = gate.hold(Operation::Save, Point::Before);
//! // … a task calls `save`. When `arrived` returns, the call has not reached the store yet.
//! held.arrived().await;
//! // … do what must happen before the save …
//! held.release();
//! # }
//! ```

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use session_core::{
    Call, Capabilities, Cursor, Error, ErrorKind, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version,
};
use tokio::sync::watch;

/// Operations of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operation {
    /// [`Store::create`].
    Create,
    /// [`Store::load`].
    Load,
    /// [`Store::save`].
    Save,
    /// [`Store::touch`].
    Touch,
    /// [`Store::delete`].
    Delete,
    /// [`Store::purge`].
    Purge,
    /// [`Store::sessions_of`].
    SessionsOf,
    /// [`Store::delete_all`].
    DeleteAll,
    /// [`Store::scan`].
    Scan,
}

/// Point at which an operation is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Point {
    /// Before the operation reaches the store.
    Before,
    /// After the store has carried out the operation, before the caller gets the answer.
    After,
}

/// Fault of one operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The operation never reaches the store; the caller gets `Unavailable`.
    LostRequest,
    /// The store carries out the operation; the caller gets `Unavailable`.
    LostReply,
}

/// Number of calls of each operation.
type Counts = [u64; 9];

#[derive(Debug)]
enum Rule {
    Stop(Point, Arc<watch::Sender<Stage>>),
    Fail(Fault),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Waiting,
    Arrived,
    Released,
}

#[derive(Debug, Default)]
struct Rules {
    queue: VecDeque<(Operation, Rule)>,
    counts: Counts,
}

/// A store around another one that can hold or break its operations. Clones share their rules.
#[derive(Clone, Debug)]
pub struct Gate {
    inner: Arc<dyn Store>,
    rules: Arc<Mutex<Rules>>,
}

/// A hold on one operation. Dropping it releases the operation.
#[derive(Debug)]
pub struct Hold(Arc<watch::Sender<Stage>>);

impl Hold {
    /// Waits until an operation is stopped at the point.
    pub async fn arrived(&self) {
        // The sender lives as long as `self`, so the wait ends only with the stage.
        let _ = self.0.subscribe().wait_for(|stage| *stage >= Stage::Arrived).await;
    }

    /// Releases the operation.
    pub fn release(self) {
        drop(self);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.0.send_replace(Stage::Released);
    }
}

impl Gate {
    /// Wraps `store`. Every operation passes until a rule is added.
    pub fn around(store: impl Store) -> Self {
        Self { inner: Arc::new(store), rules: Arc::default() }
    }

    /// Stops the next `operation` for which no earlier rule waits.
    pub fn hold(&self, operation: Operation, point: Point) -> Hold {
        let stage = Arc::new(watch::Sender::new(Stage::Waiting));
        self.add(operation, Rule::Stop(point, Arc::clone(&stage)));
        Hold(stage)
    }

    /// Breaks the next `operation` for which no earlier rule waits.
    ///
    /// ```
    /// use session_conformance::gate::{Fault, Gate, Operation};
    /// use session_core::{Call, ErrorKind, NullStore, SessionId, Store, StoreKey, Timestamp};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() {
    /// let gate = Gate::around(NullStore);
    /// gate.fail(Operation::Load, Fault::LostReply);
    /// let (call, key) = (Call::new(Timestamp::MIN), StoreKey::derive("id", &SessionId::random()));
    /// assert_eq!(gate.load(&call, &key).await.unwrap_err().kind(), ErrorKind::Unavailable);
    /// assert_eq!(gate.load(&call, &key).await.unwrap(), None);
    /// assert_eq!(gate.count(Operation::Load), 2);
    /// # }
    /// ```
    pub fn fail(&self, operation: Operation, fault: Fault) {
        self.add(operation, Rule::Fail(fault));
    }

    /// Returns how many times `operation` was called so far.
    pub fn count(&self, operation: Operation) -> u64 {
        self.rules().counts[operation as usize]
    }

    fn add(&self, operation: Operation, rule: Rule) {
        self.rules().queue.push_back((operation, rule));
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the operation, and removes and returns the first rule for it.
    fn next_rule(&self, operation: Operation) -> Option<Rule> {
        let mut rules = self.rules();
        rules.counts[operation as usize] += 1;
        let at = rules.queue.iter().position(|(about, _)| *about == operation)?;
        rules.queue.remove(at).map(|(_, rule)| rule)
    }

    async fn pass<T>(&self, operation: Operation, call: impl Future<Output = Result<T>>) -> Result<T> {
        const LOST: Error = Error::fixed(ErrorKind::Unavailable, "lost on the way, as the test wished");
        match self.next_rule(operation) {
            None => call.await,
            Some(Rule::Fail(Fault::LostRequest)) => Err(LOST),
            Some(Rule::Fail(Fault::LostReply)) => call.await.and(Err(LOST)),
            Some(Rule::Stop(Point::Before, stage)) => {
                stand(&stage).await;
                call.await
            }
            Some(Rule::Stop(Point::After, stage)) => {
                let answer = call.await;
                stand(&stage).await;
                answer
            }
        }
    }
}

/// Marks the operation as arrived, and waits until it is released.
async fn stand(stage: &watch::Sender<Stage>) {
    stage.send_if_modified(|stage| {
        let first = *stage == Stage::Waiting;
        if first {
            *stage = Stage::Arrived;
        }
        first
    });
    let _ = stage.subscribe().wait_for(|stage| *stage == Stage::Released).await;
}

#[async_trait]
impl Store for Gate {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.pass(Operation::Create, self.inner.create(call, key, record)).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.pass(Operation::Load, self.inner.load(call, key)).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.pass(Operation::Save, self.inner.save(call, key, expected, record)).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.pass(Operation::Touch, self.inner.touch(call, key, expected, expires_at)).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.pass(Operation::Delete, self.inner.delete(call, key, expected)).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.pass(Operation::Purge, self.inner.purge(call, limit)).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.pass(Operation::SessionsOf, self.inner.sessions_of(call, principal, limit)).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.pass(Operation::DeleteAll, self.inner.delete_all(call, principal, keep)).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.pass(Operation::Scan, self.inner.scan(call, after, limit)).await
    }

    async fn close(&self) -> Result<()> {
        self.inner.close().await
    }
}

#[cfg(test)]
mod tests {
    use session_core::{NullStore, SessionId};

    use super::*;

    const CALL: Call = Call::new(Timestamp::MIN);

    fn key() -> StoreKey {
        StoreKey::derive("gate", &SessionId::random())
    }

    #[tokio::test]
    async fn an_operation_stands_until_it_is_released() {
        let gate = Gate::around(NullStore);
        let held = gate.hold(Operation::Load, Point::Before);
        let task = tokio::spawn({
            let gate = gate.clone();
            async move { gate.load(&CALL, &key()).await }
        });
        held.arrived().await;
        assert!(!task.is_finished());
        assert_eq!(gate.load(&CALL, &key()).await.unwrap(), None, "only one operation is held");
        held.release();
        assert_eq!(task.await.unwrap().unwrap(), None);
        assert_eq!(gate.count(Operation::Load), 2);
    }

    #[tokio::test]
    async fn a_lost_reply_is_an_outage() {
        let gate = Gate::around(NullStore);
        gate.fail(Operation::Touch, Fault::LostReply);
        let lost = gate.touch(&CALL, &key(), Version::random(), Timestamp::MAX).await.unwrap_err();
        assert_eq!(lost.kind(), ErrorKind::Unavailable);
        assert_eq!(gate.touch(&CALL, &key(), Version::random(), Timestamp::MAX).await.unwrap(), Outcome::Missing);
    }
}
