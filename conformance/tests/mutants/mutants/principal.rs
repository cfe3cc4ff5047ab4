//! Mutants with wrong sessions by principal.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use session_core::{Outcome, Principal, Record, Result, StoreKey, Timestamp, Version, async_trait};

use super::mutant::{Mutant, mutant};
use crate::reference::{Rows, fits};
use crate::twist::{Instance, Twist};

type Listed = Vec<(StoreKey, Record)>;

pub(super) fn mutants() -> Vec<Mutant> {
    vec![
        mutant!(
            "case-folded principals",
            "principals are compared without regard to case",
            Comparing(without_case),
            ["principal.exact"]
        ),
        mutant!(
            "trimmed principals",
            "blanks around a principal are not compared",
            Comparing(trimmed),
            ["principal.exact"]
        ),
        mutant!(
            "principals as patterns",
            "a principal is matched as a LIKE pattern",
            Comparing(like),
            ["principal.exact"]
        ),
        mutant!(
            "principals cut at 254 bytes",
            "the last byte of a long principal is not compared",
            Comparing(cut),
            ["principal.exact"]
        ),
        mutant!("listing without limit", "sessions_of takes no heed of its limit", Unlimited, ["principal.lists"]),
        mutant!(
            "limit counts the expired",
            "sessions_of takes expired records for some of its limit",
            CountsExpired,
            ["principal.lists"]
        ),
        mutant!(
            "listing shows expired",
            "sessions_of shows what is expired",
            Listing(with_expired),
            ["principal.delete-all", "principal.follows", "principal.lists", "principal.own-clock", "save.expires-now"]
        ),
        mutant!(
            "listing shows orphans",
            "sessions_of makes up a record for an index entry without one",
            Listing(with_orphans),
            ["principal.heals"]
        ),
        mutant!(
            "index written by create alone",
            "a save leaves the index as it was",
            IndexOnCreate,
            ["principal.follows"]
        ),
        mutant!(
            "index entries stay",
            "a save adds to the index and takes nothing away",
            StaleEntries,
            ["principal.follows", "touch.conflict"]
        ),
        mutant!(
            "index trimmed by the caller's clock",
            "a listing drops index entries that its now calls expired",
            Trimming,
            ["principal.follows", "principal.own-clock"]
        ),
        mutant!(
            "healing looks away",
            "a listing notes entries without records and drops them later",
            BlindHealing,
            ["principal.heals"]
        ),
        mutant!(
            "create over expired loses its entry",
            "the old record's entry is dropped after the new one is written",
            LosesEntry,
            ["create.over-expired", "principal.follows"]
        ),
        mutant!(
            "delete_all forgets keep",
            "delete_all removes what it should keep",
            Removing(no_keep),
            ["principal.delete-all", "principal.own-clock", "session.revoke-all"]
        ),
        mutant!(
            "delete_all keeps by owner",
            "delete_all does nothing when keep is another's",
            Removing(keep_by_owner),
            ["principal.delete-all"]
        ),
        mutant!(
            "delete_all removes keep's owner",
            "delete_all removes everybody's when keep is not found",
            Removing(everybody),
            ["principal.delete-all"]
        ),
        mutant!(
            "delete_all counts the expired",
            "delete_all counts what was expired",
            Removing(counts_expired),
            ["principal.delete-all", "principal.own-clock"]
        ),
        mutant!(
            "delete_all answers nothing",
            "delete_all does not count",
            Removing(counts_none),
            [
                "namespace.apart",
                "principal.delete-all",
                "principal.delete-all-races",
                "principal.exact",
                "principal.own-clock"
            ]
        ),
        mutant!(
            "delete_all by version",
            "delete_all removes only versions that it saw at its beginning",
            ByVersion,
            ["principal.delete-all-races"]
        ),
    ]
}

/// Replaces the comparison of a record's principal with the requested one.
struct Comparing(fn(&str, &str) -> bool);

fn without_case(stored: &str, asked: &str) -> bool {
    stored.eq_ignore_ascii_case(asked)
}

fn trimmed(stored: &str, asked: &str) -> bool {
    stored.trim() == asked.trim()
}

fn cut(stored: &str, asked: &str) -> bool {
    let head = |text: &str| text.as_bytes()[..text.len().min(254)].to_vec();
    head(stored) == head(asked)
}

/// Returns whether SQL's `LIKE` matches, without an escape character.
fn like(stored: &str, pattern: &str) -> bool {
    let Some(first) = pattern.chars().next() else { return stored.is_empty() };
    let rest = &pattern[first.len_utf8()..];
    let mut tail = stored.chars();
    match first {
        '%' => stored.char_indices().map(|(at, _)| at).chain([stored.len()]).any(|at| like(&stored[at..], rest)),
        '_' => tail.next().is_some() && like(tail.as_str(), rest),
        _ => tail.next() == Some(first) && like(tail.as_str(), rest),
    }
}

#[async_trait]
impl Twist for Comparing {
    async fn sessions_of(&self, at: &Instance, now: Timestamp, who: &Principal, limit: NonZeroU32) -> Result<Listed> {
        let rows = at.world.rows();
        let same = |record: &&Record| record.principal.as_ref().is_some_and(|p| (self.0)(p.as_str(), who.as_str()));
        let live = rows.records.iter().filter(|(_, record)| record.is_live(now) && same(record));
        Ok(live.map(|(key, record)| (*key, record.clone())).take(limit.get() as usize).collect())
    }
}

struct Unlimited;

#[async_trait]
impl Twist for Unlimited {
    async fn sessions_of(&self, at: &Instance, now: Timestamp, who: &Principal, _: NonZeroU32) -> Result<Listed> {
        Ok(at.world.rows().sessions_of(now, who))
    }
}

struct CountsExpired;

#[async_trait]
impl Twist for CountsExpired {
    async fn sessions_of(&self, at: &Instance, now: Timestamp, who: &Principal, limit: NonZeroU32) -> Result<Listed> {
        let mut all = at.world.rows().sessions_of(Timestamp::MIN, who);
        all.truncate(limit.get() as usize);
        Ok(all.into_iter().filter(|(_, record)| record.is_live(now)).collect())
    }
}

struct Listing(fn(&Rows, Timestamp, &Principal) -> Listed);

fn with_expired(rows: &Rows, _: Timestamp, who: &Principal) -> Listed {
    rows.sessions_of(Timestamp::MIN, who)
}

fn with_orphans(rows: &Rows, now: Timestamp, who: &Principal) -> Listed {
    let orphans = rows.index.iter().filter(|(listed, key)| listed == who && !rows.records.contains_key(key));
    let blank = || Record::new(Version::random(), now, Timestamp::MAX, Some(who.clone()), "{}".into());
    orphans.map(|(_, key)| (*key, blank())).chain(rows.sessions_of(now, who)).collect()
}

#[async_trait]
impl Twist for Listing {
    async fn sessions_of(&self, at: &Instance, now: Timestamp, who: &Principal, limit: NonZeroU32) -> Result<Listed> {
        let mut listed = (self.0)(&at.world.rows(), now, who);
        listed.truncate(limit.get() as usize);
        Ok(listed)
    }
}

struct IndexOnCreate;

#[async_trait]
impl Twist for IndexOnCreate {
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
        let index = rows.index.clone();
        let outcome = rows.save(now, key, from, record);
        rows.index = index;
        Ok(outcome)
    }
}

struct StaleEntries;

#[async_trait]
impl Twist for StaleEntries {
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
        let before = rows.index.clone();
        let outcome = rows.save(now, key, from, record);
        rows.index.extend(before);
        Ok(outcome)
    }

    /// Trusts the index, and so shows another principal's session.
    async fn sessions_of(&self, at: &Instance, now: Timestamp, who: &Principal, limit: NonZeroU32) -> Result<Listed> {
        let rows = at.world.rows();
        let keys: BTreeSet<_> = rows.index.iter().filter(|(listed, _)| listed == who).map(|(_, key)| *key).collect();
        let live = keys.iter().filter_map(|key| rows.live(now, key).map(|record| (*key, record.clone())));
        Ok(live.take(limit.get() as usize).collect())
    }
}

struct Trimming;

#[async_trait]
impl Twist for Trimming {
    async fn sessions_of(&self, at: &Instance, now: Timestamp, who: &Principal, limit: NonZeroU32) -> Result<Listed> {
        let mut rows = at.world.rows();
        let live: BTreeSet<_> =
            rows.records.iter().filter(|(_, record)| record.is_live(now)).map(|(key, _)| *key).collect();
        rows.index.retain(|(listed, key)| listed != who || live.contains(key));
        let mut listed = rows.sessions_of(now, who);
        listed.truncate(limit.get() as usize);
        Ok(listed)
    }
}

struct BlindHealing;

#[async_trait]
impl Twist for BlindHealing {
    async fn sessions_of(&self, at: &Instance, now: Timestamp, who: &Principal, limit: NonZeroU32) -> Result<Listed> {
        let orphans: Vec<_> = {
            let rows = at.world.rows();
            let entries = rows.index.iter().filter(|(listed, key)| listed == who && !rows.records.contains_key(key));
            entries.cloned().collect()
        };
        if !orphans.is_empty() {
            // Waits long enough for the record to appear.
            for _ in 0..200 {
                tokio::task::yield_now().await;
                if orphans.iter().any(|(_, key)| at.world.rows().records.contains_key(key)) {
                    break;
                }
            }
            let mut rows = at.world.rows();
            rows.index.retain(|entry| !orphans.contains(entry));
        }
        let mut listed = at.world.rows().sessions_of(now, who);
        listed.truncate(limit.get() as usize);
        Ok(listed)
    }
}

struct LosesEntry;

#[async_trait]
impl Twist for LosesEntry {
    async fn create(&self, at: &Instance, now: Timestamp, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record)?;
        let mut rows = at.world.rows();
        let over_expired = rows.records.contains_key(key) && rows.live(now, key).is_none();
        let outcome = rows.create(now, key, record);
        if over_expired {
            rows.index.retain(|(_, listed)| listed != key);
        }
        Ok(outcome)
    }
}

struct Removing(fn(&mut Rows, Timestamp, &Principal, Option<&StoreKey>) -> u64);

fn no_keep(rows: &mut Rows, now: Timestamp, who: &Principal, _: Option<&StoreKey>) -> u64 {
    rows.delete_all(now, who, None)
}

fn keep_by_owner(rows: &mut Rows, now: Timestamp, who: &Principal, keep: Option<&StoreKey>) -> u64 {
    let theirs = |key| rows.records.get(key).is_some_and(|record| record.principal.as_ref() == Some(who));
    if keep.is_some_and(|key| !theirs(key)) { 0 } else { rows.delete_all(now, who, keep) }
}

fn everybody(rows: &mut Rows, now: Timestamp, who: &Principal, keep: Option<&StoreKey>) -> u64 {
    let removed = rows.delete_all(now, who, keep);
    if let Some(other) =
        keep.filter(|key| rows.records.get(key).is_some_and(|record| record.principal.as_ref() != Some(who)))
    {
        rows.remove(other);
    }
    removed
}

fn counts_expired(rows: &mut Rows, _: Timestamp, who: &Principal, keep: Option<&StoreKey>) -> u64 {
    rows.delete_all(Timestamp::MIN, who, keep)
}

fn counts_none(rows: &mut Rows, now: Timestamp, who: &Principal, keep: Option<&StoreKey>) -> u64 {
    rows.delete_all(now, who, keep);
    0
}

#[async_trait]
impl Twist for Removing {
    async fn delete_all(&self, at: &Instance, now: Timestamp, who: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        Ok((self.0)(&mut at.world.rows(), now, who, keep))
    }
}

struct ByVersion;

#[async_trait]
impl Twist for ByVersion {
    async fn delete_all(&self, at: &Instance, now: Timestamp, who: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let seen = at.world.rows().sessions_of(now, who);
        at.world.dawdle().await;
        let mut rows = at.world.rows();
        let mut removed = 0;
        for (key, record) in seen.iter().filter(|(key, _)| Some(key) != keep) {
            removed += u64::from(rows.delete(now, key, Some(record.version)) == Outcome::Done);
        }
        Ok(removed)
    }
}
