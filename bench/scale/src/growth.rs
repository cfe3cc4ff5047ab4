//! Measures the same work over few sessions and over many.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use session_conformance::server::with;
use targets::{Kind, Target};

use crate::allocation_report;
use crate::disk_usage;
use crate::fill::fill;
use crate::population::Population;
use crate::progress;
use crate::purge::{Pace, Purge, is_complete, purge};
use crate::work::{Measured, Work, work_for};

/// Number of sessions of one principal. A tenth of them has expired where the store keeps expired sessions.
pub const OF_ONE: u64 = 100;

/// Figures of a store with one number of sessions.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Growth {
    pub store: Kind,
    pub sessions: u64,
    /// Sessions per second while the store was filled.
    pub filled: f64,
    /// Bytes of a session on the server's disk or in its memory, including indexes, if the server reports them.
    pub bytes: Option<f64>,
    pub load: Measured,
    pub load_save: Measured,
    /// Lists of a principal's sessions; `None` where the store cannot list them.
    pub sessions_of: Option<Measured>,
    /// Purge of the expired tenth; `None` where the server removes expired sessions by itself.
    pub purge: Option<Purge>,
}

/// Fills a new store and measures `seconds` of each kind of work. `options` are added to the store's URL.
pub async fn growth(kind: Kind, options: &str, sessions: u64, seconds: f64) -> Result<Growth> {
    let target = Target::of(kind).await.with_context(|| format!("{kind} has no server"))?;
    let url = with(&target.url("scale"), options);
    let store = session_store_any::connect(&url).await?;
    let one_expired_in = if store.capabilities().expires_itself { 0 } else { 10 };
    let population = Population { sessions, size: 200, of_one: OF_ONE, one_expired_in, seed: 1 };

    let before = disk_usage::bytes(kind, &target).await?;
    let bar = progress::bar(sessions, format!("{kind}: filling"))?;
    let filled = fill(&store, population, &bar).await?;
    bar.finish_and_clear();
    let after = disk_usage::bytes(kind, &target).await?;
    let bytes = match kind {
        Kind::Memory => Some(allocation_report::idle(population, false).await?.allocated),
        _ => before.zip(after).map(|(before, after)| after.saturating_sub(before)),
    };

    let spinner = progress::spinner(format!("{kind}, {sessions} sessions: load, load+save, sessions_of"));
    work_for(&store, population, Work::Load, (seconds / 4.0).min(2.0)).await?;
    let load = work_for(&store, population, Work::Load, seconds).await?;
    let load_save = work_for(&store, population, Work::LoadSave, seconds).await?;
    let sessions_of = match store.capabilities().by_principal {
        true => Some(work_for(&store, population, Work::SessionsOf, seconds).await?),
        false => None,
    };
    spinner.finish_and_clear();

    let bar = progress::bar(population.expired(), format!("{kind}: purging"))?;
    let purge = if one_expired_in > 0 { Some(purge(&*store, Pace::AtOnce, &bar).await?) } else { None };
    bar.finish_and_clear();
    let expired = population.expired();
    ensure!(purge.is_none_or(|purge| is_complete(&purge, expired)), "{expired} sessions had expired: {purge:?}");
    let bytes = bytes.map(|bytes| bytes as f64 / sessions as f64);
    Ok(Growth { store: kind, sessions, filled, bytes, load, load_save, sessions_of, purge })
}
