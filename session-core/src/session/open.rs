//! Opening a session by the value that the client sent.

use std::sync::Arc;

use super::Session;
use super::committed::{StoredAt, StoredRecord};
use super::opened::Opened;
use super::state::{ClientCookie, State};
use crate::codec::Stored;
use crate::commit::{is_settled_logout, tombstone_tells};
use crate::manager::environment::Environment;
use crate::manager::verification::Verified;
use crate::{Error, ErrorKind, Result, SessionId, StoreKey};

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
    /// Loads the state of the session with `id`. The application checks a session with a principal first.
    pub(crate) async fn resume(&self, id: SessionId) -> Result<State> {
        for _ in 0..=self.max_replays {
            if let Some(state) = self.load(&id).await? {
                return Ok(state);
            }
        }
        Err(Error::fixed(
            ErrorKind::Unavailable,
            "the session kept changing while it was to be ended, because `verify` refused it; try again",
        ))
    }

    /// Loads the state of the session with `id`. `None` if it must be loaded again.
    async fn load(&self, id: &SessionId) -> Result<Option<State>> {
        let key = StoreKey::derive(&self.name, id);
        let call = self.call();
        let blank = |opened| State::new(opened, Some(ClientCookie::of(id.clone())), self.blank());
        let loaded = self.store().load(&call, &key).await;
        let read = loaded.and_then(|record| record.map(|record| Ok((Stored::read(&record)?, record))).transpose());
        let ((stored, head), record) = match read {
            Ok(Some(read)) => read,
            Ok(None) => return Ok(Some(blank(Opened::Unknown))),
            Err(error) if error.kind() == ErrorKind::Corrupt => {
                tracing::error!(name = %self.name, %error, "a stored session does not decode; the client gets a new one");
                return Ok(Some(blank(Opened::Undecodable)));
            }
            Err(error) => return Err(error),
        };
        Ok(Some(match stored {
            Stored::Tombstone(_) if !tombstone_tells(&record, call.now) => blank(Opened::Unknown),
            Stored::Tombstone(Some(_)) => blank(Opened::Moved),
            Stored::Tombstone(None) => {
                let mut ended = blank(Opened::Ended);
                ended.may_restart = is_settled_logout(&record, call.now);
                ended
            }
            Stored::Content(content) => {
                let lifetime = self.cookie_lifetime(&content);
                let stored = StoredRecord::new(&record, head, Arc::new(content));
                if self.life(&stored, call.now).ends_at <= call.now {
                    return Ok(Some(blank(Opened::Expired)));
                }
                if stored.content.principal.is_some()
                    && let Some(verifier) = &self.verifier
                {
                    match Box::pin(self.verify(verifier, &key, &stored)).await? {
                        Verified::Accepted => {}
                        Verified::Ended => return Ok(Some(blank(Opened::Unknown))),
                        Verified::Changed => return Ok(None),
                    }
                }
                State::resumed(StoredAt { id: id.clone(), key, record: stored }, lifetime)
            }
        }))
    }
}
