//! Sessions by principal: an index of entries beside the records.
//!
//! No write changes a record and its entry together. An entry without a record only costs space, but a record without an entry would be
//! missed by lists and by `delete_all`. These rules ensure that every record has its entry:
//!
//! 1. *The entry is written first*, and the record only after it was confirmed. Both are messages of one stream, which has one order
//!    on all servers. So a server that has the record has the entry.
//! 2. *The entry outlives the record.* The record's header says until when its entry is kept. A record whose expiry is less than
//!    [`MARGIN`] before that needs a new entry. Otherwise a save or touch relies on the stored record's entry, because it is carried
//!    out only if that record is unchanged.
//! 3. *An entry never gets an earlier end.* Writing it reads the end that is stored, and is carried out only if that is unchanged.
//! 4. *An entry is removed after its record only*: a write to the record's subject first, a deletion or a save for another principal,
//!    and then the entry, if it still has the sequence number in the header of the record that was replaced.
//!
//! Why the last rule removes no entry that a record needs: let a writer have written its entry, as `e`, and then its record, on the condition
//! that the record's subject still has the sequence number `x`. `x` was seen before `e` was written.
//! The removal names a number that is not `e`, unless the record that it replaced relied on `e`. If it names an older number, it fails. If it names a
//! newer one, a record with that newer entry was written after `x` was seen, so the writer's condition fails.
//! A condition that names no message (`x` is 0) can hold again after a deletion, once its marker has gone. Markers are kept for longer than any
//! call takes ([`crate::operations::MARKER_LIVES`]).
//!
//! Entries that no rule removes end by their own time.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use session_core::{Principal, Record, Result, StoreKey, Timestamp};
use session_store_kit::operations::Load;

use crate::api::{Content, Expected, Message, Written};
use crate::local::Local;
use crate::revisions::Head;
use crate::schema::{Entry, Subjects, decode_entry, encode_entry};

/// Minimum time by which an entry outlives its record. The clocks of servers that lead one after the other may differ by this.
const MARGIN: Duration = Duration::from_secs(10 * 60);

/// Bounds of the time by which a new entry outlives its record.
///
/// Within them it is half of the record's remaining lifetime, so that not every touch has to write the entry again.
const SPARE: (Duration, Duration) = (Duration::from_secs(3600), Duration::from_secs(30 * 24 * 3600));

/// Seconds for which a removed entry leaves a marker. Nothing depends on it.
const MARKER_LIVES: i64 = 1;

/// Maximum number of records that one call reads or removes concurrently.
const AT_ONCE: usize = 64;

/// Returns the time until which the entry of a record written at `now` is kept.
fn entry_until(now: Timestamp, expires_at: Timestamp) -> i64 {
    let spare = (expires_at.since(now) / 2).clamp(SPARE.0, SPARE.1);
    expires_at.as_millis().saturating_add(i64::try_from(spare.as_millis()).unwrap_or(i64::MAX))
}

/// Whether the entry of the stored record is enough for `record`, which replaces it and belongs to `principal`.
pub(crate) fn suffices(stored: &Head, principal: &Principal, record: &Record) -> bool {
    let margin = i64::try_from(MARGIN.as_millis()).unwrap_or(i64::MAX);
    stored.principal.as_ref() == Some(principal)
        && stored.entry.sequence > 0
        && record.expires_at.as_millis().saturating_add(margin) <= stored.entry.until
}

impl Local {
    /// Writes the entry of a record that is about to be written.
    pub(crate) async fn enter(
        self: &Arc<Self>,
        now: Timestamp,
        principal: &Principal,
        key: &StoreKey,
        expires_at: Timestamp,
    ) -> Result<Entry> {
        let subject = self.at.subjects.entry(principal, key);
        let (mut until, mut expected) = (entry_until(now, expires_at), 0);
        loop {
            let (content, seconds) = (Content::Value(encode_entry(until)), self.seconds_until(until, now));
            if let Written::At(sequence) = self.put(&subject, content, Expected::Sequence(expected), seconds).await? {
                return Ok(Entry { until, sequence });
            }
            expected = match self.last(&subject).await? {
                None => 0,
                Some(Message { sequence, value, .. }) => {
                    until = until.max(decode_entry(&value));
                    sequence
                }
            };
        }
    }

    /// Removes the entry of a record that has been replaced or removed, unless another writer has written it again.
    ///
    /// In a task, because the caller's write is done. An entry that is left because the task failed ends by its time.
    pub(crate) fn drop_entry(self: &Arc<Self>, key: &StoreKey, replaced: &Head) {
        let Some(principal) = replaced.principal.as_ref().filter(|_| replaced.entry.sequence > 0) else { return };
        let (local, subject) = (Arc::clone(self), self.at.subjects.entry(principal, key));
        let expected = Expected::Sequence(replaced.entry.sequence);
        tokio::spawn(async move {
            let removal = local.put(&subject, Content::Deleted, expected, Some(MARKER_LIVES));
            if let Ok(Err(error)) = tokio::time::timeout(local.at.timeout, removal).await {
                tracing::debug!(%error, "an index entry without a record remains until it expires");
            }
        });
    }

    /// Returns the keys of a principal's entries.
    async fn entries(self: &Arc<Self>, principal: &Principal) -> Result<Vec<StoreKey>> {
        let subjects = self.list(&self.at.subjects.entries(principal)).await?;
        Ok(subjects.iter().filter_map(|subject| Subjects::key_of(subject)).collect())
    }

    pub(crate) async fn sessions_of(
        self: &Arc<Self>,
        now: Timestamp,
        principal: &Principal,
        limit: usize,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let mut found = Vec::new();
        for keys in self.entries(principal).await?.chunks(AT_ONCE) {
            let loads = keys.iter().map(|key| {
                let load = Load { now, key: *key };
                async move { self.load(&load).await }
            });
            for (key, loaded) in keys.iter().zip(join_all(loads).await) {
                let record = match loaded {
                    Err(error) if error.kind() == session_core::ErrorKind::Corrupt => {
                        tracing::warn!(%error, "a session cannot be read, and is left out of a list");
                        None
                    }
                    loaded => loaded?.filter(|record| record.principal.as_ref() == Some(principal)),
                };
                found.extend(record.map(|record| (*key, record)));
            }
            if found.len() >= limit {
                found.truncate(limit);
                break;
            }
        }
        Ok(found)
    }

    pub(crate) async fn delete_all(
        self: &Arc<Self>,
        now: Timestamp,
        principal: &Principal,
        keep: Option<&StoreKey>,
    ) -> Result<u64> {
        let mut keys = self.entries(principal).await?;
        keys.retain(|key| Some(key) != keep);
        let mut removed = 0;
        for keys in keys.chunks(AT_ONCE) {
            let removing = keys.iter().map(|key| self.remove_of(now, principal, key));
            for was_removed in join_all(removing).await {
                removed += u64::from(was_removed?);
            }
        }
        Ok(removed)
    }
}

#[cfg(test)]
mod tests {
    use session_core::{Bytes, Version, hours, minutes, seconds};

    use super::*;

    #[test]
    fn an_entry_outlives_its_record_by_half_of_its_time_within_bounds() {
        let now = Timestamp::MIN.plus(hours(100_000));
        let spare = |lives: Duration| entry_until(now, now.plus(lives)) - now.plus(lives).as_millis();
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap();
        assert_eq!(spare(hours(24)), millis(hours(12)));
        assert_eq!(spare(seconds(1)), millis(hours(1)));
        assert_eq!(spare(hours(24 * 365)), millis(hours(24 * 30)));
        assert!(SPARE.0 > MARGIN);
    }

    #[test]
    fn a_record_relies_on_an_entry_of_its_principal_that_outlives_it() {
        let [ann, bob] = ["ann", "bob"].map(|name| Principal::new(name).unwrap());
        let now = Timestamp::MIN.plus(hours(100_000));
        let until = now.plus(hours(1));
        let of = |principal: &Principal, lives| {
            Record::new(Version::random(), now, now.plus(lives), Some(principal.clone()), Bytes::new())
        };
        let stored = |sequence| Head::of(&of(&ann, hours(1)), 7, Entry { until: until.as_millis(), sequence });
        assert!(suffices(&stored(3), &ann, &of(&ann, minutes(50))));
        assert!(!suffices(&stored(3), &ann, &of(&ann, minutes(51))));
        assert!(!suffices(&stored(3), &bob, &of(&bob, minutes(1))));
        assert!(!suffices(&stored(0), &ann, &of(&ann, minutes(1))));
    }
}
