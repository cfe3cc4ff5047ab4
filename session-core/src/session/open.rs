//! Opening a session by the value that the client sent.

use std::sync::Arc;

use super::Session;
use super::committed::{StoredAt, StoredRecord};
use super::opened::Opened;
use super::state::{ClientCookie, State};
use crate::codec::Stored;
use crate::commit::{is_settled_logout, tombstone_tells};
use crate::manager::environment::Environment;
use crate::{ErrorKind, Result, SessionId, StoreKey};

impl Session {
    /// Opens the session of `client_value`, or a new one.
    pub(crate) async fn open(env: &Arc<Environment>, client_value: Option<&str>) -> Result<Self> {
        let state = match client_value.map(SessionId::parse) {
            None => State::new(Opened::New, None, env.blank()),
            Some(None) => State::new(Opened::Undecodable, Some(ClientCookie::default()), env.blank()),
            Some(Some(id)) => env.resume(id).await?,
        };
        Ok(Self::new(env.clone(), state))
    }
}

impl Environment {
    /// Loads the state of the session with `id`.
    pub(crate) async fn resume(&self, id: SessionId) -> Result<State> {
        let key = StoreKey::derive(&self.name, &id);
        let call = self.call();
        let blank = |opened, id| State::new(opened, Some(ClientCookie::of(id)), self.blank());
        let loaded = self.store().load(&call, &key).await;
        let read = loaded.and_then(|record| record.map(|record| Ok((Stored::read(&record)?, record))).transpose());
        let ((stored, head), record) = match read {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(blank(Opened::Unknown, id)),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(name = %self.name, %error, "a stored session does not decode; the client gets a new one");
                return Ok(blank(Opened::Undecodable, id));
            }
            Err(error) => return Err(error),
        };
        Ok(match stored {
            Stored::Tombstone(_) if !tombstone_tells(&record, call.now) => blank(Opened::Unknown, id),
            Stored::Tombstone(Some(_)) => blank(Opened::Moved, id),
            Stored::Tombstone(None) => {
                let mut ended = blank(Opened::Ended, id);
                ended.may_restart = is_settled_logout(&record, call.now);
                ended
            }
            Stored::Content(content) => {
                let lifetime = self.cookie_lifetime(&content);
                let record = StoredRecord::new(&record, head, Arc::new(content));
                if self.life(&record, call.now).ends_at <= call.now {
                    return Ok(blank(Opened::Expired, id));
                }
                State::resumed(StoredAt { id, key, record }, lifetime)
            }
        })
    }
}
