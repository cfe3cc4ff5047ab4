//! Mutants that read with a wrong key, a wrong clock, or another call's operands.

use session_core::{Outcome, Record, Result, StoreKey, Timestamp, Version, async_trait};

use super::mutant::{Mutant, mutant};
use crate::reference::fits;
use crate::twist::{Instance, Twist};

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "case-folded keys",
            "keys are compared as text without regard to case",
            Keyed(folded),
            ["load.exact-key"]
        ),
        mutant!("keys cut by a byte", "the last byte of a key is not stored", Keyed(shortened), ["load.exact-key"]),
        mutant!(
            "keys with a bit for other things",
            "one bit of a key is used for something else",
            Keyed(masked),
            ["load.exact-key"]
        ),
        mutant!(
            "unknown keys are adopted",
            "a load of an unknown key makes an empty session",
            Adopting,
            [
                "close.kept",
                "delete.beats-writers",
                "delete.removes",
                "delete.stale",
                "history.random",
                "limits.too-large",
                "load.burst",
                "load.unknown",
                "namespace.apart",
                "open.again",
                "principal.delete-all",
                "principal.delete-all-races",
                "purge.bounded",
                "purge.later-now",
                "purge.only-expired",
                "purge.spares-done",
                "purge.takes-nothing-live",
                "save.burst",
                "save.deleted",
                "save.unknown",
                "save.waits-for-delete",
                "touch.burst",
                "touch.unknown",
                "session.lazy"
            ]
        ),
        mutant!(
            "load deletes expired",
            "a load that finds an expired record removes it",
            DeletingLoad,
            ["load.burst", "load.far-expiry", "load.reads-only", "save.replaces", "touch.conflict", "touch.extends"]
        ),
        mutant!(
            "reads are cached",
            "an instance answers from its own memory what another has changed",
            Cached,
            [
                "create.twice",
                "delete.beats-writers",
                "delete.removes",
                "delete.stale",
                "history.random",
                "limits.too-large",
                "load.far-expiry",
                "namespace.apart",
                "purge.bounded",
                "purge.only-expired",
                "save.counter",
                "save.replaces",
                "save.same-bytes",
                "save.twice",
                "touch.conflict",
                "touch.extends",
                "touch.keeps-record",
                "touch.never-shortens"
            ]
        ),
        mutant!(
            "a batch has one clock",
            "loads in flight together are decided by the first one's now",
            OneClock,
            ["load.burst"]
        ),
        mutant!(
            "a batch mixes answers",
            "loads in flight together get the last one's record",
            Mixing,
            ["cancel.burst", "cancel.load", "cancel.save", "load.burst"]
        ),
    ]
}

/// Replaces the key of every operation.
struct Keyed(fn(&StoreKey) -> StoreKey);

fn folded(key: &StoreKey) -> StoreKey {
    StoreKey::from_bytes(key.as_bytes().map(|byte| byte.to_ascii_lowercase()))
}

fn shortened(key: &StoreKey) -> StoreKey {
    let mut bytes = *key.as_bytes();
    bytes[StoreKey::LEN - 1] = 0;
    StoreKey::from_bytes(bytes)
}

fn masked(key: &StoreKey) -> StoreKey {
    let mut bytes = *key.as_bytes();
    bytes[16] &= 0x7F;
    StoreKey::from_bytes(bytes)
}

#[async_trait]
impl Twist for Keyed {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        // The key itself remains readable in listings. Only the look-up is wrong.
        let mut rows = at.world.rows();
        let known = rows.records.keys().find(|known| (self.0)(known) == (self.0)(key)).copied();
        Ok(rows.create(now, &known.unwrap_or(*key), record))
    }

    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        let rows = at.world.rows();
        let known = rows.records.keys().find(|known| (self.0)(known) == (self.0)(key));
        Ok(known.and_then(|known| rows.live(now, known).cloned()))
    }
}

struct Adopting;

#[async_trait]
impl Twist for Adopting {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        let mut rows = at.world.rows();
        if !rows.records.contains_key(key) {
            let blank = Record::new(Version::random(), now, now.plus(session_core::hours(1)), None, "{}".into());
            rows.put(key, &blank);
        }
        Ok(rows.live(now, key).cloned())
    }
}

struct DeletingLoad;

#[async_trait]
impl Twist for DeletingLoad {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        let mut rows = at.world.rows();
        if rows.live(now, key).is_none() {
            rows.remove(key);
        }
        Ok(rows.live(now, key).cloned())
    }
}

struct Cached;

#[async_trait]
impl Twist for Cached {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        let known = at.memo().seen.get(key).cloned().flatten();
        if let Some(record) = known {
            return Ok(Some(record).filter(|record| record.is_live(now)));
        }
        let seen = at.world.rows().live(now, key).cloned();
        at.memo().seen.insert(*key, seen.clone());
        Ok(seen)
    }
}

struct OneClock;

#[async_trait]
impl Twist for OneClock {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        let first = {
            let mut memo = at.memo();
            memo.in_flight += 1;
            *memo.now.get_or_insert(now)
        };
        at.world.dawdle().await;
        let answer = at.world.rows().live(first, key).cloned();
        let mut memo = at.memo();
        memo.in_flight -= 1;
        if memo.in_flight == 0 {
            memo.now = None;
        }
        Ok(answer)
    }
}

struct Mixing;

#[async_trait]
impl Twist for Mixing {
    async fn load(&self, at: &Instance, now: Timestamp, key: &StoreKey) -> Result<Option<Record>> {
        at.memo().key = Some(*key);
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
        let last = at.memo().key.unwrap_or(*key);
        Ok(at.world.rows().live(now, &last).cloned())
    }
}
