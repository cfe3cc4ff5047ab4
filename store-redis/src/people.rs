//! Everybody's sessions, by their index.

use std::num::NonZeroU32;

use redis::Value;
use session_core::{Call, Principal, Record, Result, StoreKey};

use crate::error::STRANGE;
use crate::schema::OTHER_LAYOUT;
use crate::{RedisStore, live};

/// Records in one answer. A session of the usual size makes that a few dozen kilobytes.
const CHUNK: usize = 64;

/// Records that one script removes: the server does nothing else meanwhile.
const REMOVED_AT_ONCE: u32 = 500;

impl RedisStore {
    /// The live records under `keys`, and the keys that have no record at all.
    pub(crate) async fn records(&self, call: &Call, keys: &[StoreKey]) -> Result<Found> {
        let mut found = Found::default();
        if keys.is_empty() {
            return Ok(found);
        }
        let mut get = redis::cmd("MGET");
        for key in keys {
            get.arg(self.0.keys.record(key));
        }
        let Value::Array(answers) = self.0.pool.send(&get).await? else { return Err(STRANGE) };
        for (key, answer) in keys.iter().zip(answers) {
            if matches!(answer, Value::Nil) {
                found.missing.push(*key);
            } else if let Some(record) = live(call, answer)? {
                found.live.push((*key, record));
            }
        }
        Ok(found)
    }

    pub(crate) async fn list(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let (index, limit) = (self.0.keys.index(principal), limit.get() as usize);
        let now = call.now.as_millis();
        let listed = self.run(&self.0.scripts.list, &index, |command| {
            command.arg(now);
        });
        // All of it at once: in pages, an entry that moves meanwhile could slip past.
        let Value::Array(members) = listed.await? else { return Err(STRANGE) };
        let keys = members.into_iter().map(|member| match member {
            Value::BulkString(key) => StoreKey::from_slice(&key),
            _ => Err(STRANGE),
        });
        let keys = keys.collect::<Result<Vec<_>>>()?;
        let (mut shown, mut stale) = (Vec::new(), Vec::new());
        for chunk in keys.chunks(CHUNK) {
            let found = self.records(call, chunk).await?;
            stale.extend(found.missing);
            shown.extend(found.live.into_iter().filter(|(_, record)| record.principal.as_ref() == Some(principal)));
            if shown.len() >= limit {
                break;
            }
        }
        shown.truncate(limit);
        self.heal(principal, &index, &stale).await?;
        Ok(shown)
    }

    /// Removes entries without a record. The script looks again: a record may have come meanwhile.
    async fn heal(&self, principal: &Principal, index: &[u8], stale: &[StoreKey]) -> Result<()> {
        for some in stale.chunks(REMOVED_AT_ONCE as usize) {
            let healed = self.run(&self.0.scripts.heal, index, |command| {
                command.arg(self.0.keys.records()).arg(principal.as_str());
                for key in some {
                    command.arg(&key.as_bytes()[..]);
                }
            });
            healed.await?;
        }
        Ok(())
    }

    pub(crate) async fn remove_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let index = self.0.keys.index(principal);
        let (now, keep) = (call.now.as_millis(), keep.map_or(&[][..], |key| &key.as_bytes()[..]));
        let mut total = 0;
        loop {
            // One more than are removed, for the one that stays: so each round begins at the index's beginning, and none is skipped.
            let entries = REMOVED_AT_ONCE + 1;
            let removing = self.run(&self.0.scripts.delete_all, &index, |command| {
                command.arg(self.0.keys.records()).arg(principal.as_str()).arg(now).arg(keep).arg(entries);
            });
            let Value::Array(answer) = removing.await? else { return Err(STRANGE) };
            let [Value::Int(removed), Value::Int(seen)] = answer[..] else { return Err(STRANGE) };
            total += u64::try_from(removed).map_err(|_| OTHER_LAYOUT)?;
            if seen < i64::from(entries) {
                return Ok(total);
            }
        }
    }
}

/// What lies under some keys.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) live: Vec<(StoreKey, Record)>,
    missing: Vec<StoreKey>,
}
