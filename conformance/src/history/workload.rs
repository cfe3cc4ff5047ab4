//! Tasks that run random operations on a few keys and record the history.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use session_core::{Call, Outcome, Record, Store, StoreKey, Timestamp, Version, hours};
use tokio::sync::Barrier;

use super::checker::Checker;
use super::contract::{Event, KeyOperation, Response};
use crate::check::ensure;
use crate::context::{Instance, key};
use crate::proxy::Proxy;
use crate::{Failure, Verdict};

/// Extent of a random history, and its seed.
///
/// ```
/// let mut plan = session_conformance::history::Plan::new(7, 2_000);
/// plan.tasks = 4;
/// assert_eq!((plan.seed, plan.keys), (7, 3));
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// Seed of the choices. The interleaving may differ between runs with the same seed.
    pub seed: u64,
    /// Total number of operations.
    pub operations: usize,
    /// Number of concurrent tasks.
    pub tasks: usize,
    /// Number of keys in use at a time.
    pub keys: usize,
    /// Number of operations of one task between two quiet points.
    pub burst: usize,
}

impl Plan {
    /// Creates a plan with 8 tasks on 3 keys, and 4 operations of each task between two quiet points.
    pub fn new(seed: u64, operations: usize) -> Self {
        Self { seed, operations, tasks: 8, keys: 3, burst: 4 }
    }

    /// Creates a plan from `CONFORMANCE_SEED` and `CONFORMANCE_HISTORY_OPS`.
    /// The defaults are a random seed and `operations`.
    pub fn from_env(operations: usize) -> Self {
        let number = |name| std::env::var(name).ok().and_then(|text: String| text.trim().parse::<u64>().ok());
        let operations = number("CONFORMANCE_HISTORY_OPS").and_then(|n| usize::try_from(n).ok()).unwrap_or(operations);
        Self::new(number("CONFORMANCE_SEED").unwrap_or_else(rand::random), operations)
    }
}

/// Number of rounds after which the keys are replaced by fresh ones.
const ROUNDS_PER_KEYS: usize = 12;

/// Number of unknown outcomes after which a key is no longer used. The search doubles with each of them.
const MOST_UNKNOWN: usize = 4;

/// One in this number of operations breaks the network, if there is a proxy.
const CALM: u32 = 60;

/// Plays on two instances, from `start` by the caller's clock, and checks every round.
///
/// Both instances must be behind `network`, if there is one. Connections are then reset and replies lost at random.
///
/// ```
/// use std::sync::Arc;
///
/// use session_conformance::history::{Plan, run};
/// use session_core::{Clock as _, Store, SystemClock};
/// use session_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "multi_thread", worker_threads = 2)] async fn main() -> Result<(), session_conformance::Failure> {
/// let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
/// run([store.clone(), store], SystemClock.now(), &Plan::new(7, 500), None).await?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The first window that no order explains, with the seed.
pub async fn run(stores: [Arc<dyn Store>; 2], start: Timestamp, plan: &Plan, network: Option<&Arc<Proxy>>) -> Verdict {
    // Printed whether the run fails or not, so that a run that fails elsewhere can be repeated.
    // One write, because other clauses print at the same time.
    let name = if network.is_some() { "history.cuts" } else { "history.random" };
    eprint!("{}", format_args!("{name}: CONFORMANCE_SEED={} over {} operations\n", plan.seed, plan.operations));
    let with_seed = |failure: Failure| Failure::new(format!("{failure}replay with CONFORMANCE_SEED={}", plan.seed));
    let mut rng = StdRng::seed_from_u64(plan.seed);
    let shared = Arc::new(SharedState::new(plan.keys));
    let (mut now, mut played, mut round) = (start, 0, 0);
    while played < plan.operations {
        if round % ROUNDS_PER_KEYS == 0 {
            shared.change_keys();
        }
        let before = played;
        for event in run_round(&stores, &shared, now, plan, network, &mut rng).await.map_err(with_seed)? {
            played += event;
        }
        ensure!(played > before, "a round of the history played nothing");
        shared.check_round().map_err(with_seed)?;
        // Some records expire between two rounds by the caller's clock, and so at a quiet point.
        now = now.plus(Duration::from_millis(rng.random_range(0..4)));
        round += 1;
    }
    shared.eventful(played).map_err(with_seed)
}

/// State that the tasks share.
struct SharedState {
    clock: AtomicU64,
    histories: Vec<Mutex<KeyHistory>>,
    done: [AtomicU64; 5],
}

/// One key, and its history so far.
struct KeyHistory {
    key: StoreKey,
    checker: Checker,
    window: Vec<Event>,
    /// Every record written under the key, by version, which loads must match.
    written: HashMap<Version, Record>,
    /// Versions that were seen, the latest last.
    seen: Vec<Version>,
    /// The last save, to be sent again.
    last_save: Option<(Version, Version)>,
}

impl KeyHistory {
    fn new() -> Self {
        Self {
            key: key(),
            checker: Checker::new(),
            window: Vec::new(),
            written: HashMap::new(),
            seen: Vec::new(),
            last_save: None,
        }
    }
}

impl KeyHistory {
    /// Returns the number of operations of unknown outcome, including those of this window.
    fn unknown(&self) -> usize {
        self.checker.unknown() + self.window.iter().filter(|event| event.answer == Response::Unknown).count()
    }
}

impl SharedState {
    fn new(histories: usize) -> Self {
        Self {
            clock: AtomicU64::new(0),
            histories: (0..histories).map(|_| Mutex::new(KeyHistory::new())).collect(),
            done: Default::default(),
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn history(&self, n: usize) -> std::sync::MutexGuard<'_, KeyHistory> {
        self.histories[n].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_keys(&self) {
        (0..self.histories.len()).for_each(|n| *self.history(n) = KeyHistory::new());
    }

    fn check_round(&self) -> Verdict {
        for n in 0..self.histories.len() {
            let mut history = self.history(n);
            let window = std::mem::take(&mut history.window);
            history.checker.extend(window).map_err(|anomaly| Failure::new(anomaly.to_string()))?;
            if history.checker.unknown() >= MOST_UNKNOWN {
                *history = KeyHistory::new();
            }
        }
        Ok(())
    }

    /// Checks that each kind of operation succeeded, because a history without successes proves nothing.
    fn eventful(&self, played: usize) -> Verdict {
        let names = ["create", "load that showed a record", "save", "touch", "delete"];
        for (name, count) in names.iter().zip(&self.done) {
            let count = count.load(Ordering::Relaxed);
            ensure!(played < 1_000 || count > 0, "of {played} random operations not one was a successful {name}\n");
        }
        Ok(())
    }
}

/// Runs all tasks, `burst` operations each. Returns the number of operations of each task.
async fn run_round(
    stores: &[Instance; 2],
    shared: &Arc<SharedState>,
    now: Timestamp,
    plan: &Plan,
    network: Option<&Arc<Proxy>>,
    rng: &mut StdRng,
) -> Result<Vec<usize>, Failure> {
    let start = Arc::new(Barrier::new(plan.tasks));
    let tasks: Vec<_> = (0..plan.tasks)
        .map(|task| {
            let (store, shared, start) = (Arc::clone(&stores[task % 2]), Arc::clone(shared), Arc::clone(&start));
            let (mut rng, burst) = (StdRng::seed_from_u64(rng.random()), plan.burst);
            let network = network.map(Arc::clone);
            tokio::spawn(async move {
                start.wait().await;
                for _ in 0..burst {
                    if let Some(network) = &network {
                        disturb(network, &mut rng);
                    }
                    step(&*store, &shared, task, now, &mut rng).await?;
                }
                Ok(burst)
            })
        })
        .collect();
    let mut played = Vec::new();
    for task in tasks {
        match task.await {
            Ok(steps) => played.push(steps?),
            Err(broken) if broken.is_panic() => std::panic::resume_unwind(broken.into_panic()),
            // The runtime ends, so the failure is not reported any more.
            Err(_) => return Err(Failure::new("a task of the history was cancelled\n")),
        }
    }
    Ok(played)
}

/// Breaks connections now and then.
fn disturb(network: &Proxy, rng: &mut StdRng) {
    match rng.random_range(0..CALM) {
        0 => network.forget(),
        1 => network.lose_reply(),
        _ => {}
    }
}

/// Runs a random operation on a random key.
async fn step(store: &dyn Store, shared: &SharedState, task: usize, now: Timestamp, rng: &mut StdRng) -> Verdict {
    let n = rng.random_range(0..shared.histories.len());
    let (key, action, record) = {
        let mut history = shared.history(n);
        if history.unknown() >= MOST_UNKNOWN {
            return Ok(());
        }
        choose(&mut history, now, rng)
    };
    let call = Call::new(now);
    let called = shared.tick();
    let answer = match action {
        KeyOperation::Load => match store.load(&call, &key).await {
            Ok(seen) => loaded(&mut shared.history(n), seen)?,
            Err(error) => unknown(&error)?,
        },
        KeyOperation::Create(..) => written(store.create(&call, &key, &record).await)?,
        KeyOperation::Save(expected, ..) => written(store.save(&call, &key, expected, &record).await)?,
        KeyOperation::Touch(expected, at) => written(store.touch(&call, &key, expected, at).await)?,
        KeyOperation::Delete(expected) => written(store.delete(&call, &key, expected).await)?,
    };
    let answered = shared.tick();
    note_success(shared, action, answer);
    let mut history = shared.history(n);
    if let (KeyOperation::Create(version, _) | KeyOperation::Save(_, version, _), Response::Written(Outcome::Done)) =
        (action, answer)
    {
        history.seen.push(version);
    }
    history.window.push(Event::new(task, action, now, (called, answered), answer));
    Ok(())
}

fn note_success(shared: &SharedState, action: KeyOperation, answer: Response) {
    let kind = match (action, answer) {
        (KeyOperation::Load, Response::Loaded(Some(_))) => 1,
        (KeyOperation::Create(..), Response::Written(Outcome::Done)) => 0,
        (KeyOperation::Save(..), Response::Written(Outcome::Done)) => 2,
        (KeyOperation::Touch(..), Response::Written(Outcome::Done)) => 3,
        (KeyOperation::Delete(_), Response::Written(Outcome::Done)) => 4,
        _ => return,
    };
    shared.done[kind].fetch_add(1, Ordering::Relaxed);
}

/// Chooses the next operation on the key, and the record that a create or save writes.
fn choose(history: &mut KeyHistory, now: Timestamp, rng: &mut StdRng) -> (StoreKey, KeyOperation, Record) {
    let lives = [hours(1), hours(1), hours(2), Duration::from_millis(3), Duration::from_millis(1), Duration::ZERO];
    let expires_at = now.plus(lives[rng.random_range(0..lives.len())]);
    let fresh = Version::from_i64((rng.random::<u64>() >> 1).cast_signed()).unwrap_or_else(|_| Version::random());
    let mut record = Record::new(fresh, now, expires_at, None, Bytes::from(format!("{:016x}", fresh.as_i64())));
    // Mostly the version that was seen last, sometimes an older one, rarely one that was never stored.
    let known = match rng.random_range(0..10) {
        0 => fresh_other(rng),
        1..=2 if !history.seen.is_empty() => history.seen[rng.random_range(0..history.seen.len())],
        _ => history.seen.last().copied().unwrap_or(fresh),
    };
    let action = match rng.random_range(0..100) {
        0..20 => KeyOperation::Create(fresh, expires_at),
        20..45 => KeyOperation::Load,
        45..75 => KeyOperation::Save(known, fresh, expires_at),
        75..80 => match history.last_save {
            // The identical save again, like after a lost reply.
            Some((expected, version)) => {
                record = history.written.get(&version).cloned().unwrap_or(record);
                KeyOperation::Save(expected, version, record.expires_at)
            }
            None => KeyOperation::Load,
        },
        80..90 => KeyOperation::Touch(known, expires_at),
        90..95 => KeyOperation::Delete(None),
        _ => KeyOperation::Delete(Some(known)),
    };
    if let KeyOperation::Save(expected, version, _) = action {
        history.last_save = Some((expected, version));
    }
    history.written.entry(record.version).or_insert_with(|| record.clone());
    (history.key, action, record)
}

fn fresh_other(rng: &mut StdRng) -> Version {
    Version::from_i64((rng.random::<u64>() >> 1).cast_signed()).unwrap_or_else(|_| Version::random())
}

fn written(answer: session_core::Result<Outcome>) -> Result<Response, Failure> {
    match answer {
        Ok(outcome) => Ok(Response::Written(outcome)),
        Err(error) => unknown(&error),
    }
}

/// An outage leaves the outcome unknown. Any other error fails the clause.
fn unknown(error: &session_core::Error) -> Result<Response, Failure> {
    if error.is_transient() {
        return Ok(Response::Unknown);
    }
    Err(Failure::new(format!("an operation of the history answered the error {error}\n")))
}

/// Checks that a loaded record is one that was written under this key. Only its expiry may differ.
fn loaded(history: &mut KeyHistory, seen: Option<Record>) -> Result<Response, Failure> {
    let Some(seen) = seen else { return Ok(Response::Loaded(None)) };
    let mut want = match history.written.get(&seen.version) {
        Some(written) => written.clone(),
        None => return Err(Failure::new("a load shows a version that was never written under this key\n")),
    };
    want.expires_at = seen.expires_at;
    crate::check::same(&seen, &want, "a record that a load shows")?;
    history.seen.push(seen.version);
    Ok(Response::Loaded(Some((seen.version, seen.expires_at))))
}
