//! Measures the memory of idle sessions in `session-store-memory`.

use std::sync::Arc;

use anyhow::{Context, Result};
use indicatif::ProgressBar;
use peak_alloc::PeakAlloc;
use serde::{Deserialize, Serialize};
use session_core::{Call, Clock as _, Record, Store, StoreKey, SystemClock};

use crate::fill::fill;
use crate::population::Population;
use crate::rss;

/// Memory of a store with one population.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Idle {
    pub population: Population,
    /// Whether each session has been loaded once since it was saved.
    pub loaded: bool,
    /// Bytes allocated and not freed.
    pub allocated: u64,
    /// Bytes by which the process has grown, including the allocator's rounding.
    pub resident: u64,
    /// Bytes of the bare content of all sessions: key, version, two times, principal's text, data.
    pub content: u64,
    /// Bytes of the content with `size_of::<Record>()` in place of its version and times.
    pub records: u64,
}

/// Fills a store in this process, whose allocator counts, and measures it.
pub async fn idle(counted: &PeakAlloc, population: Population, loaded: bool) -> Result<Idle> {
    let (allocated, held) = (counted.current_usage(), rss::now()?);
    let store = session_store_any::connect("memory:").await?;
    fill(&store, population, &ProgressBar::hidden()).await?;
    if loaded {
        load_all(&store, population).await?;
    }
    let (allocated, held) = (counted.current_usage() - allocated, rss::now()?.saturating_sub(held));
    let variable = variable_length(population)?;
    let fixed = |bytes: usize| population.sessions * bytes as u64 + variable;
    Ok(Idle {
        population,
        loaded,
        allocated: allocated as u64,
        resident: held,
        content: fixed(size_of::<StoreKey>() + 3 * size_of::<i64>()),
        records: fixed(size_of::<StoreKey>() + size_of::<Record>()),
    })
}

async fn load_all(store: &Arc<dyn Store>, population: Population) -> Result<()> {
    for n in (0..population.sessions).filter(|&n| !population.is_expired(n)) {
        let loaded = store.load(&Call::new(SystemClock.now()), &population.key(n)).await?;
        loaded.context("a live session is not there")?;
    }
    Ok(())
}

/// Returns the bytes of all data and principals.
fn variable_length(population: Population) -> Result<u64> {
    let mut total = 0;
    for n in 0..population.sessions {
        let record = population.stored(n)?.record;
        total += record.data.len() + record.principal.map_or(0, |principal| principal.as_str().len());
    }
    Ok(total as u64)
}
