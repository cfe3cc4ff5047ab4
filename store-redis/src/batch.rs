//! Batches of concurrent loads and of concurrent saves on a single server, each sent as one command.
//!
//! On a cluster every call is sent separately, because the keys are on many nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use futures_util::future::join_all;
use redis::{Cmd, RedisWrite, Value};
use session_core::{Call, Error, Outcome, Record, Result};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Answers, Batcher, Item, Limits, RoundTrip, Trip};
use session_store_kit::operations::{Load, Save};
use tokio::time::timeout_at;

use crate::error::{Moment, UNEXPECTED_REPLY, driver_error};
use crate::keys::Keys;
use crate::record::{self, live};
use crate::router::Router;
use crate::scripts::{Script, outcome};

/// Maximum number of batches of one kind in flight: while one is in flight, the next fills. Measured; with more, batches are smaller.
const BATCHES: usize = 2;

/// Maximum number of keys in one command. The server does nothing else meanwhile; a hundred saves take it less than a millisecond.
const KEYS: usize = 128;

pub(crate) struct Batches {
    pub(crate) loads: ConcurrentCalls<Loads, Load>,
    pub(crate) saves: ConcurrentCalls<Saves, Save>,
}

impl Batches {
    pub(crate) fn new(router: &Arc<Router>, keys: &Keys, save_many: Script, queue: usize) -> Self {
        let limits = Limits::for_tasks(BATCHES).items(KEYS).queue(queue).timeout(router.timeout());
        let (router, keys) = (Arc::clone(router), keys.clone());
        Self {
            loads: ConcurrentCalls::new(Loads { router: Arc::clone(&router), keys: keys.clone() }, limits.clone()),
            saves: ConcurrentCalls::new(Saves { router, keys, script: save_many }, limits),
        }
    }

    /// Lets no further call in, and waits for those that wait or are in flight.
    pub(crate) async fn close(&self) {
        for calls in [self.loads.batcher.close(), self.saves.batcher.close()] {
            calls.ended().await;
        }
    }
}

/// Calls of one kind. A call without concurrent calls is sent directly, to save the task switches of a batch.
///
/// The batcher's own inline execution is not used, because it allocates a task, a channel and a batch for each call.
/// Measured at one task, it took 17 % more of the client's time per load, and 20 % more per load with a save.
///
/// The first of many concurrent calls cannot know that others follow, so recent calls decide.
/// A call is sent directly if none is in flight and no calls have overlapped lately.
/// The overlap is forgotten when the call that started last ends.
pub(crate) struct ConcurrentCalls<R, I: Item> {
    in_flight: AtomicUsize,
    /// Number of calls started so far.
    started: AtomicUsize,
    /// Whether calls have overlapped lately.
    overlapped: AtomicBool,
    batcher: Batcher<R, I>,
}

/// Registration of a call among those of its kind, until it is answered.
pub(crate) struct InFlight<'a, R, I: Item> {
    calls: &'a ConcurrentCalls<R, I>,
    /// Number of the call in the order of arrival.
    number: usize,
    direct: bool,
}

impl<I: Item, R: RoundTrip<I>> ConcurrentCalls<R, I> {
    fn new(round_trip: R, limits: Limits) -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            started: AtomicUsize::new(0),
            overlapped: AtomicBool::new(false),
            batcher: Batcher::new(round_trip, limits),
        }
    }

    pub(crate) fn begin(&self) -> InFlight<'_, R, I> {
        let number = self.started.fetch_add(1, Relaxed) + 1;
        let first = self.in_flight.fetch_add(1, Relaxed) == 0;
        if !first {
            self.overlapped.store(true, Relaxed);
        }
        InFlight { calls: self, number, direct: first && !self.overlapped.load(Relaxed) }
    }
}

impl<R, I: Item> InFlight<'_, R, I> {
    /// Returns the batcher to send the call with, or `None` if it must be sent directly.
    pub(crate) fn batcher(&self) -> Option<&Batcher<R, I>> {
        (!self.direct).then_some(&self.calls.batcher)
    }
}

impl<R, I: Item> Drop for InFlight<'_, R, I> {
    fn drop(&mut self) {
        self.calls.in_flight.fetch_sub(1, Relaxed);
        if self.calls.started.load(Relaxed) == self.number {
            self.calls.overlapped.store(false, Relaxed);
        }
    }
}

pub(crate) struct Loads {
    router: Arc<Router>,
    keys: Keys,
}

impl Loads {
    async fn get(&self, load: &Load) -> Result<Option<Record>> {
        get(&self.router, &self.keys, load).await
    }

    /// Loads all items with one `MGET`.
    ///
    /// `MGET` reports a key of another type as missing. Each missing key is read again with `GET`, whose error tells the operator.
    async fn get_all(&self, items: &[Load]) -> Result<Vec<Result<Option<Record>>>> {
        let names = self.keys.record_names(items.iter().map(|item| &item.key));
        let mut get = Cmd::with_capacity(1 + items.len(), 4 + names.len());
        get.arg("MGET");
        for name in self.keys.split_names(&names) {
            get.arg(name);
        }
        let Value::Array(answers) = self.router.send(&names, &get).await? else { return Err(UNEXPECTED_REPLY) };
        let mut records = Vec::with_capacity(items.len());
        let mut absent = Vec::new();
        for (item, answer) in items.iter().zip(answers) {
            if answer == Value::Nil {
                absent.push((records.len(), item));
            }
            records.push(live(&Call::new(item.now), answer));
        }
        let reads = absent.into_iter().map(async |(at, item)| (at, self.get(item).await));
        for (at, record) in join_all(reads).await {
            records[at] = record;
        }
        Ok(records)
    }
}

impl RoundTrip<Load> for Loads {
    async fn run(&self, items: &[Load], trip: Trip) -> Answers<Load> {
        let answers = timeout_at(trip.deadline, async {
            match items {
                [only] => Ok(vec![self.get(only).await]),
                several => self.get_all(several).await,
            }
        });
        // Not retried separately, because the error is one of the connection.
        Ok(answers.await.unwrap_or(Err(TIMED_OUT)).unwrap_or_else(|error| fail_all(items, &error)))
    }
}

/// Sends a load on its own, outside a batch.
pub(crate) async fn get(router: &Router, keys: &Keys, load: &Load) -> Result<Option<Record>> {
    let name = keys.record(&load.key);
    let answer = router.send(&name, Cmd::new().arg("GET").arg(&name)).await?;
    live(&Call::new(load.now), answer)
}

pub(crate) struct Saves {
    router: Arc<Router>,
    keys: Keys,
    script: Script,
}

impl Saves {
    async fn save_all(&self, items: &[Save]) -> Result<Vec<Result<Outcome>>> {
        let names = self.keys.record_names(items.iter().map(|save| &save.key));
        let keys: Vec<_> = self.keys.split_names(&names).collect();
        let answers = self.router.run(&self.script, &keys, |command| {
            command.reserve_space_for_args(items.iter().flat_map(|save| [save.len(), 0, 0, 0]));
            let mut encoded = Vec::new();
            for Save { now, expected, record, .. } in items {
                encoded.clear();
                record::encode_into(&mut encoded, record);
                command.arg(now.as_millis()).arg(&encoded).arg(record::expiry(record.expires_at));
                command.arg(&record::version(*expected)[..]);
            }
        });
        let Value::Array(answers) = answers.await? else { return Err(UNEXPECTED_REPLY) };
        Ok(answers.into_iter().map(save_outcome).collect())
    }
}

impl RoundTrip<Save> for Saves {
    async fn run(&self, items: &[Save], trip: Trip) -> Answers<Save> {
        // Not retried, because the saves may have been executed and only the answer lost.
        let answers = timeout_at(trip.deadline, self.save_all(items)).await.unwrap_or(Err(TIMED_OUT));
        Ok(answers.unwrap_or_else(|error| fail_all(items, &error)))
    }
}

/// Converts the answer for one save of a batch. An error is returned as its text.
fn save_outcome(answer: Value) -> Result<Outcome> {
    let Value::BulkString(text) = answer else { return outcome(answer) };
    let reply = [b"-", &text[..], b"\r\n"].concat();
    match redis::parse_redis_value(&reply).and_then(Value::extract_error) {
        Err(error) => Err(driver_error(&error, Moment::InUse)),
        Ok(_) => Err(UNEXPECTED_REPLY),
    }
}

fn fail_all<I, T>(items: &[I], error: &Error) -> Vec<Result<T>> {
    items.iter().map(|_| Err(error.clone())).collect()
}
