//! Renewal of the id, as a session's state knows it.

use super::{State, Successor};
use crate::session::committed::StoredAt;
use crate::{ConflictPolicy, Error, Result, SessionId, StoreKey, Timestamp, Version};

impl State {
    /// Notes that a renewal has given the session the id that it has now in place of `old`, so that a client with `old` can still use that.
    pub(crate) fn note_successor(&mut self, old: &SessionId) {
        let (Some(client), Some(stored)) = (&mut self.client, &self.stored) else { return };
        if client.id.as_ref() == Some(old) || client.is_succeeded_by(old) {
            client.successor = Some(Successor { id: stored.id.clone(), tombstone: None });
        }
    }

    /// Notes the tombstone under the client's old id: its key, its version and its expiry.
    pub(crate) fn note_tombstone(&mut self, tombstone: (StoreKey, Version, Timestamp)) {
        if let Some(successor) = self.client.as_mut().and_then(|client| client.successor.as_mut()) {
            successor.tombstone = Some(tombstone);
        }
    }

    /// Continues the session in the record `moved`, in which a renewal by another request has stored it under a new id. The log is to be
    /// replayed on that record. Returns `false` if the record is of another login, or a write is undecided; nothing is changed then.
    ///
    /// # Errors
    /// A conflict, if the manager rejects conflicts and other requests have made changes.
    pub(crate) fn follow(&mut self, moved: &StoredAt, conflicts: ConflictPolicy) -> Result<bool> {
        let content = &moved.content;
        if self.uncertain.is_some() || content.identity() != self.base.identity() {
            return Ok(false);
        }
        match conflicts {
            ConflictPolicy::Reject if !content.differs_in_id_only(&self.base) => return Err(Error::rejected_conflict()),
            ConflictPolicy::Overwrite if !self.log.is_empty() => {
                let view = self.view.with_id_age_of(content);
                self.set_view(view.into());
            }
            _ if self.log.is_empty() => self.set_view(content.clone()),
            _ => self.stale = true,
        }
        self.base = content.clone();
        if let Some(before) = self.stored.replace(moved.clone())
            && before.id != moved.id
        {
            self.note_successor(&before.id);
        }
        Ok(true)
    }

    /// Notes that the client has sent the id `old`, which a renewal has replaced, and not the id of the record that was found.
    pub(crate) fn opened_by_old_id(mut self: Box<Self>, old: SessionId, successor: Successor) -> Box<Self> {
        if let Some(client) = &mut self.client {
            (client.id, client.successor) = (Some(old), Some(successor));
        }
        self
    }
}
