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

use super::model::{Action, Answer, Event};
use super::search::Windows;
use crate::check::ensure;
use crate::context::{Shared, key};
use crate::proxy::Proxy;
use crate::{Failure, Verdict};

/// Extent of a random history, and its seed.
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
/// # Errors
/// The first window that no order explains, with the seed.
pub async fn run(stores: [Arc<dyn Store>; 2], start: Timestamp, plan: &Plan, network: Option<&Arc<Proxy>>) -> Verdict {
    // Printed whether the run fails or not, so that a run that fails elsewhere can be repeated.
    // One write, because other clauses print at the same time.
    let name = if network.is_some() { "history.cuts" } else { "history.random" };
    eprint!("{}", format_args!("{name}: CONFORMANCE_SEED={} over {} operations\n", plan.seed, plan.operations));
    let told = |failure: Failure| Failure::new(format!("{failure}replay with CONFORMANCE_SEED={}", plan.seed));
    let mut dice = StdRng::seed_from_u64(plan.seed);
    let table = Arc::new(Table::new(plan.keys));
    let (mut now, mut played, mut round) = (start, 0, 0);
    while played < plan.operations {
        if round % ROUNDS_PER_KEYS == 0 {
            table.change_keys();
        }
        let before = played;
        for event in play_round(&stores, &table, now, plan, network, &mut dice).await.map_err(told)? {
            played += event;
        }
        ensure!(played > before, "a round of the history played nothing");
        table.check_round().map_err(told)?;
        // Some records expire between two rounds by the caller's clock, and so at a quiet point.
        now = now.plus(Duration::from_millis(dice.random_range(0..4)));
        round += 1;
    }
    table.eventful(played).map_err(told)
}

/// State that the tasks share.
struct Table {
    clock: AtomicU64,
    seats: Vec<Mutex<Seat>>,
    done: [AtomicU64; 5],
}

/// One key, and its history so far.
struct Seat {
    key: StoreKey,
    windows: Windows,
    window: Vec<Event>,
    /// Every record written under the key, by version, which loads must match.
    written: HashMap<Version, Record>,
    /// Versions that were seen, the latest last.
    seen: Vec<Version>,
    /// The last save, to be sent again.
    last_save: Option<(Version, Version)>,
}

impl Seat {
    fn new() -> Self {
        Self {
            key: key(),
            windows: Windows::new(),
            window: Vec::new(),
            written: HashMap::new(),
            seen: Vec::new(),
            last_save: None,
        }
    }
}

impl Seat {
    /// Returns the number of operations of unknown outcome, including those of this window.
    fn unknown(&self) -> usize {
        self.windows.unknown() + self.window.iter().filter(|event| event.answer == Answer::Unknown).count()
    }
}

impl Table {
    fn new(seats: usize) -> Self {
        Self {
            clock: AtomicU64::new(0),
            seats: (0..seats).map(|_| Mutex::new(Seat::new())).collect(),
            done: Default::default(),
        }
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    fn seat(&self, n: usize) -> std::sync::MutexGuard<'_, Seat> {
        self.seats[n].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change_keys(&self) {
        (0..self.seats.len()).for_each(|n| *self.seat(n) = Seat::new());
    }

    fn check_round(&self) -> Verdict {
        for n in 0..self.seats.len() {
            let mut seat = self.seat(n);
            let window = std::mem::take(&mut seat.window);
            seat.windows.extend(window).map_err(|anomaly| Failure::new(anomaly.to_string()))?;
            if seat.windows.unknown() >= MOST_UNKNOWN {
                *seat = Seat::new();
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
async fn play_round(
    stores: &[Shared; 2],
    table: &Arc<Table>,
    now: Timestamp,
    plan: &Plan,
    network: Option<&Arc<Proxy>>,
    dice: &mut StdRng,
) -> Result<Vec<usize>, Failure> {
    let start = Arc::new(Barrier::new(plan.tasks));
    let tasks: Vec<_> = (0..plan.tasks)
        .map(|task| {
            let (store, table, start) = (Arc::clone(&stores[task % 2]), Arc::clone(table), Arc::clone(&start));
            let (mut dice, burst) = (StdRng::seed_from_u64(dice.random()), plan.burst);
            let network = network.map(Arc::clone);
            tokio::spawn(async move {
                start.wait().await;
                for _ in 0..burst {
                    if let Some(network) = &network {
                        disturb(network, &mut dice);
                    }
                    step(&*store, &table, task, now, &mut dice).await?;
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
fn disturb(network: &Proxy, dice: &mut StdRng) {
    match dice.random_range(0..CALM) {
        0 => network.forget(),
        1 => network.lose_reply(),
        _ => {}
    }
}

/// Runs a random operation on a random key.
async fn step(store: &dyn Store, table: &Table, task: usize, now: Timestamp, dice: &mut StdRng) -> Verdict {
    let n = dice.random_range(0..table.seats.len());
    let (key, action, record) = {
        let mut seat = table.seat(n);
        if seat.unknown() >= MOST_UNKNOWN {
            return Ok(());
        }
        choose(&mut seat, now, dice)
    };
    let call = Call::new(now);
    let called = table.tick();
    let answer = match action {
        Action::Load => match store.load(&call, &key).await {
            Ok(seen) => shown(&mut table.seat(n), seen)?,
            Err(error) => unknown(&error)?,
        },
        Action::Create(..) => ended(store.create(&call, &key, &record).await)?,
        Action::Save(expected, ..) => ended(store.save(&call, &key, expected, &record).await)?,
        Action::Touch(expected, at) => ended(store.touch(&call, &key, expected, at).await)?,
        Action::Delete(expected) => ended(store.delete(&call, &key, expected).await)?,
    };
    let answered = table.tick();
    note_success(table, action, answer);
    let mut seat = table.seat(n);
    if let (Action::Create(version, _) | Action::Save(_, version, _), Answer::Ended(Outcome::Done)) = (action, answer) {
        seat.seen.push(version);
    }
    seat.window.push(Event::new(task, action, now, (called, answered), answer));
    Ok(())
}

fn note_success(table: &Table, action: Action, answer: Answer) {
    let kind = match (action, answer) {
        (Action::Load, Answer::Showed(Some(_))) => 1,
        (Action::Create(..), Answer::Ended(Outcome::Done)) => 0,
        (Action::Save(..), Answer::Ended(Outcome::Done)) => 2,
        (Action::Touch(..), Answer::Ended(Outcome::Done)) => 3,
        (Action::Delete(_), Answer::Ended(Outcome::Done)) => 4,
        _ => return,
    };
    table.done[kind].fetch_add(1, Ordering::Relaxed);
}

/// Chooses the next operation on the key, and the record that a create or save writes.
fn choose(seat: &mut Seat, now: Timestamp, dice: &mut StdRng) -> (StoreKey, Action, Record) {
    let lives = [hours(1), hours(1), hours(2), Duration::from_millis(3), Duration::from_millis(1), Duration::ZERO];
    let expires_at = now.plus(lives[dice.random_range(0..lives.len())]);
    let fresh = Version::from_i64((dice.random::<u64>() >> 1).cast_signed()).unwrap_or_else(|_| Version::random());
    let mut record = Record::new(fresh, now, expires_at, None, Bytes::from(format!("{:016x}", fresh.as_i64())));
    // Mostly the version that was seen last, sometimes an older one, rarely one that was never stored.
    let known = match dice.random_range(0..10) {
        0 => fresh_other(dice),
        1..=2 if !seat.seen.is_empty() => seat.seen[dice.random_range(0..seat.seen.len())],
        _ => seat.seen.last().copied().unwrap_or(fresh),
    };
    let action = match dice.random_range(0..100) {
        0..20 => Action::Create(fresh, expires_at),
        20..45 => Action::Load,
        45..75 => Action::Save(known, fresh, expires_at),
        75..80 => match seat.last_save {
            // The identical save again, like after a lost reply.
            Some((expected, version)) => {
                record = seat.written.get(&version).cloned().unwrap_or(record);
                Action::Save(expected, version, record.expires_at)
            }
            None => Action::Load,
        },
        80..90 => Action::Touch(known, expires_at),
        90..95 => Action::Delete(None),
        _ => Action::Delete(Some(known)),
    };
    if let Action::Save(expected, version, _) = action {
        seat.last_save = Some((expected, version));
    }
    seat.written.entry(record.version).or_insert_with(|| record.clone());
    (seat.key, action, record)
}

fn fresh_other(dice: &mut StdRng) -> Version {
    Version::from_i64((dice.random::<u64>() >> 1).cast_signed()).unwrap_or_else(|_| Version::random())
}

fn ended(answer: session_core::Result<Outcome>) -> Result<Answer, Failure> {
    match answer {
        Ok(outcome) => Ok(Answer::Ended(outcome)),
        Err(error) => unknown(&error),
    }
}

/// An outage leaves the outcome unknown. Any other error fails the clause.
fn unknown(error: &session_core::Error) -> Result<Answer, Failure> {
    if error.is_transient() {
        return Ok(Answer::Unknown);
    }
    Err(Failure::new(format!("an operation of the history answered the error {error}\n")))
}

/// Checks that a loaded record is one that was written under this key. Only its expiry may differ.
fn shown(seat: &mut Seat, seen: Option<Record>) -> Result<Answer, Failure> {
    let Some(seen) = seen else { return Ok(Answer::Showed(None)) };
    let mut want = match seat.written.get(&seen.version) {
        Some(written) => written.clone(),
        None => return Err(Failure::new("a load shows a version that was never written under this key\n")),
    };
    want.expires_at = seen.expires_at;
    crate::check::same(&seen, &want, "a record that a load shows")?;
    seat.seen.push(seen.version);
    Ok(Answer::Showed(Some((seen.version, seen.expires_at))))
}
