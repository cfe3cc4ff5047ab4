//! A run of many scenes, and its results.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;
use std::sync::Arc;
use std::time::{Duration, Instant};

use session_core::{Result, Store};

use super::execution::{SceneSettings, run_scene};
use super::promise::Promise;
use super::rng::derive;

/// Maximum number of seeds that are kept for each broken promise.
const NAMED: usize = 3;

/// Selection of the scenes of a run.
///
/// ```
/// use std::time::Duration;
///
/// use session_conformance::model::Plan;
///
/// assert_eq!(Plan::rounds(7, 100).rounds, Some(100));
/// assert_eq!(Plan::time(7, Duration::from_secs(60)).rounds, None);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Plan {
    /// Seed from which the seeds of all scenes are derived.
    pub seed: u64,
    /// Number of the first scene.
    pub first: u64,
    /// Number of scenes, or `None` for no limit.
    pub rounds: Option<u64>,
    /// Time after which no further scene starts, or `None` for no limit.
    pub time: Option<Duration>,
}

impl Plan {
    /// Creates a plan for `rounds` scenes of `seed`.
    pub const fn rounds(seed: u64, rounds: u64) -> Self {
        Self { seed, first: 0, rounds: Some(rounds), time: None }
    }

    /// Creates a plan for scenes of `seed` until `time` has passed.
    pub const fn time(seed: u64, time: Duration) -> Self {
        Self { seed, first: 0, rounds: None, time: Some(time) }
    }
}

/// Store on which scenes are played.
#[derive(Clone, Debug)]
pub enum Target {
    /// A fresh store in memory for each scene. The seed then determines the interleaving of the scene's tasks, too.
    Memory(fn() -> Arc<dyn Store>),
    /// One store, which is emptied after each scene.
    Store(Arc<dyn Store>),
}

/// Violations of one promise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broken {
    /// Number of scenes that broke the promise.
    pub scenes: u64,
    /// Seeds of the first of these scenes, at most three.
    pub seeds: Vec<u64>,
}

/// Result of a run.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Tally {
    /// Number of scenes played.
    pub scenes: u64,
    /// Number of operations of requests.
    pub operations: u64,
    /// Number of commits that were confirmed.
    pub commits: u64,
    /// Number of faults that occurred.
    pub faults: u64,
    /// Promises that were broken.
    pub broken: BTreeMap<Promise, Broken>,
    /// Duration of the run.
    pub elapsed: Duration,
}

/// Returns the seed of scene `number` of a run with `seed`.
///
/// ```
/// use session_conformance::model::scene_seed;
///
/// assert_eq!(scene_seed(7, 3), scene_seed(7, 3));
/// assert_ne!(scene_seed(7, 3), scene_seed(7, 4));
/// ```
pub const fn scene_seed(seed: u64, number: u64) -> u64 {
    derive(seed, number)
}

/// Plays the scenes of `plan`, one after the other.
///
/// # Errors
/// If the store fails outside the faults of a scene.
pub async fn run(target: &Target, plan: &Plan) -> Result<Tally> {
    let begun = Instant::now();
    let mut tally = Tally::default();
    let mut number = plan.first;
    while plan.rounds.is_none_or(|rounds| tally.scenes < rounds) && plan.time.is_none_or(|time| begun.elapsed() < time)
    {
        let seed = scene_seed(plan.seed, number);
        let (store, settings) = target.prepare(false);
        let result = run_scene(&store, seed, settings).await?;
        let broken = result.broken.into_iter().map(|promise| (promise, Broken { scenes: 1, seeds: vec![seed] }));
        tally += Tally {
            scenes: 1,
            operations: result.operations,
            commits: result.commits,
            faults: result.faults,
            broken: broken.collect(),
            elapsed: Duration::ZERO,
        };
        number += 1;
    }
    tally.elapsed = begun.elapsed();
    Ok(tally)
}

/// Plays the scene of one seed, up to `repeat` times until it breaks a promise. Returns the broken promises and the
/// trace.
///
/// ```
/// use std::sync::Arc;
///
/// use session_conformance::model::{Target, replay, scene_seed};
/// use session_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> session_core::Result<()> {
/// let target = Target::Memory(|| Arc::new(MemoryStore::new()));
/// let (broken, trace) = replay(&target, scene_seed(7, 0), 1).await?;
/// assert!(broken.is_empty() && !trace.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// If the store fails outside the faults of the scene.
pub async fn replay(target: &Target, scene: u64, repeat: u64) -> Result<(Vec<Promise>, Vec<String>)> {
    let mut last = (Vec::new(), Vec::new());
    for _ in 0..repeat.max(1) {
        let (store, settings) = target.prepare(true);
        let result = run_scene(&store, scene, settings).await?;
        last = (result.broken.into_iter().collect(), result.trace);
        if !last.0.is_empty() {
            break;
        }
    }
    Ok(last)
}

impl Target {
    fn prepare(&self, traced: bool) -> (Arc<dyn Store>, SceneSettings) {
        match self {
            Self::Memory(make) => (make(), SceneSettings { traced, in_memory: true }),
            Self::Store(store) => (store.clone(), SceneSettings { traced, in_memory: false }),
        }
    }
}

impl AddAssign for Tally {
    /// Adds the results of another run.
    fn add_assign(&mut self, other: Self) {
        self.scenes += other.scenes;
        self.operations += other.operations;
        self.commits += other.commits;
        self.faults += other.faults;
        self.elapsed += other.elapsed;
        for (promise, found) in other.broken {
            let broken = self.broken.entry(promise).or_default();
            broken.scenes += found.scenes;
            broken.seeds.extend(found.seeds.into_iter().take(NAMED.saturating_sub(broken.seeds.len())));
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
