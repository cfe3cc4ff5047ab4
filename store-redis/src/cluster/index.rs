//! Index entries on a cluster, where a record and its entry may be on different nodes and no step spans both.
//!
//! An entry without a record only costs space, but a record without an entry would be missed by lists and `delete_all`.
//! These rules ensure that every record has its entry:
//!
//! 1. *The entry is written first.* A record gets a principal only in a script that is given the time at which the entry was written,
//!    by the clock of the entry's node. The script refuses if that time differs from its own by more than [`LEASE`].
//!    It stores in the header until when the entry is kept (`index_until`).
//! 2. *The entry outlives the record.* A script refuses an expiry later than `index_until - MARGIN` (see [`MARGIN`]) and returns the principal,
//!    so that the caller can renew the entry and retry. A touch or save within that bound needs no new entry,
//!    because the stored record has the same principal and its entry is kept for long enough.
//! 3. *An entry never gets an earlier expiry.* `ZADD GT` ensures that, and a comparison does for the index's own expiry.
//!    So a writer can rely on the time that it wrote, even if another writer of the record has written the entry meanwhile.
//! 4. *An entry expires* only when its time has passed by its node's clock. Its record has then expired by the clock of the record's node,
//!    if the two clocks differ by less than [`MARGIN`].
//! 5. *Healing* removes an entry whose record is missing or has another principal, in three steps.
//!    First, a listing that finds such an entry marks it as doubtful (`scripts/cluster/heal.lua`).
//!    Second, a listing at least [`GRACE`] later finds the mark and *then* reads the record.
//!    Third, if the record still does not have the principal, the entry is removed, provided that the mark is unchanged.
//!    Writing the entry removes the mark in the same step.
//!
//! Healing never removes the entry of a record, because an unchanged mark means that the entry was not written since it was marked.
//! A record that relies on an earlier write of the entry was itself written within [`LEASE`] of that write.
//! That was before the record was read, because [`GRACE`] is longer, so the read would have found it.
//! A record that relies on a later write of the entry gets a new entry.
//!
//! All these times are servers' times. The caller's `now` decides which records are live and never removes an entry,
//! even if the caller's clock is far ahead.
//! The clocks of two nodes may differ by [`SKEW`], a long time for machines of one cluster.
//! If they differ by more than [`LEASE`], writes that need an entry are refused, so no entry is lost silently.
//!
//! These rules cannot prevent the loss of an entry in a failover to a replica that had not received it while the record's node kept the record.
//! The entry is written again when it must next be renewed.
//!
//! `delete` and `delete_all` leave entries to healing, because another call may be about to store a record under the key again.
//!
//! A doubt mark is a member of the index, `?` and the key. Its score is the negated time from which the entry may be removed.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Cmd, Value};
use session_core::{Call, Error, ErrorKind, Outcome, Principal, Result, StoreKey, Timestamp};

use crate::error::UNEXPECTED_REPLY;
use crate::record::OTHER_LAYOUT;
use crate::scripts::{ClusterIndex, EntryTimes, HEAL_BATCH, Script};
use crate::{Intent, RedisStore};

/// Maximum difference between the clocks of two nodes.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// Maximum time between writing an entry and writing its record, by the clocks of their two nodes.
const LEASE: Duration = SKEW.saturating_add(Duration::from_secs(60));

/// Minimum time for which an entry is marked as doubtful before it is removed.
///
/// Longer than any record that relies on the entry can take to be written. The clocks at the start and at the end may differ,
/// because the index may move to another node.
const GRACE: Duration = LEASE.saturating_add(SKEW.saturating_mul(2)).saturating_add(Duration::from_secs(60));

/// Minimum time by which an entry outlives its record.
const MARGIN: Duration = SKEW.saturating_mul(2);

/// Times that the scripts compare.
pub(crate) const TIMES: EntryTimes = EntryTimes { lease: LEASE, margin: MARGIN, grace: GRACE };

/// Bounds of the time by which a new entry outlives its record.
///
/// Within them it is half of the record's remaining lifetime, so that not every touch has to write the entry again.
const SPARE: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(30 * 24 * 3600));

/// Maximum number of records that one call removes concurrently.
const DELETE_BATCH: usize = 64;

/// Maximum number of attempts at a write whose record's principal changes between them.
const ATTEMPTS: usize = 16;

const TOO_LATE: Error = Error::fixed(
    ErrorKind::Unavailable,
    "the record could not be written soon after its index entry: the clocks of the cluster's nodes differ, or other calls kept changing the record's principal",
);

/// Returns the time until which the entry of a record written at `now` is kept.
fn entry_until(now: Timestamp, expires_at: Timestamp) -> i64 {
    let spare = (expires_at.since(now) / 2).clamp(SPARE.0, SPARE.1);
    expires_at.as_millis().saturating_add(i64::try_from(spare.as_millis()).unwrap_or(i64::MAX))
}

/// Index entry that a write may rely on.
#[derive(Default)]
struct Entry {
    until: [u8; 8],
    principal: Vec<u8>,
    /// Time at which the entry was written, by the clock of its node.
    at: Vec<u8>,
}

impl RedisStore {
    /// Runs a write, and writes the index entry and retries while the script requires an entry.
    pub(crate) async fn write_on_cluster(
        &self,
        scripts: &ClusterIndex,
        script: &Script,
        key: &StoreKey,
        intent: &Intent<'_>,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value> {
        let name = self.0.keys.record(key);
        let mut entry = match intent.principal {
            Some(principal) => self.enter(scripts, key, intent, principal.as_str().as_bytes().to_vec()).await?,
            None => Entry::default(),
        };
        for _ in 0..ATTEMPTS {
            let writing = self.run(script, &name, |command| {
                arguments(command);
                command.arg(&entry.until[..]).arg(&entry.principal).arg(&entry.at);
            });
            match writing.await? {
                Value::BulkString(principal) => entry = self.enter(scripts, key, intent, principal).await?,
                answer => return Ok(answer),
            }
        }
        Err(TOO_LATE)
    }

    async fn enter(
        &self,
        scripts: &ClusterIndex,
        key: &StoreKey,
        intent: &Intent<'_>,
        principal: Vec<u8>,
    ) -> Result<Entry> {
        let until = entry_until(intent.now, intent.expires_at);
        let index = self.0.keys.index_of(&principal);
        let written = self.run(&scripts.enter, &index, |command| {
            command.arg(&key.as_bytes()[..]).arg(until);
        });
        let Value::BulkString(at) = written.await? else { return Err(UNEXPECTED_REPLY) };
        Ok(Entry { until: until.to_be_bytes(), principal, at })
    }

    /// Returns the keys of a principal's entries, and the marks of those that have been doubtful for at least [`GRACE`].
    pub(crate) async fn cluster_entries(
        &self,
        scripts: &ClusterIndex,
        index: &[u8],
        now: Timestamp,
    ) -> Result<(Vec<StoreKey>, Doubts)> {
        let listing = self.run(&scripts.list, index, |command| {
            command.arg(now.as_millis());
        });
        let Value::Array(answer) = listing.await? else { return Err(UNEXPECTED_REPLY) };
        let Ok([Value::Array(members), Value::Array(doubts)]) = <[Value; 2]>::try_from(answer) else {
            return Err(UNEXPECTED_REPLY);
        };
        let bytes = |value| if let Value::BulkString(bytes) = value { Ok(bytes) } else { Err(UNEXPECTED_REPLY) };
        let key = |value| StoreKey::from_slice(&bytes(value)?);
        let keys = members.into_iter().map(key).collect::<Result<_>>()?;
        let (mut known, mut doubts) = (HashMap::new(), doubts.into_iter());
        while let (Some(member), Some(doubt)) = (doubts.next(), doubts.next()) {
            known.insert(key(member)?, bytes(doubt)?);
        }
        Ok((keys, Doubts(known)))
    }

    /// Removes entries that have been doubtful for long enough, and marks the others.
    pub(crate) async fn heal_on_cluster(
        &self,
        scripts: &ClusterIndex,
        index: &[u8],
        stale: &[StoreKey],
        doubts: &Doubts,
    ) -> Result<()> {
        for batch in stale.chunks(HEAL_BATCH) {
            let healing = self.run(&scripts.heal, index, |command| {
                for key in batch {
                    command.arg(&key.as_bytes()[..]).arg(doubts.of(key));
                }
            });
            healing.await?;
        }
        Ok(())
    }

    /// Removes every live record of a principal. A script on each record's node checks its principal.
    pub(crate) async fn remove_all_on_cluster(
        &self,
        scripts: &ClusterIndex,
        call: &Call,
        principal: &Principal,
        keep: Option<&StoreKey>,
    ) -> Result<u64> {
        let index = self.0.keys.index(principal);
        let (mut keys, _) = self.cluster_entries(scripts, &index, call.now).await?;
        keys.retain(|key| Some(key) != keep);
        let mut removed = 0;
        for batch in keys.chunks(DELETE_BATCH) {
            let removing = batch.iter().map(|key| self.remove_if_owned(scripts, call, principal, key));
            for outcome in join_all(removing).await {
                removed += u64::from(outcome? == Outcome::Done);
            }
        }
        // Marking an entry whose record still exists is harmless, because a later listing reads the record before it removes the entry.
        self.heal_on_cluster(scripts, &index, &keys, &Doubts::default()).await?;
        Ok(removed)
    }

    /// Removes the record under `key` if it is live and belongs to the principal.
    async fn remove_if_owned(
        &self,
        scripts: &ClusterIndex,
        call: &Call,
        principal: &Principal,
        key: &StoreKey,
    ) -> Result<Outcome> {
        let name = self.0.keys.record(key);
        let removing = self.run(&scripts.remove, &name, |command| {
            command.arg(call.now.as_millis()).arg(principal.as_str());
        });
        match removing.await? {
            Value::Int(0) => Ok(Outcome::Done),
            Value::Int(2 | 3) => Ok(Outcome::Missing),
            Value::Int(4) => Err(OTHER_LAYOUT),
            _ => Err(UNEXPECTED_REPLY),
        }
    }

    /// Reads the values of some keys, each with a separate command to its node.
    pub(crate) async fn get_each(&self, keys: &[StoreKey]) -> Result<Vec<Value>> {
        let getting = keys.iter().map(|key| async move {
            let name = self.0.keys.record(key);
            Ok(self.0.router.send(&name, redis::cmd("GET").arg(&name)).await?)
        });
        join_all(getting).await.into_iter().collect()
    }
}

/// Doubtful entries that a listing may remove, with the marks to compare.
#[derive(Default)]
pub(crate) struct Doubts(HashMap<StoreKey, Vec<u8>>);

impl Doubts {
    fn of(&self, key: &StoreKey) -> &[u8] {
        self.0.get(key).map_or(&[], |doubt| doubt)
    }
}

#[cfg(test)]
mod tests {
    use session_core::{hours, minutes, seconds};

    use super::*;

    #[test]
    fn an_entry_outlives_its_record_by_half_of_its_time_within_bounds() {
        let now = Timestamp::MIN.plus(hours(100_000));
        let spare = |lives: Duration| entry_until(now, now.plus(lives)) - now.plus(lives).as_millis();
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap();
        assert_eq!(spare(hours(24)), millis(hours(12)));
        assert_eq!(spare(seconds(1)), millis(hours(1)));
        assert_eq!(spare(hours(24 * 365)), millis(hours(24 * 30)));
        assert_eq!(entry_until(now, Timestamp::MIN), millis(hours(1)));
        assert!(entry_until(now, Timestamp::MAX) > Timestamp::MAX.as_millis());
    }

    #[test]
    fn the_times_are_in_the_order_that_the_argument_needs() {
        assert!(LEASE > SKEW && GRACE > LEASE + 2 * SKEW && MARGIN > SKEW && SPARE.0 > MARGIN + minutes(1));
    }
}
