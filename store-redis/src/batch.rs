//! Loads and saves of one moment on a single server, in one command each.
//!
//! A cluster's keys lie on many nodes, so each goes alone there.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use futures_util::future::join_all;
use redis::{Cmd, RedisWrite, Value};
use session_core::{Call, Error, Outcome, Record, Result, StoreKey};
use store_batch::calls::{Load, Save};
use store_batch::{Answers, Batcher, Item, Limits, RoundTrip};

use crate::error::{STRANGE, meaning};
use crate::pool::Pool;
use crate::schema::{self, Keys, Script};
use crate::{live, outcome};

/// Commands of a kind under way at once: while one travels, the next is filled. By measurement; more of them are smaller.
const IN_FLIGHT: usize = 2;

/// Keys in one command. The server does nothing else meanwhile, and a hundred saves take it less than a millisecond.
const ITEMS: usize = 128;

pub(crate) struct Batches {
    pub(crate) loads: Company<Loads>,
    pub(crate) saves: Company<Saves>,
}

impl Batches {
    pub(crate) fn new(pool: &Arc<Pool>, keys: &Keys, save_many: Script, queue: usize) -> Self {
        let limits = Limits::new().in_flight(IN_FLIGHT).items(ITEMS).queue(queue).timeout(pool.timeout());
        let (pool, keys) = (Arc::clone(pool), keys.clone());
        Self {
            loads: Company::new(Loads { pool: Arc::clone(&pool), keys: keys.clone() }, limits.clone()),
            saves: Company::new(Saves { pool, keys, script: save_many }, limits),
        }
    }
}

/// Calls of one kind. One that is alone goes its own way, without the changes of task that a batch costs.
///
/// The first call of many does not know that it is, so what was the case lately counts: a call is alone if none is under way and
/// the last one that travelled with others in mind met nobody.
pub(crate) struct Company<R: RoundTrip> {
    present: AtomicUsize,
    came: AtomicUsize,
    lately: AtomicBool,
    batcher: Batcher<R>,
}

/// A call's place among those of its kind, until it is answered.
pub(crate) struct Place<'a, R: RoundTrip> {
    company: &'a Company<R>,
    /// Which of those that came it is.
    number: usize,
    alone: bool,
}

impl<R: RoundTrip> Company<R> {
    fn new(round_trip: R, limits: Limits) -> Self {
        Self {
            present: AtomicUsize::new(0),
            came: AtomicUsize::new(0),
            lately: AtomicBool::new(false),
            batcher: Batcher::new(round_trip, limits),
        }
    }

    pub(crate) fn join(&self) -> Place<'_, R> {
        let number = self.came.fetch_add(1, Relaxed) + 1;
        let first = self.present.fetch_add(1, Relaxed) == 0;
        if !first {
            self.lately.store(true, Relaxed);
        }
        Place { company: self, number, alone: first && !self.lately.load(Relaxed) }
    }
}

impl<R: RoundTrip> Place<'_, R> {
    /// What takes it along with others, if there are any.
    pub(crate) fn batcher(&self) -> Option<&Batcher<R>> {
        (!self.alone).then_some(&self.company.batcher)
    }
}

impl<R: RoundTrip> Drop for Place<'_, R> {
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

    /// `MGET` shows what is not a string as if it was not there, and an operator should hear of that:
    /// so where nothing was found `GET` is asked, too.
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

impl RoundTrip for Loads {
    type Item = Load;

    async fn run(&self, items: &[Load]) -> Answers<Load> {
        let answers = pin!(async {
            match items {
                [only] => Ok(vec![self.get(only).await]),
                several => self.get_all(several).await,
            }
        });
        // Not again, one by one: what was wrong was the connection.
        Ok(self.pool.in_time(answers).await.unwrap_or_else(|error| failed(items, &error)))
    }
}

/// A load that goes alone.
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

/// A save. The script does one after another, so several of one key may go together.
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

impl RoundTrip for Saves {
    type Item = InTurn;

    async fn run(&self, items: &[InTurn]) -> Answers<InTurn> {
        // Not again: it may have taken effect, and an answer have been lost.
        Ok(self.pool.in_time(pin!(self.save_all(items))).await.unwrap_or_else(|error| failed(items, &error)))
    }
}

/// The answer to one write of many, where the text of an error stands for the error.
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
