//! Mutants in closing a store.

use session_core::Outcome::Done;
use session_core::{Error, ErrorKind, Outcome, Record, Result, StoreKey, Timestamp, async_trait};

use super::mutant::{Mutant, mutant};
use crate::reference::fits;
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "close forgets the last save",
            "a save is stored with the next one, and closing the store drops the last",
            ForgetsLast,
            ["close.kept"]
        ),
        mutant!("closed once only", "closing the store again is an error", ClosesOnce, ["close.twice"]),
        mutant!(
            "closed store breaks",
            "a call after the store was closed is an error of an unknown kind",
            BreaksAfterwards,
            ["close.twice", "close.in-flight"]
        ),
        mutant!(
            "closed store swallows",
            "a create that meets a store being closed is Done and stores nothing",
            Swallows,
            ["close.in-flight"]
        ),
    ]
}

/// Notes the key of the last save, and removes its record when the store is closed.
struct ForgetsLast;

#[async_trait]
impl Twist for ForgetsLast {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: session_core::Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        at.memo().key = Some(*key);
        Ok(at.world.rows().save(now, key, from, record))
    }

    async fn close(&self, at: &Instance) -> Result<()> {
        if let Some(key) = at.memo().key.take() {
            at.world.rows().remove(&key);
        }
        Ok(())
    }
}

struct ClosesOnce;

#[async_trait]
impl Twist for ClosesOnce {
    async fn close(&self, at: &Instance) -> Result<()> {
        if std::mem::replace(&mut at.memo().spoilt, true) {
            return Err(Error::fixed(ErrorKind::Unavailable, "the store was closed"));
        }
        Ok(())
    }
}

const BROKEN: Error = Error::fixed(ErrorKind::Other, "a pool was closed");

struct BreaksAfterwards;

#[async_trait]
impl Twist for BreaksAfterwards {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        if at.memo().spoilt { Err(BROKEN) } else { Ok(at.world.rows().create(now, key, record)) }
    }

    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        if at.memo().spoilt { Err(BROKEN) } else { Ok(at.world.rows().live(now, key).cloned()) }
    }

    async fn close(&self, at: &Instance) -> Result<()> {
        at.memo().spoilt = true;
        Ok(())
    }
}

struct Swallows;

#[async_trait]
impl Twist for Swallows {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        if at.memo().spoilt { Ok(Done) } else { Ok(at.world.rows().create(now, key, record)) }
    }

    async fn close(&self, at: &Instance) -> Result<()> {
        at.memo().spoilt = true;
        Ok(())
    }
}
