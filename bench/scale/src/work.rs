//! Work on a filled store, and its speed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use rand::RngExt as _;
use serde::{Deserialize, Serialize};
use session_core::{Call, Clock as _, Outcome, Store, SystemClock};
use tokio::task::{JoinSet, consume_budget};
use tokio::time::sleep;

use crate::population::Population;

/// Number of concurrent tasks.
pub const TASKS: usize = 32;

/// A kind of work, on sessions or principals at random.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Load a session.
    Load,
    /// Load a session, change it, save it; retried after a conflict.
    LoadSave,
    /// List all sessions of a principal.
    SessionsOf,
}

/// Figures of a stretch of work. Latencies are in microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Measured {
    pub per_second: f64,
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    pub longest: f64,
    /// Number of operations that the store answered with `Unavailable`. They count as operations, too.
    pub unavailable: u64,
}

/// Works for this many seconds.
pub async fn work_for(store: &Arc<dyn Store>, population: Population, work: Work, seconds: f64) -> Result<Measured> {
    // sleep: this is the length of a measurement.
    work_during(store, population, work, sleep(Duration::from_secs_f64(seconds))).await.map(|(measured, ())| measured)
}

/// Works for as long as `during` takes.
pub async fn work_during<T>(
    store: &Arc<dyn Store>,
    population: Population,
    work: Work,
    during: impl Future<Output = T>,
) -> Result<(Measured, T)> {
    let over = Arc::new(AtomicBool::new(false));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        tasks.spawn(one_task(Arc::clone(store), population, work, Arc::clone(&over)));
    }
    let output = during.await;
    over.store(true, Ordering::Relaxed);
    let (mut all, mut unavailable) = (Histogram::new(3)?, 0);
    while let Some(done) = tasks.join_next().await {
        let (latencies, failed) = done??;
        all.add(latencies)?;
        unavailable += failed;
    }
    let micros = |quantile| all.value_at_quantile(quantile) as f64 / 1e3;
    let measured = Measured {
        per_second: all.len() as f64 / begun.elapsed().as_secs_f64(),
        p50: micros(0.5),
        p99: micros(0.99),
        p999: micros(0.999),
        longest: all.max() as f64 / 1e3,
        unavailable,
    };
    Ok((measured, output))
}

async fn one_task(
    store: Arc<dyn Store>,
    population: Population,
    work: Work,
    over: Arc<AtomicBool>,
) -> Result<(Histogram<u64>, u64)> {
    let mut latencies = Histogram::new_with_bounds(1, 600_000_000_000, 3)?;
    let mut unavailable = 0;
    while !over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        match once(&*store, population, work).await {
            Err(error) if error.downcast_ref().is_some_and(session_core::Error::is_transient) => unavailable += 1,
            done => done?,
        }
        latencies.saturating_record(u64::try_from(begun.elapsed().as_nanos())?.max(1));
        // The memory store never waits, so without this the task would keep the timer and the purge from running.
        consume_budget().await;
    }
    Ok((latencies, unavailable))
}

async fn once(store: &dyn Store, population: Population, work: Work) -> Result<()> {
    let call = Call::new(SystemClock.now());
    match work {
        Work::Load => {
            let loaded = store.load(&call, &population.key(live_session(population))).await?;
            loaded.context("a live session is not there").map(drop)
        }
        Work::LoadSave => load_save(store, &call, population).await,
        Work::SessionsOf => {
            let principal = population.principal(rand::rng().random_range(0..population.principals()))?;
            let limit = u32::try_from(2 * population.of_one)?.try_into()?;
            let found = store.sessions_of(&call, &principal, limit).await?;
            ensure!(!found.is_empty(), "a principal has no sessions");
            Ok(())
        }
    }
}

async fn load_save(store: &dyn Store, call: &Call, population: Population) -> Result<()> {
    let key = population.key(live_session(population));
    loop {
        let old = store.load(call, &key).await?.context("a live session is not there")?;
        match store.save(call, &key, old.version, &Population::changed(&old)?).await? {
            Outcome::Done => return Ok(()),
            Outcome::Conflict => {}
            other => ensure!(false, "a live session was saved: {other:?}"),
        }
    }
}

fn live_session(population: Population) -> u64 {
    loop {
        let n = rand::rng().random_range(0..population.sessions);
        if !population.is_expired(n) {
            return n;
        }
    }
}
