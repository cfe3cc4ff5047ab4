//! Mutants in bursts of calls, and with futures that are dropped or no longer polled.

use session_core::Outcome::{Done, Missing};
use session_core::{Error, ErrorKind, Outcome, Record, Result, StoreKey, Timestamp, Version, async_trait};

use super::mutant::{Mutant, mutant};
use crate::reference::fits;
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "save in two steps",
            "save removes the old record and writes the new one a little later",
            TwoSteps,
            ["cancel.save"]
        )
        .may(&["save.twice"]),
        mutant!(
            "half-written save",
            "save writes the version first and the data a little later",
            HalfWritten,
            ["cancel.save"]
        ),
        mutant!(
            "load leaks permits",
            "a load that is dropped never gives its permit back",
            LeakingLoad,
            ["cancel.load"]
        ),
        mutant!(
            "save leaks permits",
            "a save that is dropped never gives its permit back",
            LeakingSave,
            ["cancel.burst"]
        ),
        mutant!(
            "a burst fails together",
            "one record that is too large fails all saves in flight",
            FailsTogether,
            ["save.burst"]
        ),
        mutant!(
            "a burst dies with its leader",
            "when the save that leads a batch is dropped the others hang",
            DiesWithLeader,
            ["cancel.burst", "cancel.save", "cancel.stalled"]
        ),
        mutant!(
            "one at a time",
            "a save takes its turn with its first poll and ends it with its last",
            OneAtATime,
            ["cancel.stalled"]
        ),
    ]
}

async fn a_little() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

struct TwoSteps;

#[async_trait]
impl Twist for TwoSteps {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let outcome = at.world.rows().clone().save(now, key, from, record);
        if outcome == Done {
            at.world.rows().remove(key);
            a_little().await;
            at.world.rows().put(key, record);
        }
        Ok(outcome)
    }
}

struct HalfWritten;

#[async_trait]
impl Twist for HalfWritten {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let Some(before) = at.world.rows().live(now, key).cloned() else { return Ok(Missing) };
        let mut half = record.clone();
        half.data = before.data;
        let outcome = at.world.rows().save(now, key, from, &half);
        if outcome == Done {
            a_little().await;
            if let Some(stored) = at.world.rows().records.get_mut(key).filter(|stored| stored.version == record.version)
            {
                stored.data = record.data.clone();
            }
        }
        Ok(outcome)
    }
}

/// Runs `run` with a permit that a dropped future does not return.
async fn with_permit<T>(at: &Instance, run: impl FnOnce() -> T) -> Result<T> {
    const CLOSED: Error = Error::fixed(ErrorKind::Other, "the semaphore is closed");
    at.permits.acquire().await.map_err(|_| CLOSED)?.forget();
    a_little().await;
    let answer = run();
    at.permits.add_permits(1);
    Ok(answer)
}

struct LeakingLoad;

#[async_trait]
impl Twist for LeakingLoad {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        with_permit(at, || at.world.rows().live(now, key).cloned()).await
    }
}

struct LeakingSave;

#[async_trait]
impl Twist for LeakingSave {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        with_permit(at, || at.world.rows().save(now, key, from, record)).await
    }
}

struct OneAtATime;

#[async_trait]
impl Twist for OneAtATime {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let _turn = at.turn.lock().await;
        a_little().await;
        Ok(at.world.rows().save(now, key, from, record))
    }
}

struct FailsTogether;

#[async_trait]
impl Twist for FailsTogether {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        {
            let mut memo = at.memo();
            memo.in_flight += 1;
            memo.spoilt |= fits(record).is_err();
        }
        at.world.dawdle().await;
        let spoilt = {
            let mut memo = at.memo();
            memo.in_flight -= 1;
            let spoilt = memo.spoilt;
            if memo.in_flight == 0 {
                memo.spoilt = false;
            }
            spoilt
        };
        if spoilt {
            return Err(Error::fixed(ErrorKind::TooLarge, "the batch is too large"));
        }
        Ok(at.world.rows().save(now, key, from, record))
    }
}

struct DiesWithLeader;

#[async_trait]
impl Twist for DiesWithLeader {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        // The first caller leads the batch, and the others wait for it.
        let leads = {
            let mut memo = at.memo();
            !std::mem::replace(&mut memo.spoilt, true)
        };
        if leads {
            a_little().await;
            at.memo().spoilt = false;
        } else {
            while at.memo().spoilt {
                tokio::task::yield_now().await;
            }
        }
        Ok(at.world.rows().save(now, key, from, record))
    }
}
