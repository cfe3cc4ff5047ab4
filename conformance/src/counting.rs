//! Tasks that count up in the same sessions, and begin and end others, while servers fail. They note what was confirmed to them.
//!
//! ```
//! use std::time::Duration;
//!
//! use session_conformance::counting::Counting;
//! use session_store_memory::MemoryStore;
//! use tokio::time::Instant;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let store = MemoryStore::new();
//! let counting = Counting::start(vec![store.clone(), store.clone()]).await;
//! counting.confirmed(100).await;
//! // Here a server fails and comes back.
//! counting.finish(&[store], "in memory, nothing failed", Duration::from_secs(5), Instant::now()).await;
//! # }
//! ```

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use session_core::{Bytes, Outcome, Record, Store};
use tokio::sync::Semaphore;
use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, timeout};

use crate::fixtures::{key, now, put, record};

/// Number of sessions in which tasks count up. Each task does so in all of them.
const COUNTERS: u32 = 6;
const TASKS: u32 = 12;
/// How many steps a task takes until it begins a session, and ends it or keeps it.
const ROUND: u32 = 8;
/// How much longer than its time-out a call may take until its task runs again, on a machine that runs several servers.
const LATE: Duration = Duration::from_secs(1);

/// What one task has seen.
#[derive(Default)]
struct Seen {
    /// Counter and number of each increment that was confirmed, and when.
    confirmed: Vec<(u32, u64, Instant)>,
    /// Counter and number of each increment whose answer is not known.
    unknown: Vec<(u32, u64)>,
    /// Keys of sessions that were begun, and of those that were ended.
    begun: Vec<u32>,
    ended: Vec<u32>,
    refused: usize,
    conflicts: usize,
    slowest: Duration,
}

impl Seen {
    /// Waits for a call. Returns its answer, or `None` for an error.
    async fn call<T>(&mut self, call: impl Future<Output = session_core::Result<T>>) -> Option<T> {
        let begun = Instant::now();
        let answer = call.await;
        self.slowest = self.slowest.max(begun.elapsed());
        self.refused += usize::from(answer.is_err());
        // A store that answers without waiting would keep every other task from the thread.
        yield_now().await;
        answer.ok()
    }

    async fn count(&mut self, store: &impl Store, counter: u32) {
        let Some(old) = self.call(store.load(&now(), &key(counter))).await else { return };
        let old = old.expect("a session that nothing has ended");
        let number = number(&old) + 1;
        match self.call(store.save(&now(), &key(counter), old.version, &counting(number))).await {
            Some(Outcome::Done) => self.confirmed.push((counter, number, Instant::now())),
            Some(Outcome::Conflict) => self.conflicts += 1,
            Some(other) => panic!("a session that nothing has ended is {other:?}"),
            None => self.unknown.push((counter, number)),
        }
    }

    /// Begins a session by one store, and ends every second one by another.
    async fn begin(&mut self, one: &impl Store, other: &impl Store, n: u32) {
        let new = record(b"new");
        if self.call(one.create(&now(), &key(n), &new)).await != Some(Outcome::Done) {
            return;
        }
        if n.is_multiple_of(2) {
            self.begun.push(n);
        } else if self.call(other.delete(&now(), &key(n), None)).await == Some(Outcome::Done) {
            self.ended.push(n);
        }
    }
}

fn counting(number: u64) -> Record {
    let mut record = record(&[]);
    record.data = Bytes::copy_from_slice(&number.to_be_bytes());
    record
}

fn number(record: &Record) -> u64 {
    u64::from_be_bytes(record.data[..].try_into().expect("a number"))
}

/// Tasks that count.
pub struct Counting<S> {
    stores: Vec<S>,
    tasks: JoinSet<Seen>,
    stop: Arc<AtomicBool>,
    confirmed: Arc<Semaphore>,
}

impl<S: Store + Clone> Counting<S> {
    /// Starts tasks on these stores, which are instances on one empty namespace, such as one for each server.
    ///
    /// # Panics
    /// If the sessions cannot be created.
    pub async fn start(stores: Vec<S>) -> Self {
        for counter in 0..COUNTERS {
            put(&stores[0], counter, &counting(0)).await;
        }
        let (mut tasks, stop, confirmed) = (JoinSet::new(), Arc::<AtomicBool>::default(), Arc::new(Semaphore::new(0)));
        for task in 0..TASKS {
            let [one, other] = [0, 1].map(|at| stores[(task as usize + at) % stores.len()].clone());
            let (stop, confirmed) = (Arc::clone(&stop), Arc::clone(&confirmed));
            tasks.spawn(async move {
                let mut seen = Seen::default();
                for step in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let before = seen.confirmed.len();
                    seen.count(&one, (task + step) % COUNTERS).await;
                    confirmed.add_permits(seen.confirmed.len() - before);
                    if step % ROUND == 0 {
                        seen.begin(&one, &other, (task + 1) * 100_000 + step / ROUND).await;
                    }
                }
                seen
            });
        }
        Self { stores, tasks, stop, confirmed }
    }

    /// Returns the stores.
    pub fn stores(&self) -> &[S] {
        &self.stores
    }

    /// Waits until so many more increments are confirmed.
    ///
    /// # Panics
    /// If one of them takes longer than a minute.
    pub async fn confirmed(&self, count: usize) {
        self.forget();
        for _ in 0..count {
            let one = timeout(Duration::from_secs(60), self.confirmed.acquire()).await;
            one.expect("increments are confirmed").expect("it is never closed").forget();
        }
    }

    /// Returns how many increments were confirmed since the last call.
    pub fn forget(&self) -> usize {
        let mut forgotten = 0;
        while let Ok(one) = self.confirmed.try_acquire() {
            one.forget();
            forgotten += 1;
        }
        forgotten
    }

    /// Ends the tasks, checks by each of the stores `seen_by` what was confirmed to them, and prints a summary. `failed` is when the failure began.
    ///
    /// # Panics
    /// If something that was confirmed is lost, something that was ended is back, a number was stored that no task has sent, or a call took
    /// longer than its `time_out`.
    pub async fn finish(self, seen_by: &[impl Store], event: &str, time_out: Duration, failed: Instant) {
        self.stop.store(true, Ordering::Relaxed);
        let seen = self.tasks.join_all().await;
        let (mut numbers, mut unknown) = (HashMap::<u32, HashSet<u64>>::new(), HashMap::<u32, HashSet<u64>>::new());
        for (counter, number, _) in seen.iter().flat_map(|seen| &seen.confirmed) {
            assert!(numbers.entry(*counter).or_default().insert(*number), "{event}: {number} was confirmed twice");
        }
        for (counter, number) in seen.iter().flat_map(|seen| &seen.unknown) {
            unknown.entry(*counter).or_default().insert(*number);
        }
        let confirmed: usize = numbers.values().map(HashSet::len).sum();
        let mut unanswered = 0;
        for (node, store) in seen_by.iter().enumerate() {
            unanswered = 0;
            for counter in 0..COUNTERS {
                let stored = store.load(&now(), &key(counter)).await.expect("a load").expect("a session");
                let (numbers, unknown) = (&numbers[&counter], unknown.get(&counter));
                let lost = numbers.iter().filter(|confirmed| **confirmed > number(&stored)).count();
                assert_eq!(lost, 0, "{event}: confirmed increments are lost by store {node}");
                for number in (1..=number(&stored)).filter(|number| !numbers.contains(number)) {
                    let is_unknown = unknown.is_some_and(|unknown| unknown.contains(&number));
                    assert!(is_unknown, "{event}: store {node} has {number}, which no task has stored");
                    unanswered += 1;
                }
            }
            for n in seen.iter().flat_map(|seen| &seen.begun) {
                assert!(store.load(&now(), &key(*n)).await.expect("a load").is_some(), "{event}: a session is lost");
            }
            for n in seen.iter().flat_map(|seen| &seen.ended) {
                assert!(store.load(&now(), &key(*n)).await.expect("a load").is_none(), "{event}: a session is back");
            }
        }
        let slowest = seen.iter().map(|seen| seen.slowest).max().unwrap_or_default();
        let mut times: Vec<_> = seen.iter().flat_map(|seen| &seen.confirmed).map(|(_, _, at)| *at).collect();
        times.sort_unstable();
        let gap = times.windows(2).filter(|two| two[1] > failed).map(|two| two[1] - two[0]).max().unwrap_or_default();
        let sum = |count: fn(&Seen) -> usize| seen.iter().map(count).sum::<usize>();
        println!(
            "summary: {event}: {confirmed} increments confirmed, 0 of them lost; {unanswered} more stored without an answer; \
             {} sessions kept, {} ended, 0 of them back; {} calls refused, {} conflicts; none served for {} ms; \
             slowest call {} ms of {} ms",
            sum(|seen| seen.begun.len()),
            sum(|seen| seen.ended.len()),
            sum(|seen| seen.refused),
            sum(|seen| seen.conflicts),
            gap.as_millis(),
            slowest.as_millis(),
            time_out.as_millis(),
        );
        assert!(slowest < time_out + LATE, "{event}: a call took {slowest:?}");
    }
}
