//! Mutants with a wrong compare-and-set.

use session_core::Outcome::{Conflict, Done, Exists, Missing};
use session_core::{Outcome, Record, Result, StoreKey, Timestamp, Version, async_trait};

use super::mutant::{Mutant, mutant};
use crate::reference::fits;
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "upserting create",
            "create writes whatever is there",
            UpsertingCreate,
            ["create.exists", "create.race", "create.twice", "history.random"]
        ),
        mutant!("check-then-insert create", "create looks first and inserts later", CheckThenInsert, ["create.race"]),
        mutant!(
            "create refuses expired",
            "create answers Exists while an expired record lies there",
            RefusesExpired,
            ["create.expires-now", "create.over-expired", "create.race", "principal.follows"]
        ),
        mutant!("create twice is Exists", "create does not know its own earlier write", Forgetful, ["create.twice"]),
        mutant!(
            "create twice writes twice",
            "create writes again what a touch has moved on since",
            WritesTwice,
            ["create.twice"]
        ),
        mutant!(
            "upserting save",
            "save writes whether or not there is a record",
            UpsertingSave,
            [
                "create.expires-now",
                "delete.beats-writers",
                "history.random",
                "principal.delete-all-races",
                "save.burst",
                "save.deleted",
                "save.expired",
                "save.unknown",
                "save.waits-for-delete"
            ]
        ),
        mutant!(
            "save ignores the version",
            "save overwrites whatever version is live",
            LastWriteWins,
            [
                "history.random",
                "save.burst",
                "save.race",
                "save.stale",
                "save.twice",
                "save.waits-for-delete",
                "session.clash",
                "session.flash-two-readers",
                "session.identity",
                "session.login-race",
                "session.rotate",
                "session.replay"
            ]
        ),
        mutant!(
            "save revives",
            "save looks at the version and not at the expiry",
            RevivingSave,
            ["create.expires-now", "history.random", "save.expired"]
        ),
        mutant!("save twice conflicts", "save does not know its own earlier write", ForgetfulSave, ["save.twice"]),
        mutant!(
            "save twice writes twice",
            "save writes again what a touch has moved on since",
            SavesTwice,
            ["save.twice"]
        ),
        mutant!(
            "check-then-write save",
            "save compares first and writes later",
            CheckThenWrite,
            ["save.race", "save.counter", "history.random"]
        ),
        mutant!(
            "save counts changed rows",
            "save takes a write that changes no column but the version for none",
            ChangedRows,
            ["save.same-bytes"]
        ),
        mutant!(
            "save tells from its snapshot",
            "save takes its outcome from what it saw before it had to wait",
            Snapshot,
            ["save.waits-for-delete"]
        ),
        mutant!(
            "save of own version creates",
            "save takes promise 5 for a licence to write without a record",
            OwnVersion,
            ["save.deleted", "save.expired", "save.unknown"]
        ),
    ]
}

struct UpsertingCreate;

#[async_trait]
impl Twist for UpsertingCreate {
    async fn create(&self, at: &Instance, _: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        at.world.rows().put(key, record);
        Ok(Done)
    }
}

struct CheckThenInsert;

#[async_trait]
impl Twist for CheckThenInsert {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let seen = at.world.rows().live(now, key).map(|stored| stored.version);
        match seen {
            Some(version) if version == record.version => return Ok(Done),
            Some(_) => return Ok(Exists),
            None => {}
        }
        at.world.dawdle().await;
        at.world.rows().put(key, record);
        Ok(Done)
    }
}

struct RefusesExpired;

#[async_trait]
impl Twist for RefusesExpired {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let expired = rows.records.contains_key(key) && rows.live(now, key).is_none();
        Ok(if expired { Exists } else { rows.create(now, key, record) })
    }
}

struct Forgetful;

#[async_trait]
impl Twist for Forgetful {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        Ok(if rows.live(now, key).is_some() { Exists } else { rows.create(now, key, record) })
    }
}

struct WritesTwice;

#[async_trait]
impl Twist for WritesTwice {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let outcome = rows.create(now, key, record);
        if outcome == Done {
            rows.put(key, record);
        }
        Ok(outcome)
    }
}

struct UpsertingSave;

#[async_trait]
impl Twist for UpsertingSave {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let outcome = rows.save(now, key, from, record);
        if outcome != Missing {
            return Ok(outcome);
        }
        rows.put(key, record);
        Ok(Done)
    }
}

struct LastWriteWins;

#[async_trait]
impl Twist for LastWriteWins {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        _: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let Some(stored) = rows.live(now, key).map(|stored| stored.version) else { return Ok(Missing) };
        Ok(rows.save(now, key, stored, record))
    }
}

struct RevivingSave;

#[async_trait]
impl Twist for RevivingSave {
    async fn save(
        &self,
        at: &Instance,
        _: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        match rows.records.get(key).map(|stored| stored.version) {
            None => Ok(Missing),
            Some(version) if version == record.version && version != from => Ok(Done),
            Some(version) if version != from => Ok(Conflict),
            Some(_) => {
                rows.put(key, record);
                Ok(Done)
            }
        }
    }
}

struct ForgetfulSave;

#[async_trait]
impl Twist for ForgetfulSave {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let stored = rows.live(now, key).map(|stored| stored.version);
        let conflict = stored.is_some_and(|version| version != from);
        Ok(if conflict { Conflict } else { rows.save(now, key, from, record) })
    }
}

struct SavesTwice;

#[async_trait]
impl Twist for SavesTwice {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let outcome = rows.save(now, key, from, record);
        if outcome == Done {
            rows.put(key, record);
        }
        Ok(outcome)
    }
}

struct CheckThenWrite;

#[async_trait]
impl Twist for CheckThenWrite {
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
        if outcome != Done {
            return Ok(outcome);
        }
        at.world.dawdle().await;
        // Checks whether the record is still stored, but not its version.
        let mut rows = at.world.rows();
        let Some(stored) = rows.live(now, key).map(|stored| stored.version) else { return Ok(Missing) };
        Ok(rows.save(now, key, stored, record))
    }
}

struct ChangedRows;

#[async_trait]
impl Twist for ChangedRows {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let before = rows.live(now, key).cloned();
        let outcome = rows.save(now, key, from, record);
        let unchanged = before.is_some_and(|mut before| {
            let resent = before.version == record.version;
            before.version = record.version;
            before == *record && !(resent && record.version != from)
        });
        Ok(if outcome == Done && unchanged { Conflict } else { outcome })
    }
}

struct Snapshot;

#[async_trait]
impl Twist for Snapshot {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let was_there = at.world.rows().live(now, key).is_some();
        at.world.dawdle().await;
        let outcome = at.world.rows().save(now, key, from, record);
        Ok(if outcome == Missing && was_there { Conflict } else { outcome })
    }
}

struct OwnVersion;

#[async_trait]
impl Twist for OwnVersion {
    async fn save(
        &self,
        at: &Instance,
        now: Timestamp,
        key: &StoreKey,
        from: Version,
        record: &Record,
    ) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        if rows.live(now, key).is_none() && from == record.version {
            rows.put(key, record);
            return Ok(Done);
        }
        Ok(rows.save(now, key, from, record))
    }
}
