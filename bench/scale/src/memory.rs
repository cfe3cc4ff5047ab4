//! What is measured of memory.

use anyhow::{Context, Result};
use place::{Kind, Place};

use crate::counted;
use crate::idle::Idle;
use crate::population::Population;
use crate::progress;
use crate::requests::Requests;

/// Sessions at rest, and their sizes.
const SESSIONS: u64 = 1_000_000;
const SIZES: [usize; 2] = [60, 200];

/// A queue that is far shorter than what wants to wait in it.
const SHORT_QUEUE: u64 = 1_000;

/// `store-memory` with sessions of nobody, of principals with one session each, and of such that have been loaded since.
pub async fn idle() -> Result<Vec<Idle>> {
    let mut all = Vec::new();
    for size in SIZES {
        for (of_one, loaded) in [(0, false), (1, false), (1, true)] {
            let spinner = progress::spinner(format!("memory: {SESSIONS} sessions of {size} bytes at rest"));
            let population = Population { sessions: SESSIONS, size, of_one, one_expired_in: 0, seed: 1 };
            all.push(counted::idle(population, loaded).await?);
            spinner.finish_and_clear();
        }
    }
    Ok(all)
}

/// Each number of requests at once, and the largest with a short queue, too: memory alone has none.
pub async fn requests(kind: Kind, numbers: &[u64]) -> Result<Vec<Requests>> {
    let place = Place::of(kind).await.with_context(|| format!("{kind} has no server"))?;
    let largest = numbers.iter().copied().max().filter(|_| kind != Kind::Memory);
    let short = largest.map(|largest| (largest, Some(SHORT_QUEUE)));
    let mut all = Vec::new();
    for (requests, queue) in numbers.iter().map(|&requests| (requests, None)).chain(short) {
        let spinner = progress::spinner(format!("{kind}: {requests} requests at once"));
        all.push(counted::requests(kind, &place.url("scale"), requests, queue).await?);
        spinner.finish_and_clear();
    }
    Ok(all)
}
