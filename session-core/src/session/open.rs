//! Opening a session by the value that the client sent.

use std::sync::Arc;

use super::Session;
use super::committed::{StoredAt, StoredRecord};
use super::opened::Opened;
use super::state::{ClientCookie, State, Successor};
use crate::codec::Stored;
use crate::commit::{TOMBSTONE_TELLS, is_settled_logout, tombstone_tells};
use crate::head::Head;
use crate::manager::environment::Environment;
use crate::manager::renewal::GRACE;
use crate::manager::verification::Verified;
use crate::{Call, Error, ErrorKind, Record, Result, SessionId, StoreKey, Timestamp};

impl Session {
    /// Whether the client has sent an id that a renewal has replaced.
    #[doc(hidden)]
    pub fn has_old_id(&self) -> bool {
        self.state().client.as_ref().is_some_and(|client| client.successor.is_some())
    }

    /// Opens the session of `client_value`, or a new one.
    pub(crate) async fn open(env: &Arc<Environment>, client_value: Option<&str>) -> Result<Self> {
        let state = match client_value.map(SessionId::parse) {
            None => State::new(Opened::New, None, env.blank()),
            Some(None) => State::new(Opened::Undecodable, Some(ClientCookie::default()), env.blank()),
            // Boxed because every handler's future holds this one, and allocators are slow above a kilobyte.
            Some(Some(id)) => Box::pin(env.resume(id, OldIds::Briefly)).await?,
        };
        Ok(Self::new(env.clone(), state))
    }
}

/// For how long an id that a renewal has replaced opens its session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OldIds {
    /// Until its grace time has passed, for a request that brings the id.
    Briefly,
    /// At any time, for a session that was opened before.
    Always,
}

/// Record under a key, decoded. Without one, the result of opening that key.
type Found = Result<(Stored, Head, Record), Opened>;

impl Environment {
    /// Loads the state of the session with `id`. The application checks a session with a principal first.
    pub(crate) async fn resume(&self, id: SessionId, old_ids: OldIds) -> Result<Box<State>> {
        for _ in 0..=self.max_replays {
            if let Some(state) = self.load(&id, old_ids).await? {
                return Ok(state);
            }
        }
        Err(Error::fixed(
            ErrorKind::Unavailable,
            "the session kept changing while it was to be ended, because `verify` refused it; try again",
        ))
    }

    /// Loads the state of the session with `id`. `None` if it must be loaded again.
    async fn load(&self, id: &SessionId, old_ids: OldIds) -> Result<Option<Box<State>>> {
        let key = StoreKey::derive(&self.name, id);
        let call = self.call();
        let blank = |opened| State::new(opened, Some(ClientCookie::of(id.clone())), self.blank());
        let (stored, head, record) = match self.find(&call, &key).await? {
            Ok(found) => found,
            Err(opened) => return Ok(Some(blank(opened))),
        };
        match stored {
            Stored::Tombstone(Some(next)) => Box::pin(self.load_moved(id, &key, &record, &next, old_ids)).await,
            Stored::Tombstone(None) => Ok(Some(ended(blank, &record, call.now))),
            Stored::Content(content) => {
                let record = StoredRecord::new(&record, head, content);
                self.admit(StoredAt { id: id.clone(), key, record }, blank).await
            }
        }
    }

    /// Loads the session that has moved from `key`, where `tombstone` is, to the key `next`. The client has sent `id`.
    async fn load_moved(
        &self,
        id: &SessionId,
        key: &StoreKey,
        tombstone: &Record,
        next: &StoreKey,
        old_ids: OldIds,
    ) -> Result<Option<Box<State>>> {
        let call = self.call();
        let blank = |opened| State::new(opened, Some(ClientCookie::of(id.clone())), self.blank());
        let found = self.find(&call, next).await?;
        if let Ok((Stored::Content(content), head, record)) = &found
            && let Some(before) = content.renewed_from(key)
            && let Some(new) = before.sealed.open(&self.name, next, id)
        {
            let record = StoredRecord::new(record, head.clone(), content.clone());
            let stored = StoredAt { id: new.clone(), key: *next, record };
            let unused = before.seen.map(|seen| call.now.since(seen));
            if let Some(unused) = unused.filter(|unused| *unused >= GRACE && old_ids == OldIds::Briefly) {
                if self.life(&stored, call.now).ends_at > call.now {
                    self.report_reuse(&stored).await?;
                }
                return Ok(Some(blank(if unused < TOMBSTONE_TELLS { Opened::Moved } else { Opened::Unknown })));
            }
            let tombstone = Some((*key, tombstone.version, tombstone.expires_at));
            let state = self.admit(stored, blank).await?;
            return Ok(state.map(|state| state.opened_by_old_id(id.clone(), Successor { id: new, tombstone })));
        }
        Ok(Some(match found {
            Ok((Stored::Content(_), ..)) if tombstone_tells(tombstone, call.now) => blank(Opened::Moved),
            Ok((Stored::Tombstone(Some(_)), _, next)) if tombstone_tells(&next, call.now) => blank(Opened::Moved),
            Ok((Stored::Tombstone(None), _, next)) => ended(blank, &next, call.now),
            _ => blank(Opened::Unknown),
        }))
    }

    /// Loads and decodes the record under `key`.
    async fn find(&self, call: &Call, key: &StoreKey) -> Result<Found> {
        let loaded = self.store().load(call, key).await;
        let read = loaded.and_then(|record| record.map(|record| Ok((Stored::read(&record)?, record))).transpose());
        match read {
            Ok(Some(((stored, head), record))) => Ok(Ok((stored, head, record))),
            Ok(None) => Ok(Err(Opened::Unknown)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(name = %self.name, %error, "a stored session does not decode; the client gets a new one");
                Ok(Err(Opened::Undecodable))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the state of the session `stored`, or a blank one if it has expired or the application refuses it. `None` if it must be
    /// loaded again.
    async fn admit(&self, stored: StoredAt, blank: impl Fn(Opened) -> Box<State>) -> Result<Option<Box<State>>> {
        let now = self.now();
        if self.life(&stored, now).ends_at <= now {
            return Ok(Some(blank(Opened::Expired)));
        }
        if stored.content.principal.is_some()
            && let Some(verifier) = &self.verifier
        {
            match Box::pin(self.verify(verifier, &stored.key, &stored)).await? {
                Verified::Accepted => {}
                Verified::Ended => return Ok(Some(blank(Opened::Unknown))),
                Verified::Changed => return Ok(None),
            }
        }
        let lifetime = self.cookie_lifetime(&stored.content);
        Ok(Some(State::resumed(stored, lifetime)))
    }
}

/// Returns the state of a session that a logout has ended, whose `tombstone` was found.
fn ended(blank: impl Fn(Opened) -> Box<State>, tombstone: &Record, now: Timestamp) -> Box<State> {
    if !tombstone_tells(tombstone, now) {
        return blank(Opened::Unknown);
    }
    let mut ended = blank(Opened::Ended);
    ended.may_restart = is_settled_logout(tombstone, now);
    ended
}
