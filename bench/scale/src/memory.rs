//! Measurements of memory.

use anyhow::{Context, Result};
use targets::{Kind, Target};

use crate::allocation_report;
use crate::idle_memory::Idle;
use crate::population::Population;
use crate::progress;
use crate::requests::Requests;

/// Number of sessions at rest, and their sizes in bytes.
const SESSIONS: u64 = 1_000_000;
const SIZES: [usize; 2] = [60, 200];

/// Length of a queue that is far shorter than the number of waiting calls.
const SHORT_QUEUE: u64 = 1_000;

/// Measures `session-store-memory` with anonymous sessions, with one session per principal, and with such sessions after a load.
pub async fn idle() -> Result<Vec<Idle>> {
    let mut all = Vec::new();
    for size in SIZES {
        for (of_one, loaded) in [(0, false), (1, false), (1, true)] {
            let spinner = progress::spinner(format!("memory: {SESSIONS} sessions of {size} bytes at rest"));
            let population = Population { sessions: SESSIONS, size, of_one, one_expired_in: 0, seed: 1 };
            all.push(allocation_report::idle(population, loaded).await?);
            spinner.finish_and_clear();
        }
    }
    Ok(all)
}

/// Measures each number of concurrent requests, and the largest with a short queue, too. Only the memory store has no queue.
pub async fn requests(kind: Kind, numbers: &[u64]) -> Result<Vec<Requests>> {
    let target = Target::of(kind).await.with_context(|| format!("{kind} has no server"))?;
    let largest = numbers.iter().copied().max().filter(|_| kind != Kind::Memory);
    let short = largest.map(|largest| (largest, Some(SHORT_QUEUE)));
    let mut all = Vec::new();
    for (requests, queue) in numbers.iter().map(|&requests| (requests, None)).chain(short) {
        let spinner = progress::spinner(format!("{kind}: {requests} requests at once"));
        all.push(allocation_report::requests(kind, &target.url("scale"), requests, queue).await?);
        spinner.finish_and_clear();
    }
    Ok(all)
}
