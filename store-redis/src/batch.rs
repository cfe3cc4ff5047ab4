//! Loads and saves of one moment on a single server, in one command each.
//!
//! A cluster's keys lie on many nodes, so each goes alone there.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use redis::{Cmd, Value};
use session_core::{Call, Error, Outcome, Record, Result};
use store_batch::calls::{Load, Save};
use store_batch::{Answers, Batcher, Limits, RoundTrip};

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
pub(crate) struct Company<R: RoundTrip> {
    present: AtomicUsize,
    batcher: Batcher<R>,
}

/// A call's place among those of its kind, until it is answered.
pub(crate) struct Place<'a, R: RoundTrip> {
    company: &'a Company<R>,
    alone: bool,
}

impl<R: RoundTrip> Company<R> {
    fn new(round_trip: R, limits: Limits) -> Self {
        Self { present: AtomicUsize::new(0), batcher: Batcher::new(round_trip, limits) }
    }

    pub(crate) fn join(&self) -> Place<'_, R> {
        let alone = self.present.fetch_add(1, Ordering::Relaxed) == 0;
        Place { company: self, alone }
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
        self.company.present.fetch_sub(1, Ordering::Relaxed);
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
        let mut get = redis::cmd("MGET");
        let mut any = Vec::new();
        for item in items {
            any = self.keys.record(&item.key);
            get.arg(&any);
        }
        let Value::Array(answers) = self.pool.send(&any, &get).await? else { return Err(STRANGE) };
        Ok(join_all(items.iter().zip(answers).map(|(item, answer)| self.judge(item, answer))).await)
    }

    async fn judge(&self, item: &Load, answer: Value) -> Result<Option<Record>> {
        match answer {
            Value::Nil => self.get(item).await,
            answer => live(&Call::new(item.now), answer),
        }
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

impl Saves {
    async fn save_all(&self, items: &[Save]) -> Result<Vec<Result<Outcome>>> {
        let names: Vec<_> = items.iter().map(|item| self.keys.record(&item.key)).collect();
        let answers = self.pool.run(&self.script, &names, |command| {
            for Save { now, expected, record, .. } in items {
                command.arg(now.as_millis()).arg(schema::encode(record)).arg(schema::expiry(record.expires_at));
                command.arg(&schema::version(*expected)[..]);
            }
        });
        let Value::Array(answers) = answers.await? else { return Err(STRANGE) };
        Ok(answers.into_iter().map(told).collect())
    }
}

impl RoundTrip for Saves {
    type Item = Save;

    async fn run(&self, items: &[Save]) -> Answers<Save> {
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
