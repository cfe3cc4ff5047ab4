//! Many scenes in a row, and what was found.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{Result, Store};

use super::dice::derive;
use super::play::{Manner, play};
use super::promise::Promise;

/// Scenes of which a report names the seed.
const NAMED: usize = 3;

/// Which scenes are played.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// The scenes follow from it.
    pub seed: u64,
    /// The number of the first scene.
    pub first: u64,
    /// The number of scenes, if there is a limit.
    pub rounds: Option<u64>,
    /// How long scenes are begun, if there is a limit.
    pub time: Option<Duration>,
}

impl Plan {
    /// So many scenes of `seed`.
    pub const fn rounds(seed: u64, rounds: u64) -> Self {
        Self { seed, first: 0, rounds: Some(rounds), time: None }
    }

    /// Scenes of `seed` for so long.
    pub const fn time(seed: u64, time: Duration) -> Self {
        Self { seed, first: 0, rounds: None, time: Some(time) }
    }
}

/// Where scenes are played.
#[derive(Clone, Debug)]
pub enum Place {
    /// A fresh store in memory for each scene: the tasks of a scene take turns as the seed says.
    Memory(fn() -> Arc<dyn Store>),
    /// One store, which is emptied after each scene.
    Store(Arc<dyn Store>),
}

/// How often a promise was broken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// Number of scenes.
    pub scenes: u64,
    /// The seeds of the first of them.
    pub seeds: Vec<u64>,
}

/// What a run found.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Scenes played.
    pub scenes: u64,
    /// Operations of requests.
    pub operations: u64,
    /// Commits that were confirmed.
    pub commits: u64,
    /// Faults that happened.
    pub faults: u64,
    /// The promises that were broken.
    pub broken: BTreeMap<Promise, Broken>,
    /// How long it took.
    pub elapsed: Duration,
}

/// The seed of scene `number` of a run.
pub const fn scene_seed(seed: u64, number: u64) -> u64 {
    derive(seed, number)
}

/// Plays scenes, one after the other.
///
/// # Errors
/// If the store fails outside of the faults of a scene.
pub async fn run(place: &Place, plan: &Plan) -> Result<Tally> {
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut number = plan.first;
    while plan.rounds.is_none_or(|rounds| tally.scenes < rounds) && plan.time.is_none_or(|time| begun.elapsed() < time)
    {
        let seed = scene_seed(plan.seed, number);
        let (store, manner) = place.prepare(false);
        let played = play(&store, seed, manner).await?;
        tally.scenes += 1;
        tally.operations += played.operations;
        tally.commits += played.commits;
        tally.faults += played.faults;
        for promise in played.broken {
            let broken = tally.broken.entry(promise).or_default();
            broken.scenes += 1;
            if broken.seeds.len() < NAMED {
                broken.seeds.push(seed);
            }
        }
        number += 1;
    }
    tally.elapsed = begun.elapsed();
    Ok(tally)
}

/// Plays the scene of one seed, up to `repeat` times until it breaks a promise: what it broke, and its trace.
///
/// # Errors
/// If the store fails outside of the faults of the scene.
pub async fn replay(place: &Place, scene: u64, repeat: u64) -> Result<(Vec<Promise>, Vec<String>)> {
    let mut last = (Vec::new(), Vec::new());
    for _ in 0..repeat.max(1) {
        let (store, manner) = place.prepare(true);
        let played = play(&store, scene, manner).await?;
        last = (played.broken.into_iter().collect(), played.trace);
        if !last.0.is_empty() {
            break;
        }
    }
    Ok(last)
}

impl Place {
    fn prepare(&self, traced: bool) -> (Arc<dyn Store>, Manner) {
        match self {
            Self::Memory(make) => (make(), Manner { traced, in_memory: true }),
            Self::Store(store) => (store.clone(), Manner { traced, in_memory: false }),
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scenes, operations, commits, faults, broken, elapsed } = self;
        let rate = *scenes as f64 / elapsed.as_secs_f64().max(1e-9);
        writeln!(
            f,
            "{scenes} scenes in {:.1} s ({rate:.0} per second), {operations} operations, {commits} commits confirmed, \
             {faults} faults",
            elapsed.as_secs_f64()
        )?;
        for promise in Promise::ALL {
            let Some(found) = broken.get(&promise) else { continue };
            let seeds: Vec<String> = found.seeds.iter().map(|seed| format!("{seed:#x}")).collect();
            writeln!(f, "{promise}: {} scenes, first {}", found.scenes, seeds.join(" "))?;
        }
        let kept = Promise::ALL.len() - broken.len();
        write!(f, "{kept} promises kept, {} broken", broken.len())
    }
}
