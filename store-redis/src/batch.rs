//! Batches of concurrent loads and of concurrent saves on a single server, each sent as one command.
//!
//! On a cluster every call is sent separately, because the keys are on many nodes.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use futures_util::future::join_all;
use redis::{Cmd, RedisWrite, Value};
use session_core::{Call, Error, Outcome, Record, Result, StoreKey};
use session_store_kit::batch::{Answers, Batcher, Item, Limits, RoundTrip};
use session_store_kit::operations::{Load, Save};

use crate::error::{STRANGE, meaning};
use crate::pool::Pool;
use crate::schema::{self, Keys, Script};
use crate::{live, outcome};

/// Maximum number of batches of one kind in flight: while one is in flight, the next fills. Measured; with more, batches are smaller.
const IN_FLIGHT: usize = 2;

/// Maximum number of keys in one command. The server does nothing else meanwhile; a hundred saves take it less than a millisecond.
const ITEMS: usize = 128;

pub(crate) struct Batches {
    pub(crate) loads: Company<Loads, Load>,
    pub(crate) saves: Company<Saves, InTurn>,
}

impl Batches {
    pub(crate) fn new(pool: &Arc<Pool>, keys: &Keys, save_many: Script, queue: usize) -> Self {
        let limits = Limits::for_tasks(IN_FLIGHT).items(ITEMS).queue(queue).timeout(pool.timeout());
        let (pool, keys) = (Arc::clone(pool), keys.clone());
        Self {
            loads: Company::new(Loads { pool: Arc::clone(&pool), keys: keys.clone() }, limits.clone()),
            saves: Company::new(Saves { pool, keys, script: save_many }, limits),
        }
    }
}

/// Calls of one kind. A call without concurrent calls is sent directly, to save the task switches of a batch.
///
/// The first of many concurrent calls cannot know that others follow, so recent calls decide.
/// A call is sent directly if none is in flight and no calls have overlapped lately.
/// The overlap is forgotten when the call that started last ends.
pub(crate) struct Company<R, I: Item> {
    /// Number of calls in flight.
    present: AtomicUsize,
    /// Number of calls started so far.
    came: AtomicUsize,
    /// Whether calls have overlapped lately.
    lately: AtomicBool,
    batcher: Batcher<R, I>,
}

/// A call's registration among those of its kind, until it is answered.
pub(crate) struct Place<'a, R, I: Item> {
    company: &'a Company<R, I>,
    /// Number of the call in the order of arrival.
    number: usize,
    alone: bool,
}

impl<I: Item, R: RoundTrip<I>> Company<R, I> {
    fn new(round_trip: R, limits: Limits) -> Self {
        Self {
            present: AtomicUsize::new(0),
            came: AtomicUsize::new(0),
            lately: AtomicBool::new(false),
            batcher: Batcher::new(round_trip, limits),
        }
    }

    pub(crate) fn join(&self) -> Place<'_, R, I> {
        let number = self.came.fetch_add(1, Relaxed) + 1;
        let first = self.present.fetch_add(1, Relaxed) == 0;
        if !first {
            self.lately.store(true, Relaxed);
        }
        Place { company: self, number, alone: first && !self.lately.load(Relaxed) }
    }
}

impl<R, I: Item> Place<'_, R, I> {
    /// Returns the batcher to send the call with, or `None` if it must be sent directly.
    pub(crate) fn batcher(&self) -> Option<&Batcher<R, I>> {
        (!self.alone).then_some(&self.company.batcher)
    }
}

impl<R, I: Item> Drop for Place<'_, R, I> {
    fn drop(&mut self) {
        self.company.present.fetch_sub(1, Relaxed);
        if self.company.came.load(Relaxed) == self.number {
            self.company.lately.store(false, Relaxed);
        }
    }
}

pub(crate) struct Loads {
    pool: Arc<Pool>,
    keys: Keys,
}

impl Loads {
    async fn get(&self, load: &Load) -> Result<Option<Record>> {
        get(&self.pool, &self.keys, load).await
    }

    /// Loads all items with one `MGET`.
    ///
    /// `MGET` reports a key of another type as missing. Each missing key is read again with `GET`, whose error tells the operator.
    async fn get_all(&self, items: &[Load]) -> Result<Vec<Result<Option<Record>>>> {
        let names = self.keys.names(items.iter().map(|item| &item.key));
        let mut get = Cmd::with_capacity(1 + items.len(), 4 + names.len());
        get.arg("MGET");
        for name in self.keys.each(&names) {
            get.arg(name);
        }
        let Value::Array(answers) = self.pool.send(&names, &get).await? else { return Err(STRANGE) };
        let mut records = Vec::with_capacity(items.len());
        let mut absent = Vec::new();
        for (item, answer) in items.iter().zip(answers) {
            if answer == Value::Nil {
                absent.push((records.len(), item));
            }
            records.push(live(&Call::new(item.now), answer));
        }
        let looks = absent.into_iter().map(async |(at, item)| (at, self.get(item).await));
        for (at, record) in join_all(looks).await {
            records[at] = record;
        }
        Ok(records)
    }
}

impl RoundTrip<Load> for Loads {
    async fn run(&self, items: &[Load]) -> Answers<Load> {
        let answers = pin!(async {
            match items {
                [only] => Ok(vec![self.get(only).await]),
                several => self.get_all(several).await,
            }
        });
        // Not retried separately, because the error is one of the connection.
        Ok(self.pool.in_time(answers).await.unwrap_or_else(|error| failed(items, &error)))
    }
}

/// Sends a load on its own, outside a batch.
pub(crate) async fn get(pool: &Pool, keys: &Keys, load: &Load) -> Result<Option<Record>> {
    let name = keys.record(&load.key);
    let answer = pool.send(&name, Cmd::new().arg("GET").arg(&name)).await?;
    live(&Call::new(load.now), answer)
}

pub(crate) struct Saves {
    pool: Arc<Pool>,
    keys: Keys,
    script: Script,
}

/// A save in a batch. The script executes the saves in order, so a batch may hold several for one key.
pub(crate) struct InTurn(pub(crate) Save);

impl Item for InTurn {
    type Output = Outcome;

    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Saves {
    async fn save_all(&self, items: &[InTurn]) -> Result<Vec<Result<Outcome>>> {
        let names = self.keys.names(items.iter().map(|InTurn(save)| &save.key));
        let keys: Vec<_> = self.keys.each(&names).collect();
        let answers = self.pool.run(&self.script, &keys, |command| {
            command.reserve_space_for_args(items.iter().flat_map(|save| [save.len(), 0, 0, 0]));
            let mut encoded = Vec::new();
            for InTurn(Save { now, expected, record, .. }) in items {
                encoded.clear();
                schema::encode_into(&mut encoded, record);
                command.arg(now.as_millis()).arg(&encoded).arg(schema::expiry(record.expires_at));
                command.arg(&schema::version(*expected)[..]);
            }
        });
        let Value::Array(answers) = answers.await? else { return Err(STRANGE) };
        Ok(answers.into_iter().map(told).collect())
    }
}

impl RoundTrip<InTurn> for Saves {
    async fn run(&self, items: &[InTurn]) -> Answers<InTurn> {
        // Not retried, because the saves may have been executed and only the answer lost.
        Ok(self.pool.in_time(pin!(self.save_all(items))).await.unwrap_or_else(|error| failed(items, &error)))
    }
}

/// Converts the answer for one save of a batch. An error is returned as its text.
fn told(answer: Value) -> Result<Outcome> {
    let Value::BulkString(text) = answer else { return outcome(answer) };
    let reply = [b"-", &text[..], b"\r\n"].concat();
    match redis::parse_redis_value(&reply).and_then(Value::extract_error) {
        Err(error) => Err(meaning(&error)),
        Ok(_) => Err(STRANGE),
    }
}

fn failed<I, T>(items: &[I], error: &Error) -> Vec<Result<T>> {
    items.iter().map(|_| Err(error.clone())).collect()
}
