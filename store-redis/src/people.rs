//! Listing and removing the sessions of a principal, by index.

use std::num::NonZeroU32;

use redis::Value;
use session_core::{Call, ErrorKind, Principal, Record, Result, StoreKey};

use crate::error::STRANGE;
use crate::schema::{OTHER_LAYOUT, People, Together};
use crate::{RedisStore, live};

/// Maximum number of records in one answer: a few dozen kilobytes with sessions of the usual size.
pub(crate) const CHUNK: usize = 64;

/// Maximum number of records that one script removes, because the server does nothing else meanwhile.
const REMOVED_AT_ONCE: u32 = 500;

impl RedisStore {
    /// Reads the live records under `keys`, and returns the keys without a record too.
    pub(crate) async fn records(&self, call: &Call, keys: &[StoreKey]) -> Result<Found> {
        let mut found = Found::default();
        if keys.is_empty() {
            return Ok(found);
        }
        let answers = match &self.0.scripts.people {
            People::Together(_) => self.get_together(keys).await?,
            #[cfg(feature = "cluster")]
            People::Apart(_) => self.get_apart(keys).await?,
        };
        for (key, answer) in keys.iter().zip(answers) {
            if matches!(answer, Value::Nil) {
                found.missing.push(*key);
                continue;
            }
            match live(call, answer) {
                Ok(record) => found.live.extend(record.map(|record| (*key, record))),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, "a session cannot be read, and is left out of a list");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }

    async fn get_together(&self, keys: &[StoreKey]) -> Result<Vec<Value>> {
        let mut get = redis::cmd("MGET");
        for key in keys {
            get.arg(self.0.keys.record(key));
        }
        let any = keys.first().map(|key| self.0.keys.record(key)).unwrap_or_default();
        let Value::Array(answers) = self.0.pool.send(&any, &get).await? else { return Err(STRANGE) };
        Ok(answers)
    }

    pub(crate) async fn list(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let index = self.0.keys.index(principal);
        match &self.0.scripts.people {
            People::Together(together) => {
                let keys = self.entries(together, &index, call).await?;
                let (shown, stale) = self.pick(call, principal, &keys, limit).await?;
                self.heal(together, principal, &index, &stale).await?;
                Ok(shown)
            }
            #[cfg(feature = "cluster")]
            People::Apart(apart) => {
                let (keys, doubts) = self.entries_apart(apart, &index, call.now).await?;
                let (shown, stale) = self.pick(call, principal, &keys, limit).await?;
                self.heal_apart(apart, &index, &stale, &doubts).await?;
                Ok(shown)
            }
        }
    }

    /// Returns the keys of a principal's entries. Reads all at once, because pages could miss an entry whose score changes meanwhile.
    async fn entries(&self, together: &Together, index: &[u8], call: &Call) -> Result<Vec<StoreKey>> {
        let listed = self.run(&together.list, index, |command| {
            command.arg(call.now.as_millis());
        });
        let Value::Array(members) = listed.await? else { return Err(STRANGE) };
        let keys = members.into_iter().map(|member| match member {
            Value::BulkString(key) => StoreKey::from_slice(&key),
            _ => Err(STRANGE),
        });
        keys.collect()
    }

    /// Returns at most `limit` live records of the principal, and the keys among those read that have no record of the principal.
    async fn pick(
        &self,
        call: &Call,
        principal: &Principal,
        keys: &[StoreKey],
        limit: NonZeroU32,
    ) -> Result<(Vec<(StoreKey, Record)>, Vec<StoreKey>)> {
        let limit = limit.get() as usize;
        let (mut shown, mut stale) = (Vec::new(), Vec::new());
        for chunk in keys.chunks(CHUNK) {
            let found = self.records(call, chunk).await?;
            stale.extend(found.missing);
            for (key, record) in found.live {
                if record.principal.as_ref() == Some(principal) {
                    shown.push((key, record));
                } else {
                    stale.push(key);
                }
            }
            if shown.len() >= limit {
                break;
            }
        }
        shown.truncate(limit);
        Ok((shown, stale))
    }

    /// Removes entries without a record. The script checks again, because a record may have been stored meanwhile.
    async fn heal(&self, together: &Together, principal: &Principal, index: &[u8], stale: &[StoreKey]) -> Result<()> {
        for some in stale.chunks(REMOVED_AT_ONCE as usize) {
            let healed = self.run(&together.heal, index, |command| {
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
        match &self.0.scripts.people {
            People::Together(together) => self.remove_all_together(together, call, principal, keep).await,
            #[cfg(feature = "cluster")]
            People::Apart(apart) => self.remove_all_apart(apart, call, principal, keep).await,
        }
    }

    async fn remove_all_together(
        &self,
        together: &Together,
        call: &Call,
        principal: &Principal,
        keep: Option<&StoreKey>,
    ) -> Result<u64> {
        let index = self.0.keys.index(principal);
        let (now, keep) = (call.now.as_millis(), keep.map_or(&[][..], |key| &key.as_bytes()[..]));
        let mut total = 0;
        loop {
            // One entry more than the maximum of removals, because the entry of `keep` stays. Each round can then start at the first entry.
            let entries = REMOVED_AT_ONCE + 1;
            let removing = self.run(&together.delete_all, &index, |command| {
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

/// Records found under some keys.
#[derive(Default)]
pub(crate) struct Found {
    pub(crate) live: Vec<(StoreKey, Record)>,
    missing: Vec<StoreKey>,
}
