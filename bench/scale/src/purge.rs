//! Measures a purge, and what it costs concurrent work.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use serde::{Deserialize, Serialize};
use session_conformance::server::with;
use session_core::{Call, Clock as _, Store, SystemClock};
use targets::{Kind, Target};

use crate::fill::fill;
use crate::population::Population;
use crate::progress;
use crate::work::{Measured, Work, work_during, work_for};

/// Sessions per step, as in `Manager`.
const STEP: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");

/// Number of unavailable steps before a purge fails.
const PATIENCE: u64 = 20;

/// Number of live sessions for the work beside a purge.
const LIVE: u64 = 10_000;

/// A purge from its beginning until nothing was left.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Purge {
    pub removed: u64,
    pub seconds: f64,
    /// The longest step, in milliseconds.
    pub longest_step: f64,
    /// Number of steps that the store answered with `Unavailable`. The purge continued with the next step.
    #[serde(default)]
    pub unavailable: u64,
}

/// Work without a purge, and beside a purge.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Beside {
    pub store: Kind,
    pub live: u64,
    pub without: Measured,
    pub with: Measured,
    pub purge: Purge,
}

/// Pace of the steps of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One step directly after the other, as in `Manager::purge`.
    AtOnce,
    /// A pause after each step as long as the step, as in `Manager::purge_every`.
    Sweeping,
}

/// Purges step by step until no expired session is left. Continues after an unavailable step, as a sweep does.
pub async fn purge(store: &dyn Store, pace: Pace, bar: &ProgressBar) -> Result<Purge> {
    let begun = Instant::now();
    let mut purge = Purge { removed: 0, seconds: 0.0, longest_step: 0.0, unavailable: 0 };
    loop {
        let step = Instant::now();
        let purged = store.purge(&Call::new(SystemClock.now()), STEP).await;
        purge.longest_step = purge.longest_step.max(step.elapsed().as_secs_f64() * 1e3);
        let purged = match purged {
            Err(error) if error.is_transient() && purge.unavailable < PATIENCE => {
                purge.unavailable += 1;
                continue;
            }
            purged => purged.context("a purge failed")?,
        };
        purge.removed += u64::from(purged.removed);
        bar.inc(u64::from(purged.removed));
        if !purged.more {
            purge.seconds = begun.elapsed().as_secs_f64();
            return Ok(purge);
        }
        if pace == Pace::Sweeping {
            tokio::time::sleep(step.elapsed()).await;
        }
    }
}

/// Whether `purge` removed all expired sessions. After an unavailable step the count may be lower.
pub fn is_complete(purge: &Purge, expired: u64) -> bool {
    purge.removed == expired || purge.unavailable > 0 && purge.removed < expired
}

/// Measures load and save, first for `seconds` without a purge, then during a purge of `expired` sessions. `options` are added to the
/// store's URL.
///
/// Returns `None` for a store whose server removes expired sessions by itself.
pub async fn beside(kind: Kind, options: &str, expired: u64, seconds: f64) -> Result<Option<Beside>> {
    let target = Target::of(kind).await.with_context(|| format!("{kind} has no server"))?;
    let store = session_store_any::connect(&with(&target.url("scale"), options)).await?;
    if store.capabilities().expires_itself {
        return Ok(None);
    }
    let live = Population { sessions: LIVE, size: 200, of_one: 100, one_expired_in: 0, seed: 1 };
    let gone = Population { sessions: expired, one_expired_in: 1, seed: 2, ..live };
    let bar = progress::bar(LIVE + expired, format!("{kind}: filling"))?;
    fill(&store, live, &bar).await?;
    fill(&store, gone, &bar).await?;
    bar.finish_and_clear();
    let spinner = progress::spinner(format!("{kind}: load+save without a purge"));
    work_for(&store, live, Work::LoadSave, (seconds / 4.0).min(2.0)).await?;
    let without = work_for(&store, live, Work::LoadSave, seconds).await?;
    spinner.finish_and_clear();
    let bar = progress::bar(expired, format!("{kind}: load+save beside a purge"))?;
    // In its own task, like a sweep.
    let purging = tokio::spawn({
        let (store, bar) = (Arc::clone(&store), bar.clone());
        async move { purge(&*store, Pace::Sweeping, &bar).await }
    });
    let (with, purged) = work_during(&store, live, Work::LoadSave, purging).await?;
    bar.finish_and_clear();
    let purge = purged??;
    ensure!(is_complete(&purge, expired), "of {expired} expired sessions {} were removed", purge.removed);
    Ok(Some(Beside { store: kind, live: LIVE, without, with, purge }))
}
