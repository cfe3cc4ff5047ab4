//! Index entries on a cluster, where a record and its entry lie on different nodes and no step spans both.
//!
//! An entry without a record is harmless, a record without an entry is not. What keeps the second from ever being:
//!
//! 1. *Entry first.* A record comes to have a principal only in a script that was given the time at which the entry was written, by the clock
//!    of the entry's node, and that refuses if more than [`LEASE`] has passed by its own. The header then says until when the entry stands.
//! 2. *It stands for longer than the record.* Scripts let a record expire at most [`MARGIN`] before its `index_until`, or else say whose
//!    entry must be written anew, which the caller does before he tries again. A touch or save within that bound writes no entry and needs none:
//!    the record that it finds, with the same principal, has one until then.
//! 3. *An entry never moves nearer*, whoever writes it: `ZADD GT`, and the index's own expiry likewise. So each writer may count on his own
//!    instant, though another one of the same record came between.
//! 4. *By time alone* an entry goes only when its instant has passed by its node's clock. Its record has then expired by the clock of
//!    the record's node, as long as these two differ by less than [`MARGIN`].
//! 5. *Healing* removes an entry whose record is not there, or is somebody else's, in three steps. A listing that meets one puts it in doubt
//!    (`heal_apart.lua`). A listing at least [`GRACE`] later finds it in doubt still, and *then* looks at the record; if that is still not theirs,
//!    the entry goes, provided that it is in the same doubt. Whoever writes the entry ends the doubt in the same step.
//!    So no entry was written since the doubt began. A record that counts on an earlier one was written within [`LEASE`] of that,
//!    which was before the look, for [`GRACE`] is longer; and the look found none. A record that counts on a later one comes with
//!    a new entry. In either case the removal takes nobody's.
//!
//! All these times are servers' times. The caller's `now` decides what is live, and nothing about entries; a caller whose clock is in 2099 removes none.
//! Clocks of two nodes may differ by [`SKEW`], a long time for machines of one cluster.
//! If they differ by more than [`LEASE`], writes that need an entry are refused, and nothing is lost in silence.
//!
//! What no order of steps can help against: a failover to a replica that had not received an entry yet, while the record's node kept the record.
//! The entry is back as soon as it is due again.
//!
//! `delete` and `delete_all` leave entries to healing, since somebody may be about to store a record under that key again.

use std::collections::HashMap;
use std::time::Duration;

use redis::{Cmd, Value};
use session_core::{Call, Error, ErrorKind, Outcome, Principal, Result, StoreKey, Timestamp};

use crate::error::STRANGE;
use crate::people::CHUNK;
use crate::schema::{Apart, OTHER_LAYOUT, Script};
use crate::{Intent, RedisStore};

/// How far the clocks of two nodes may be apart.
pub(crate) const SKEW: Duration = Duration::from_secs(5 * 60);

/// How long after its entry a record may be written, by the clocks of two nodes.
pub(crate) const LEASE: Duration = SKEW.saturating_add(Duration::from_secs(60));

/// How long an entry is in doubt at least: longer than any record that counts on it can take to be written, though
/// the clock that ends it need not be the one that began it, since the index may move to another node.
pub(crate) const GRACE: Duration = LEASE.saturating_add(SKEW.saturating_mul(2)).saturating_add(Duration::from_secs(60));

/// By how much an entry outlives its record at least.
pub(crate) const MARGIN: Duration = SKEW.saturating_mul(2);

/// By how much an entry that is written outlives its record: half of the record's time, so that not each touch has to write it again.
const SPARE: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(30 * 24 * 3600));

/// Entries that one script looks at.
const AT_ONCE: usize = 500;

/// Attempts at a write whose record changes hands between them.
const ROUNDS: usize = 16;

const LATE: Error = Error::fixed(
    ErrorKind::Unavailable,
    "a record and its index entry could not be written within minutes of each other: the clocks of the cluster's nodes differ, or somebody else kept changing whose it is",
);

/// Until when the entry of a record is to stand that is written now.
fn until(now: Timestamp, expires_at: Timestamp) -> i64 {
    let spare = (expires_at.since(now) / 2).clamp(SPARE.0, SPARE.1);
    expires_at.as_millis().saturating_add(i64::try_from(spare.as_millis()).unwrap_or(i64::MAX))
}

/// The entry that a write may count on.
#[derive(Default)]
struct Entered {
    until: [u8; 8],
    whose: Vec<u8>,
    /// By the clock of its node.
    at: Vec<u8>,
}

impl RedisStore {
    /// Runs a write as often as it says that an entry has to be written first.
    pub(crate) async fn write_apart(
        &self,
        apart: &Apart,
        script: &Script,
        key: &StoreKey,
        intent: &Intent<'_>,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Value> {
        let name = self.0.keys.record(key);
        let mut entered = match intent.whose {
            Some(who) => self.enter(apart, key, intent, who.as_str().as_bytes().to_vec()).await?,
            None => Entered::default(),
        };
        for _ in 0..ROUNDS {
            let writing = self.run(script, &name, |command| {
                arguments(command);
                command.arg(&entered.until[..]).arg(&entered.whose).arg(&entered.at);
            });
            match writing.await? {
                Value::BulkString(whose) => entered = self.enter(apart, key, intent, whose).await?,
                answer => return Ok(answer),
            }
        }
        Err(LATE)
    }

    async fn enter(&self, apart: &Apart, key: &StoreKey, intent: &Intent<'_>, whose: Vec<u8>) -> Result<Entered> {
        let until = until(intent.now, intent.expires_at);
        let index = self.0.keys.index_of(&whose);
        let written = self.run(&apart.enter, &index, |command| {
            command.arg(&key.as_bytes()[..]).arg(until);
        });
        let Value::BulkString(at) = written.await? else { return Err(STRANGE) };
        Ok(Entered { until: until.to_be_bytes(), whose, at })
    }

    /// The keys of a principal's entries, and those among them that have been in doubt for long enough.
    pub(crate) async fn entries_apart(
        &self,
        apart: &Apart,
        index: &[u8],
        now: Timestamp,
    ) -> Result<(Vec<StoreKey>, Doubts)> {
        let listed = self.run(&apart.list, index, |command| {
            command.arg(now.as_millis());
        });
        let Value::Array(answer) = listed.await? else { return Err(STRANGE) };
        let Ok([Value::Array(members), Value::Array(doubts)]) = <[Value; 2]>::try_from(answer) else {
            return Err(STRANGE);
        };
        let bytes = |value| if let Value::BulkString(bytes) = value { Ok(bytes) } else { Err(STRANGE) };
        let key = |value| StoreKey::from_slice(&bytes(value)?);
        let keys = members.into_iter().map(key).collect::<Result<_>>()?;
        let (mut known, mut doubts) = (HashMap::new(), doubts.into_iter());
        while let (Some(member), Some(doubt)) = (doubts.next(), doubts.next()) {
            known.insert(key(member)?, bytes(doubt)?);
        }
        Ok((keys, Doubts(known)))
    }

    /// Removes entries that have been in doubt, and puts others in doubt.
    pub(crate) async fn heal_apart(
        &self,
        apart: &Apart,
        index: &[u8],
        stale: &[StoreKey],
        doubts: &Doubts,
    ) -> Result<()> {
        for some in stale.chunks(AT_ONCE) {
            let healed = self.run(&apart.heal, index, |command| {
                for key in some {
                    command.arg(&key.as_bytes()[..]).arg(doubts.of(key));
                }
            });
            healed.await?;
        }
        Ok(())
    }

    /// Removes every live record of a principal, each by a script on its own node, which looks whose it is.
    pub(crate) async fn remove_all_apart(
        &self,
        apart: &Apart,
        call: &Call,
        principal: &Principal,
        keep: Option<&StoreKey>,
    ) -> Result<u64> {
        let index = self.0.keys.index(principal);
        let (mut keys, _) = self.entries_apart(apart, &index, call.now).await?;
        keys.retain(|key| Some(key) != keep);
        let mut removed = 0;
        for some in keys.chunks(CHUNK) {
            let removing = some.iter().map(|key| self.remove_apart(apart, call, principal, key));
            for outcome in together(removing).await {
                removed += u64::from(outcome? == Outcome::Done);
            }
        }
        // A mark on an entry whose record is there after all does no harm: whoever comes back to it looks again.
        self.heal_apart(apart, &index, &keys, &Doubts::default()).await?;
        Ok(removed)
    }

    async fn remove_apart(&self, apart: &Apart, call: &Call, principal: &Principal, key: &StoreKey) -> Result<Outcome> {
        let name = self.0.keys.record(key);
        let removing = self.run(&apart.remove, &name, |command| {
            command.arg(call.now.as_millis()).arg(principal.as_str());
        });
        match removing.await? {
            Value::Int(0) => Ok(Outcome::Done),
            Value::Int(2 | 3) => Ok(Outcome::Missing),
            Value::Int(4) => Err(OTHER_LAYOUT),
            _ => Err(STRANGE),
        }
    }

    /// What lies under some keys: each is asked for by itself, wherever it is.
    pub(crate) async fn get_apart(&self, keys: &[StoreKey]) -> Result<Vec<Value>> {
        let getting = keys.iter().map(|key| async move {
            let name = self.0.keys.record(key);
            Ok(self.0.pool.send(&name, redis::cmd("GET").arg(&name)).await?)
        });
        together(getting).await.into_iter().collect()
    }
}

/// Entries in doubt that a listing may remove, with what it compares.
#[derive(Default)]
pub(crate) struct Doubts(HashMap<StoreKey, Vec<u8>>);

impl Doubts {
    fn of(&self, key: &StoreKey) -> &[u8] {
        self.0.get(key).map_or(&[], |doubt| doubt)
    }
}

/// Waits for all of them at once.
async fn together<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    futures_util::future::join_all(all).await
}

#[cfg(test)]
mod tests {
    use session_core::{hours, minutes, seconds};

    use super::*;

    #[test]
    fn an_entry_outlives_its_record_by_half_of_its_time_within_bounds() {
        let now = Timestamp::MIN.plus(hours(100_000));
        let spare = |lives: Duration| until(now, now.plus(lives)) - now.plus(lives).as_millis();
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap();
        assert_eq!(spare(hours(24)), millis(hours(12)));
        assert_eq!(spare(seconds(1)), millis(hours(1)));
        assert_eq!(spare(hours(24 * 365)), millis(hours(24 * 30)));
        assert_eq!(until(now, Timestamp::MIN), millis(hours(1)));
        assert!(until(now, Timestamp::MAX) > Timestamp::MAX.as_millis());
    }

    #[test]
    fn the_times_are_in_the_order_that_the_argument_needs() {
        assert!(LEASE > SKEW && GRACE > LEASE + 2 * SKEW && MARGIN > SKEW && SPARE.0 > MARGIN + minutes(1));
    }
}
