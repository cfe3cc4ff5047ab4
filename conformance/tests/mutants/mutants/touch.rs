//! Mutants with wrong touches.

use session_core::Outcome::{Conflict, Done, Missing};
use session_core::{Outcome, Record, Result, StoreKey, Timestamp, Version, async_trait};

use super::expiry::to_seconds;
use super::mutant::{Mutant, mutant};
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "touch does nothing",
            "touch answers and moves nothing",
            Touching(|_, _| None),
            [
                "create.twice",
                "history.random",
                "principal.follows",
                "save.twice",
                "touch.burst",
                "touch.extends",
                "touch.keeps-record",
                "touch.never-shortens",
                "touch.twice"
            ]
        ),
        mutant!(
            "touch sets",
            "touch sets the expiry, nearer too",
            Touching(|_, at| Some(at)),
            ["history.random", "touch.never-shortens"]
        ),
        mutant!("touch in seconds", "touch moves the expiry to whole seconds", Touching(in_seconds), ["touch.extends"]),
        mutant!(
            "touch bumps the version",
            "touch draws a new version",
            Bumping,
            [
                "create.twice",
                "load.far-expiry",
                "save.twice",
                "touch.burst",
                "touch.extends",
                "touch.keeps-record",
                "touch.never-shortens",
                "touch.twice"
            ]
        ),
        mutant!(
            "touch drops the index entry",
            "touch leaves the index entry to expire",
            Unlisting,
            ["principal.follows", "touch.keeps-record"]
        ),
        mutant!(
            "touch is always done",
            "touch does not tell whether there was a record",
            AlwaysDone,
            [
                "purge.spares-done",
                "save.expires-now",
                "touch.burst",
                "touch.conflict",
                "touch.expired",
                "touch.unknown"
            ]
        ),
        mutant!(
            "touch ignores the version",
            "touch moves whatever version is there",
            AnyVersion,
            ["history.random", "touch.burst", "touch.conflict", "touch.race", "session.no-op"]
        ),
        mutant!(
            "refused touch is missing",
            "touch answers Missing for another version",
            Refusing(Missing),
            ["history.random", "touch.burst", "touch.conflict", "touch.race"]
        ),
        mutant!(
            "refused touch is done",
            "touch answers Done for another version, and moves nothing",
            Refusing(Done),
            ["history.random", "touch.burst", "touch.conflict", "touch.race", "session.no-op"]
        ),
        mutant!(
            "touch tells versions of the dead",
            "touch compares versions before it looks at the expiry",
            OfTheDead,
            ["touch.conflict"]
        ),
        mutant!(
            "touch looks first",
            "touch compares the version and moves the expiry in a second step",
            LooksFirst,
            ["touch.race"]
        ),
        mutant!(
            "touch counts changed rows",
            "touch answers Missing where the expiry is as late already",
            CountsChanged,
            ["load.far-expiry", "touch.never-shortens", "touch.twice"]
        ),
        mutant!(
            "a batch of touches is refused together",
            "touches in flight with one of another version are Conflict too",
            RefusedTogether,
            ["touch.burst"]
        ),
        mutant!(
            "touch creates",
            "touch makes an empty record where there is none",
            Creating,
            ["delete.beats-writers", "purge.spares-done", "touch.burst", "touch.unknown"]
        ),
        mutant!(
            "touch revives",
            "touch looks for the key and not at the expiry",
            Reviving,
            ["save.expires-now", "touch.burst", "touch.conflict", "touch.expired"]
        ),
        mutant!(
            "touch writes back",
            "touch reads the record and writes it back later",
            WritingBack,
            ["delete.beats-writers"]
        )
        .may(&["touch.never-shortens"]),
    ]
}

/// A touch of a record, and the store's instance.
struct Touch<'a> {
    at: &'a Instance,
    now: Timestamp,
    key: &'a StoreKey,
    from: Version,
    expires_at: Timestamp,
}

/// Makes mutants of types that carry out a [`Touch`] in their own way.
macro_rules! touches {
    ($($mutant:ident),+ $(,)?) => {$(
        #[async_trait]
        impl Twist for $mutant {
            async fn touch(
                &self,
                at: &Instance,
                now: Timestamp,
                key: &StoreKey,
                from: Version,
                expires_at: Timestamp,
            ) -> Result<Outcome> {
                self.carry_out(Touch { at, now, key, from, expires_at }).await
            }
        }
    )+};
}

touches!(
    Touching,
    Bumping,
    Unlisting,
    AlwaysDone,
    AnyVersion,
    Refusing,
    OfTheDead,
    LooksFirst,
    CountsChanged,
    RefusedTogether,
    Creating,
    Reviving,
    WritingBack
);

/// Computes the expiry after a touch from the stored one and the requested one.
struct Touching(fn(Timestamp, Timestamp) -> Option<Timestamp>);

fn in_seconds(before: Timestamp, at: Timestamp) -> Option<Timestamp> {
    Some(before.max(to_seconds(at)))
}

impl Touching {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let mut rows = at.world.rows();
        let Some(before) = rows.live(now, key).cloned() else { return Ok(Missing) };
        if before.version != from {
            return Ok(Conflict);
        }
        if let Some(expires_at) = (self.0)(before.expires_at, expires_at) {
            let mut after = before;
            after.expires_at = expires_at;
            rows.put(key, &after);
        }
        Ok(Done)
    }
}

struct Bumping;

impl Bumping {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let mut rows = at.world.rows();
        let outcome = rows.touch(now, key, from, expires_at);
        if let (Done, Some(record)) = (outcome, rows.records.get_mut(key)) {
            record.version = Version::random();
        }
        Ok(outcome)
    }
}

struct Unlisting;

impl Unlisting {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let mut rows = at.world.rows();
        let outcome = rows.touch(now, key, from, expires_at);
        rows.index.retain(|(_, listed)| listed != key);
        Ok(outcome)
    }
}

struct AlwaysDone;

impl AlwaysDone {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let _ = at.world.rows().touch(now, key, from, expires_at);
        Ok(Done)
    }
}

struct AnyVersion;

impl AnyVersion {
    async fn carry_out(&self, Touch { at, now, key, expires_at, .. }: Touch<'_>) -> Result<Outcome> {
        let mut rows = at.world.rows();
        let Some(there) = rows.live(now, key).map(|record| record.version) else { return Ok(Missing) };
        Ok(rows.touch(now, key, there, expires_at))
    }
}

/// Answers this instead of `Conflict`.
struct Refusing(Outcome);

impl Refusing {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let outcome = at.world.rows().touch(now, key, from, expires_at);
        Ok(if outcome == Conflict { self.0 } else { outcome })
    }
}

struct OfTheDead;

impl OfTheDead {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let mut rows = at.world.rows();
        if rows.records.get(key).is_some_and(|record| record.version != from) {
            return Ok(Conflict);
        }
        Ok(rows.touch(now, key, from, expires_at))
    }
}

struct LooksFirst;

impl LooksFirst {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let seen = at.world.rows().live(now, key).map(|record| record.version);
        if seen.is_some_and(|seen| seen != from) {
            return Ok(Conflict);
        }
        at.world.dawdle().await;
        AnyVersion.touch(at, now, key, from, expires_at).await
    }
}

struct CountsChanged;

impl CountsChanged {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let mut rows = at.world.rows();
        let same = |record: &Record| record.version == from && record.expires_at >= expires_at;
        if rows.live(now, key).is_some_and(same) {
            return Ok(Missing);
        }
        Ok(rows.touch(now, key, from, expires_at))
    }
}

struct RefusedTogether;

impl RefusedTogether {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let other = at.world.rows().live(now, key).is_some_and(|record| record.version != from);
        {
            let mut memo = at.memo();
            memo.in_flight += 1;
            memo.spoilt |= other;
        }
        at.world.dawdle().await;
        let spoilt = {
            let mut memo = at.memo();
            memo.in_flight -= 1;
            let spoilt = memo.spoilt;
            memo.spoilt &= memo.in_flight > 0;
            spoilt
        };
        if spoilt {
            return Ok(Conflict);
        }
        Ok(at.world.rows().touch(now, key, from, expires_at))
    }
}

struct Creating;

impl Creating {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let mut rows = at.world.rows();
        let outcome = rows.touch(now, key, from, expires_at);
        if !rows.records.contains_key(key) {
            rows.put(key, &Record::new(Version::random(), now, expires_at, None, "{}".into()));
        }
        Ok(outcome)
    }
}

struct Reviving;

impl Reviving {
    async fn carry_out(&self, Touch { at, key, from, expires_at, .. }: Touch<'_>) -> Result<Outcome> {
        Ok(at.world.rows().touch(Timestamp::MIN, key, from, expires_at))
    }
}

struct WritingBack;

impl WritingBack {
    async fn carry_out(&self, Touch { at, now, key, from, expires_at }: Touch<'_>) -> Result<Outcome> {
        let Some(mut record) = at.world.rows().live(now, key).cloned() else { return Ok(Missing) };
        if record.version != from {
            return Ok(Conflict);
        }
        at.world.dawdle().await;
        record.expires_at = record.expires_at.max(expires_at);
        at.world.rows().put(key, &record);
        Ok(Done)
    }
}
