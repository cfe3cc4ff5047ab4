//! What a purge takes, and what it costs those who work beside it.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use indicatif::ProgressBar;
use place::{Kind, Place};
use serde::{Deserialize, Serialize};
use session_core::{Call, Clock as _, Store, SystemClock};

use crate::fill::fill;
use crate::population::Population;
use crate::progress;
use crate::work::{Measured, Work, work_during, work_for};

/// Sessions per step, as `Manager` asks for.
const STEP: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");

/// Steps in which the store may be unavailable before a purge is given up.
const PATIENCE: u64 = 20;

/// Live sessions that are worked on beside a purge.
const LIVE: u64 = 10_000;

/// A purge from its beginning until nothing was left.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Purge {
    pub removed: u64,
    pub seconds: f64,
    /// The longest step, in milliseconds.
    pub longest_step: f64,
    /// Steps that the store answered with `Unavailable`: the next one went on.
    #[serde(default)]
    pub unavailable: u64,
}

/// Work without a purge, and beside one.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Beside {
    pub store: Kind,
    pub live: u64,
    pub without: Measured,
    pub with: Measured,
    pub purge: Purge,
}

/// How steps follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once, as `Manager::purge` has it.
    AtOnce,
    /// After a pause as long as the step took, as `Manager::purge_every` has it.
    Sweeping,
}

/// Purges step by step until nothing is left. A step that got no answer is followed by the next, as in a sweep.
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

/// Whether `purge` removed all that had expired, as far as it was answered.
pub fn is_complete(purge: &Purge, expired: u64) -> bool {
    purge.removed == expired || purge.unavailable > 0 && purge.removed < expired
}

/// Load and save, for `seconds` without a purge and then for as long as one takes that removes `expired` sessions;
/// `None` for a store whose server removes them by itself.
pub async fn beside(kind: Kind, expired: u64, seconds: f64) -> Result<Option<Beside>> {
    let place = Place::of(kind).await.with_context(|| format!("{kind} has no server"))?;
    let store = store_any::connect(&place.url("scale")).await?;
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
    // In a task of its own, as a sweep is.
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
