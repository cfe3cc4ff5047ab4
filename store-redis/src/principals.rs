//! Listing and removing the sessions of a principal, by index.

use std::num::NonZeroU32;

use redis::Value;
use session_core::{Call, ErrorKind, Principal, Record, Result, StoreKey};

use crate::RedisStore;
use crate::error::UNEXPECTED_REPLY;
use crate::record::{OTHER_LAYOUT, live};
use crate::scripts::{HEAL_BATCH, IndexScripts, SingleIndex};

/// Maximum number of records in one answer: a few dozen kilobytes with sessions of the usual size.
pub(crate) const READ_BATCH: usize = 64;

/// Maximum number of records that one script removes, because the server does nothing else meanwhile.
const DELETE_BATCH: u32 = 500;

impl RedisStore {
    /// Reads the live records under `keys`, and returns the keys without a record too.
    pub(crate) async fn read(&self, call: &Call, keys: &[StoreKey]) -> Result<ReadRecords> {
        let mut read = ReadRecords::default();
        if keys.is_empty() {
            return Ok(read);
        }
        let answers = match &self.0.scripts.index {
            IndexScripts::Single(_) => self.get_all(keys).await?,
            #[cfg(feature = "cluster")]
            IndexScripts::Cluster(_) => self.get_each(keys).await?,
        };
        for (key, answer) in keys.iter().zip(answers) {
            if matches!(answer, Value::Nil) {
                read.missing.push(*key);
                continue;
            }
            match live(call, answer) {
                Ok(record) => read.live.extend(record.map(|record| (*key, record))),
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::warn!(%error, "a session cannot be read, and is left out of a list");
                }
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    /// Reads the values of some keys with one command.
    async fn get_all(&self, keys: &[StoreKey]) -> Result<Vec<Value>> {
        let mut get = redis::cmd("MGET");
        for key in keys {
            get.arg(self.0.keys.record(key));
        }
        let first = keys.first().map(|key| self.0.keys.record(key)).unwrap_or_default();
        let Value::Array(answers) = self.0.router.send(&first, &get).await? else { return Err(UNEXPECTED_REPLY) };
        Ok(answers)
    }

    pub(crate) async fn list(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let index = self.0.keys.index(principal);
        match &self.0.scripts.index {
            IndexScripts::Single(scripts) => {
                let keys = self.entries(scripts, &index, call).await?;
                let (shown, stale) = self.pick(call, principal, &keys, limit).await?;
                self.heal(scripts, principal, &index, &stale).await?;
                Ok(shown)
            }
            #[cfg(feature = "cluster")]
            IndexScripts::Cluster(scripts) => {
                let (keys, doubts) = self.cluster_entries(scripts, &index, call.now).await?;
                let (shown, stale) = self.pick(call, principal, &keys, limit).await?;
                self.heal_on_cluster(scripts, &index, &stale, &doubts).await?;
                Ok(shown)
            }
        }
    }

    /// Returns the keys of a principal's entries. Reads all at once, because pages could miss an entry whose score changes meanwhile.
    async fn entries(&self, scripts: &SingleIndex, index: &[u8], call: &Call) -> Result<Vec<StoreKey>> {
        let listing = self.run(&scripts.list, index, |command| {
            command.arg(call.now.as_millis());
        });
        let Value::Array(members) = listing.await? else { return Err(UNEXPECTED_REPLY) };
        let keys = members.into_iter().map(|member| match member {
            Value::BulkString(key) => StoreKey::from_slice(&key),
            _ => Err(UNEXPECTED_REPLY),
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
        for batch in keys.chunks(READ_BATCH) {
            let read = self.read(call, batch).await?;
            stale.extend(read.missing);
            for (key, record) in read.live {
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
    async fn heal(&self, scripts: &SingleIndex, principal: &Principal, index: &[u8], stale: &[StoreKey]) -> Result<()> {
        for batch in stale.chunks(HEAL_BATCH) {
            let healing = self.run(&scripts.heal, index, |command| {
                command.arg(self.0.keys.records()).arg(principal.as_str());
                for key in batch {
                    command.arg(&key.as_bytes()[..]);
                }
            });
            healing.await?;
        }
        Ok(())
    }

    pub(crate) async fn remove_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        match &self.0.scripts.index {
            IndexScripts::Single(scripts) => self.remove_all_on_server(scripts, call, principal, keep).await,
            #[cfg(feature = "cluster")]
            IndexScripts::Cluster(scripts) => self.remove_all_on_cluster(scripts, call, principal, keep).await,
        }
    }

    async fn remove_all_on_server(
        &self,
        scripts: &SingleIndex,
        call: &Call,
        principal: &Principal,
        keep: Option<&StoreKey>,
    ) -> Result<u64> {
        let index = self.0.keys.index(principal);
        let (now, keep) = (call.now.as_millis(), keep.map_or(&[][..], |key| &key.as_bytes()[..]));
        let mut total = 0;
        loop {
            // One entry more than the maximum of removals, because the entry of `keep` stays. Each round can then start at the first entry.
            let entries = DELETE_BATCH + 1;
            let removing = self.run(&scripts.delete_all, &index, |command| {
                command.arg(self.0.keys.records()).arg(principal.as_str()).arg(now).arg(keep).arg(entries);
            });
            let Value::Array(answer) = removing.await? else { return Err(UNEXPECTED_REPLY) };
            let [Value::Int(removed), Value::Int(seen)] = answer[..] else { return Err(UNEXPECTED_REPLY) };
            total += u64::try_from(removed).map_err(|_| OTHER_LAYOUT)?;
            if seen < i64::from(entries) {
                return Ok(total);
            }
        }
    }
}

/// Result of reading some keys.
#[derive(Default)]
pub(crate) struct ReadRecords {
    pub(crate) live: Vec<(StoreKey, Record)>,
    missing: Vec<StoreKey>,
}
