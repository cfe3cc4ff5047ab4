//! Ids that a renewal has replaced.

use std::time::Duration;

use super::administration::KEPT_CHANGING;
use super::environment::{Environment, Now};
use crate::codec::Content;
use crate::commit::TOMBSTONE_LIFE;
use crate::mutant::{self, Mutant};
use crate::session::committed::StoredAt;
use crate::{EventKind, Outcome, Result, SessionId, StoreKey};

impl Environment {
    /// Returns the time for which the tombstone under an old id is stored: until the next renewal, or until the session has expired.
    pub(crate) fn old_id_life(&self, content: &Content) -> Duration {
        let unused = self.policy.idle(content).saturating_add(self.renewal.every.unwrap_or(TOMBSTONE_LIFE));
        unused.min(self.policy.outlived_at(content).since(self.now())).max(TOMBSTONE_LIFE)
    }

    /// Returns the session that a renewal has moved from `key`, where a client with the id `old` knew it, to `next`. `None` if it has moved
    /// there otherwise, or has moved on or ended.
    pub(crate) async fn renewed(&self, old: &SessionId, key: &StoreKey, next: &StoreKey) -> Result<Option<StoredAt>> {
        let Now::Live(record) = self.current(next).await? else { return Ok(None) };
        let id = record.content.renewed_from(key).and_then(|before| before.sealed.open(&self.name, next, old));
        Ok(id.map(|id| StoredAt { id, key: *next, record }))
    }

    /// Whether a renewal has moved the session from `key` to `next`, where it still is.
    pub(crate) async fn is_renewal(&self, key: &StoreKey, next: &StoreKey) -> Result<bool> {
        let current = self.current(next).await?;
        Ok(matches!(current, Now::Live(record) if record.content.renewed_from(key).is_some()))
    }

    /// Reports that a client has used an old id of the session `stored` after its grace time, and ends the session if the policy says so.
    pub(crate) async fn report_reuse(&self, stored: &StoredAt) -> Result<()> {
        self.emit(EventKind::Reused, &stored.content, Some(&stored.key));
        if !self.renewal.revokes_reused {
            return Ok(());
        }
        let mut key = stored.key;
        for _ in 0..=self.max_replays {
            let record = match self.current(&key).await? {
                Now::Live(record) if record.content.identity() == stored.content.identity() => record,
                Now::Moved(next) => {
                    key = next;
                    continue;
                }
                // A login after the theft has started another session.
                Now::Live(_) | Now::Ended | Now::Missing => return Ok(()),
            };
            match self.store().delete(&self.call(), &key, Some(record.version)).await? {
                Outcome::Done => {
                    self.emit(EventKind::Revoked, &record.content, Some(&key));
                    return Ok(());
                }
                Outcome::Missing => return Ok(()),
                Outcome::Conflict | Outcome::Exists if mutant::is(Mutant::RevokesOnlyWhatItLoaded) => return Ok(()),
                Outcome::Conflict | Outcome::Exists => {}
            }
        }
        Err(KEPT_CHANGING)
    }
}
