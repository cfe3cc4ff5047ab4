//! Does the work and measures it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{SESSIONS, Subject, allocations};

/// A kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Load one of the sessions.
    Load,
    /// Load a session, change it, save it.
    LoadSave,
    /// Store a new session.
    Create,
    /// Extend the expiry of a session.
    Touch,
    /// Load, change and save the same session in all tasks.
    Hot,
    /// Nineteen loads, then a load with a save.
    Reads95,
}

impl Work {
    pub const ALL: [Self; 6] = [Self::Load, Self::LoadSave, Self::Create, Self::Touch, Self::Hot, Self::Reads95];

    /// Returns the name in tables and on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::LoadSave => "load+save",
            Self::Create => "create",
            Self::Touch => "touch",
            Self::Hot => "hot",
            Self::Reads95 => "95% reads",
        }
    }
}

/// Figures of a stretch of work.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Measured {
    /// Number of operations.
    pub operations: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// Latencies in microseconds, as quantiles 50 %, 99 % and 99.9 %.
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
    /// Processor time of all threads of this program, in seconds.
    pub cpu: f64,
    /// Number of allocations, if this build counts them.
    pub allocations: Option<u64>,
    /// Number of updates that were answered as done and are missing.
    pub lost: u64,
}

/// Runs `tasks` tasks on `subject` for `length`.
pub(crate) async fn measure(subject: &Arc<dyn Subject>, work: Work, tasks: u64, length: Duration) -> Result<Measured> {
    let before = counted(&**subject).await?;
    let (cpu, allocated) = (processor_time(), allocations::so_far());
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        running.spawn(one_task(Arc::clone(subject), work, task, start + length));
    }
    let mut all = Histogram::new(3)?;
    let mut updates = 0;
    while let Some(done) = running.join_next().await {
        let (latencies, updated) = done??;
        all.add(latencies)?;
        updates += updated;
    }
    let seconds = start.elapsed().as_secs_f64();
    let cpu = processor_time() - cpu;
    let allocations = allocations::so_far().zip(allocated).map(|(after, before)| after - before);
    let found = counted(&**subject).await? - before;
    ensure!(found <= updates, "{updates} updates were done, {found} are there");
    Ok(Measured {
        operations: all.len(),
        seconds,
        p50: micros(&all, 0.5),
        p99: micros(&all, 0.99),
        p999: micros(&all, 0.999),
        cpu,
        allocations,
        lost: updates - found,
    })
}

/// Works until `end`. Returns latencies in nanoseconds, and the number of updates that were answered as done.
async fn one_task(subject: Arc<dyn Subject>, work: Work, task: u64, end: Instant) -> Result<(Histogram<u64>, u64)> {
    let mut latencies = Histogram::new_with_bounds(1, 60_000_000_000, 3)?;
    let mut updates = 0;
    let mut now = Instant::now();
    for i in 0.. {
        let n = (task * 7919 + i * 31) % SESSIONS;
        updates += once(&*subject, work, n, i).await?;
        let then = std::mem::replace(&mut now, Instant::now());
        latencies.saturating_record(u64::try_from((now - then).as_nanos())?.max(1));
        if now >= end {
            break;
        }
    }
    Ok((latencies, updates))
}

/// Does one operation, and returns its number of updates.
async fn once(subject: &dyn Subject, work: Work, n: u64, i: u64) -> Result<u64> {
    match work {
        Work::Load => subject.load(n).await.map(|_| 0),
        Work::Create => subject.create().await.map(|()| 0),
        Work::Touch => subject.touch(n).await.map(|()| 0),
        Work::Reads95 if i % 20 != 19 => subject.load(n).await.map(|_| 0),
        Work::LoadSave | Work::Reads95 => subject.add(n).await.map(|()| 1),
        Work::Hot => subject.add(0).await.map(|()| 1),
    }
}

/// Returns the sum of all counts.
async fn counted(subject: &dyn Subject) -> Result<u64> {
    let mut total = 0;
    for n in 0..SESSIONS {
        total += subject.load(n).await?;
    }
    Ok(total)
}

fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

fn micros(latencies: &Histogram<u64>, quantile: f64) -> f64 {
    latencies.value_at_quantile(quantile) as f64 / 1e3
}
