//! Mutants with wrong expiry.

use session_core::Outcome::{Done, Missing};
use session_core::{Error, ErrorKind, Outcome, Record, Result, StoreKey, Timestamp, Version, async_trait};

use super::mutant::{Mutant, mutant};
use crate::reference::fits;
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "expiry cut to seconds",
            "expiries are kept in whole seconds",
            Stored(to_seconds),
            ["create.round-trip", "load.boundary", "load.far-expiry", "touch.extends"]
        ),
        mutant!(
            "expiry rounded up to seconds",
            "expiries are kept in whole seconds, rounded up",
            Stored(up_to_seconds),
            ["create.round-trip", "load.boundary", "load.far-expiry", "touch.extends"]
        ),
        mutant!(
            "expiry ends in 2038",
            "expiries are kept in 31 bits of seconds",
            Stored(until_2038),
            ["create.round-trip", "load.far-expiry", "principal.own-clock"]
        ),
        mutant!(
            "zero means for ever",
            "a record that has expired when it is written never expires",
            ForEver,
            [
                "create.expires-now",
                "principal.delete-all",
                "principal.lists",
                "save.expires-now",
                "scan.complete",
                "touch.burst"
            ]
        ),
        mutant!(
            "past expiry is refused",
            "a write that has expired already is an error",
            RefusesPast,
            ["create.expires-now"]
        ),
        mutant!(
            "past save is missing",
            "a save that has expired already removes the record and says Missing",
            PastIsMissing,
            ["save.expires-now"]
        ),
        mutant!(
            "live at its expiry",
            "a record is live at its expiry too",
            Inclusive,
            [
                "create.expires-now",
                "history.random",
                "load.boundary",
                "load.burst",
                "load.far-expiry",
                "save.expired",
                "save.expires-now",
                "save.replaces",
                "touch.burst",
                "touch.conflict",
                "touch.expired",
                "touch.extends",
                "session.expiry"
            ]
        ),
        mutant!(
            "liveness by the server's clock",
            "load goes by the server's clock",
            ServersClock,
            [
                "create.expires-now",
                "delete.again",
                "load.boundary",
                "load.burst",
                "load.far-expiry",
                "load.reads-only",
                "namespace.apart",
                "purge.bounded",
                "purge.only-expired",
                "purge.two-clocks",
                "save.expired",
                "save.expires-now",
                "save.replaces",
                "touch.burst",
                "touch.conflict",
                "touch.expired",
                "touch.extends"
            ]
        ),
        mutant!(
            "server keeps for ever",
            "the server that should expire by itself does not",
            Keeping,
            ["expiry.server-removes"]
        )
        .on(crate::twist::Flavour::Expiring),
    ]
}

/// Changes the expiry of each stored record.
struct Stored(fn(Timestamp) -> Timestamp);

fn millis(at: i64) -> Timestamp {
    Timestamp::from_millis(at).unwrap_or(Timestamp::MAX)
}

pub(super) fn to_seconds(at: Timestamp) -> Timestamp {
    millis(at.as_millis() / 1000 * 1000)
}

fn up_to_seconds(at: Timestamp) -> Timestamp {
    millis((at.as_millis() + 999) / 1000 * 1000)
}

fn until_2038(at: Timestamp) -> Timestamp {
    at.min(millis(i64::from(i32::MAX) * 1000))
}

#[async_trait]
impl Twist for Stored {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let mut kept = record.clone();
        kept.expires_at = (self.0)(kept.expires_at);
        Ok(at.world.rows().create(now, key, &kept))
    }

    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut kept = record.clone();
        kept.expires_at = (self.0)(kept.expires_at);
        Ok(at.world.rows().save(now, key, from, &kept))
    }

    async fn touch(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        expires_at: Timestamp,
    ) -> Result<Outcome> {
        Ok(at.world.rows().touch(now, key, from, (self.0)(expires_at)))
    }
}

struct ForEver;

#[async_trait]
impl Twist for ForEver {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let mut kept = record.clone();
        if !kept.is_live(now) {
            kept.expires_at = Timestamp::MAX;
        }
        Ok(at.world.rows().create(now, key, &kept))
    }

    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut kept = record.clone();
        if !kept.is_live(now) {
            kept.expires_at = Timestamp::MAX;
        }
        Ok(at.world.rows().save(now, key, from, &kept))
    }
}

struct RefusesPast;

#[async_trait]
impl Twist for RefusesPast {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        if record.expires_at == Timestamp::MIN {
            return Err(Error::fixed(ErrorKind::Other, "invalid expire time"));
        }
        Ok(at.world.rows().create(now, key, record))
    }
}

struct PastIsMissing;

#[async_trait]
impl Twist for PastIsMissing {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let outcome = at.world.rows().save(now, key, from, record);
        Ok(if outcome == Done && !record.is_live(now) { Missing } else { outcome })
    }
}

struct Inclusive;

#[async_trait]
impl Twist for Inclusive {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        Ok(at.world.rows().records.get(key).filter(|record| record.expires_at >= now).cloned())
    }
}

struct ServersClock;

#[async_trait]
impl Twist for ServersClock {
    async fn load(&self, at: &Instance, _: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        use session_core::Clock as _;
        Ok(at.world.rows().live(session_core::SystemClock.now(), key).cloned())
    }
}

struct Keeping;

impl Twist for Keeping {
    fn expires(&self) -> bool {
        false
    }
}
