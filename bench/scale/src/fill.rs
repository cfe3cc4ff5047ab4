//! Fills a store with sessions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use indicatif::ProgressBar;
use session_core::{Outcome, Store};
use tokio::task::JoinSet;

use crate::population::{Population, Stored};

/// Number of tasks that create sessions.
const TASKS: usize = 128;

/// Attempts to create one session before filling fails.
const ATTEMPTS: usize = 5;

/// Stores all of `population`, and returns the sessions per second.
pub async fn fill(store: &Arc<dyn Store>, population: Population, bar: &ProgressBar) -> Result<f64> {
    let next = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (store, next, bar) = (Arc::clone(store), Arc::clone(&next), bar.clone());
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= population.sessions {
                    return anyhow::Ok(());
                }
                create(&*store, &population.stored(n)?).await?;
                bar.inc(1);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(population.sessions as f64 / begun.elapsed().as_secs_f64())
}

/// Creates a session. Retries it after `Unavailable`, because the same creation may be repeated, whatever its outcome.
async fn create(store: &dyn Store, session: &Stored) -> Result<()> {
    for attempt in 1.. {
        match store.create(&session.call, &session.key, &session.record).await {
            Ok(outcome) => {
                ensure!(outcome == Outcome::Done, "a fresh key was taken");
                return Ok(());
            }
            Err(error) if error.is_transient() && attempt < ATTEMPTS => {}
            Err(error) => bail!(error),
        }
    }
    unreachable!("the loop ends by returning")
}
