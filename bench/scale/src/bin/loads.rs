//! Fills a store and loads its sessions at random, for a program that counts instructions, misses of the processor's caches, or
//! system calls. Two runs with different numbers of loads tell what one load takes.
//!
//! `valgrind --tool=cachegrind --cache-sim=yes target/release/loads memory: 1000000 200000`

use anyhow::{Context as _, Result};
use indicatif::ProgressBar;
use scale::fill::fill;
use scale::population::Population;
use scale::work::{Work, once};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().context("the URL of a store, a number of sessions, and a number of loads")?;
    let sessions = arguments.next().context("a number of sessions")?.parse()?;
    let loads: u64 = arguments.next().context("a number of loads")?.parse()?;
    let population = Population { sessions, size: 200, of_one: 100, one_expired_in: 10, seed: 1 };
    let store = session_store_any::connect(&url).await?;
    fill(&store, population, &ProgressBar::hidden()).await?;
    for _ in 0..loads {
        once(&*store, population, Work::Load).await?;
    }
    Ok(store.close().await?)
}
