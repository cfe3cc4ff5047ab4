//! Mutants with wrong deletes and purges.

use std::num::NonZeroU32;

use session_core::Outcome::{Conflict, Done, Missing};
use session_core::{
    Clock as _, Outcome, Purged, Record, Result, StoreKey, SystemClock, Timestamp, Version, async_trait,
};

use super::mutant::{Mutant, mutant};
use crate::reference::{Rows, fits};
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "delete only expires",
            "delete sets the expiry to now",
            Expiring,
            ["delete.removes", "principal.follows"]
        ),
        mutant!(
            "delete is always done",
            "delete does not tell whether there was a record",
            AlwaysDone,
            ["delete.again"]
        ),
        mutant!(
            "delete ignores the version",
            "delete removes whatever version is there",
            AnyVersion,
            ["delete.stale", "save.waits-for-delete"]
        ),
        mutant!(
            "delete tells versions of the dead",
            "delete compares versions before it looks at the expiry",
            OfTheDead,
            ["delete.again"]
        ),
        mutant!(
            "delete does nothing",
            "delete answers and leaves the record",
            Nothing,
            [
                "close.kept",
                "delete.again",
                "delete.beats-writers",
                "delete.removes",
                "delete.stale",
                "history.random",
                "open.again",
                "principal.follows",
                "principal.heals",
                "save.deleted",
                "save.waits-for-delete",
                "touch.conflict",
                "touch.unknown",
                "session.list",
                "session.logout-races",
                "session.gone"
            ]
        ),
        mutant!(
            "delete removes what it did not lock",
            "delete looks, answers from that, and removes what has been created since",
            Unlocked,
            ["history.random"]
        ),
        mutant!(
            "save writes back",
            "save remembers its record and puts it back when it is gone",
            Restoring,
            ["save.waits-for-delete"]
        ),
        mutant!(
            "purge does nothing",
            "purge finds nothing ever",
            Purging(|_, _, _| Purged::new(0, false)),
            ["purge.bounded", "purge.later-now", "purge.only-expired", "purge.takes-nothing-live", "purge.two-clocks"]
        ),
        mutant!(
            "purge takes live records",
            "purge removes what expires within the hour",
            Purging(early),
            ["purge.only-expired", "purge.takes-nothing-live", "purge.two-clocks"]
        ),
        mutant!(
            "purge goes by place",
            "purge removes what is at an expired record's place, in each part of a table that has been split at 64 records",
            Purging(by_place),
            ["purge.takes-nothing-live"]
        ),
        mutant!(
            "purge trusts now",
            "purge removes what the caller's clock alone calls expired",
            Purging(by_caller),
            ["purge.two-clocks"]
        ),
        mutant!(
            "purge trusts the server",
            "purge removes what the server's clock alone calls expired",
            Purging(by_server),
            ["purge.two-clocks"]
        ),
        mutant!(
            "unbounded purge",
            "purge takes no heed of its limit",
            Purging(unbounded),
            ["purge.bounded", "purge.later-now", "purge.spares-done", "purge.takes-nothing-live"]
        ),
        mutant!(
            "purge never says more",
            "purge says that it is done when it is not",
            Purging(never_more),
            ["purge.bounded", "purge.later-now", "purge.takes-nothing-live"]
        ),
        mutant!(
            "purge always says more",
            "purge never says that it is done",
            Purging(always_more),
            [
                "purge.bounded",
                "purge.later-now",
                "purge.only-expired",
                "purge.spares-done",
                "purge.takes-nothing-live",
                "purge.two-clocks"
            ]
        ),
        mutant!(
            "purge goes by the first now",
            "purge goes by the `now` of the call that first said more, until it has said that there is no more",
            FirstNow,
            ["purge.later-now"]
        ),
        mutant!("purge by list", "purge removes the keys that it listed a while ago", ByList, ["purge.spares-done"]),
    ]
}

struct Expiring;

#[async_trait]
impl Twist for Expiring {
    async fn delete(&self, at: &Instance, now: Timestamp, key: &StoreKey, from: Option<Version>) -> Result<Outcome> {
        let mut rows = at.world.rows();
        let outcome = rows.clone().delete(now, key, from);
        if let (Done, Some(record)) = (outcome, rows.records.get_mut(key)) {
            record.expires_at = now;
        }
        Ok(outcome)
    }
}

struct AlwaysDone;

#[async_trait]
impl Twist for AlwaysDone {
    async fn delete(&self, at: &Instance, now: Timestamp, key: &StoreKey, from: Option<Version>) -> Result<Outcome> {
        let outcome = at.world.rows().delete(now, key, from);
        Ok(if outcome == Missing { Done } else { outcome })
    }
}

struct AnyVersion;

#[async_trait]
impl Twist for AnyVersion {
    async fn delete(&self, at: &Instance, now: Timestamp, key: &StoreKey, _: Option<Version>) -> Result<Outcome> {
        Ok(at.world.rows().delete(now, key, None))
    }
}

struct OfTheDead;

#[async_trait]
impl Twist for OfTheDead {
    async fn delete(&self, at: &Instance, _: Timestamp, key: &StoreKey, from: Option<Version>) -> Result<Outcome> {
        Ok(at.world.rows().delete(Timestamp::MIN, key, from))
    }
}

struct Nothing;

#[async_trait]
impl Twist for Nothing {
    async fn delete(&self, at: &Instance, now: Timestamp, key: &StoreKey, from: Option<Version>) -> Result<Outcome> {
        Ok(at.world.rows().clone().delete(now, key, from))
    }
}

struct Unlocked;

#[async_trait]
impl Twist for Unlocked {
    async fn delete(&self, at: &Instance, now: Timestamp, key: &StoreKey, from: Option<Version>) -> Result<Outcome> {
        let told = at.world.rows().delete(now, key, from);
        if told == Missing {
            at.world.dawdle().await;
            let _ = at.world.rows().delete(now, key, from);
        }
        Ok(told)
    }
}

struct Restoring;

#[async_trait]
impl Twist for Restoring {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let seen = at.world.rows().live(now, key).map(|stored| stored.version);
        match seen {
            None => return Ok(Missing),
            Some(version) if version == record.version => return Ok(Done),
            Some(version) if version != from => return Ok(Conflict),
            Some(_) => {}
        }
        at.world.dawdle().await;
        let mut rows = at.world.rows();
        if rows.live(now, key).is_none() {
            rows.put(key, record);
            return Ok(Done);
        }
        Ok(rows.save(now, key, from, record))
    }
}

struct Purging(fn(&mut Rows, Timestamp, NonZeroU32) -> Purged);

#[async_trait]
impl Twist for Purging {
    async fn purge(&self, at: &Instance, now: Timestamp, limit: NonZeroU32) -> Result<Purged> {
        Ok((self.0)(&mut at.world.rows(), now, limit))
    }
}

/// Removes up to `limit` records that are not live at `now`.
fn purge_at(rows: &mut Rows, now: Timestamp, limit: usize) -> Purged {
    let expired = rows.records.iter().filter(|(_, record)| !record.is_live(now));
    let mut keys: Vec<_> = expired.map(|(key, _)| *key).collect();
    let more = keys.len() > limit;
    keys.truncate(limit);
    keys.iter().for_each(|key| drop(rows.remove(key)));
    Purged::new(keys.len() as u32, more)
}

fn early(rows: &mut Rows, now: Timestamp, limit: NonZeroU32) -> Purged {
    let by_both = now.min(SystemClock.now());
    purge_at(rows, by_both.plus(session_core::hours(1)), limit.get() as usize)
}

/// Removes up to `limit` expired records, and those at the same place in other parts. A part has 64 records, in the order of keys.
fn by_place(rows: &mut Rows, now: Timestamp, limit: NonZeroU32) -> Purged {
    let keys: Vec<StoreKey> = rows.records.keys().copied().collect();
    let parts: Vec<&[StoreKey]> = keys.chunks(64).collect();
    let mut expired = rows.expired(now, limit);
    let more = expired.len() > limit.get() as usize;
    expired.truncate(limit.get() as usize);
    let place = |key| parts.iter().find_map(|part| part.iter().position(|at| at == key));
    let places: Vec<usize> = expired.iter().filter_map(place).collect();
    let gone = parts.iter().flat_map(|part| places.iter().filter_map(|place| part.get(*place)));
    let removed = gone.filter(|key| rows.remove(key).is_some()).count();
    Purged::new(removed as u32, more)
}

fn by_caller(rows: &mut Rows, now: Timestamp, limit: NonZeroU32) -> Purged {
    purge_at(rows, now, limit.get() as usize)
}

fn by_server(rows: &mut Rows, _: Timestamp, limit: NonZeroU32) -> Purged {
    purge_at(rows, SystemClock.now(), limit.get() as usize)
}

fn unbounded(rows: &mut Rows, now: Timestamp, _: NonZeroU32) -> Purged {
    purge_at(rows, now.min(SystemClock.now()), usize::MAX)
}

fn never_more(rows: &mut Rows, now: Timestamp, limit: NonZeroU32) -> Purged {
    Purged::new(rows.purge(now, limit).removed, false)
}

fn always_more(rows: &mut Rows, now: Timestamp, limit: NonZeroU32) -> Purged {
    Purged::new(rows.purge(now, limit).removed, true)
}

struct FirstNow;

#[async_trait]
impl Twist for FirstNow {
    async fn purge(&self, at: &Instance, now: Timestamp, limit: NonZeroU32) -> Result<Purged> {
        let mut memo = at.memo();
        let now = *memo.now.get_or_insert(now);
        let purged = at.world.rows().purge(now, limit);
        if !purged.more {
            memo.now = None;
        }
        Ok(purged)
    }
}

struct ByList;

#[async_trait]
impl Twist for ByList {
    async fn purge(&self, at: &Instance, now: Timestamp, limit: NonZeroU32) -> Result<Purged> {
        let mut keys = at.world.rows().expired(now, limit);
        let more = keys.len() > limit.get() as usize;
        keys.truncate(limit.get() as usize);
        at.world.dawdle().await;
        let mut rows = at.world.rows();
        let removed = keys.iter().filter(|key| rows.remove(key).is_some()).count();
        Ok(Purged::new(removed as u32, more))
    }
}
