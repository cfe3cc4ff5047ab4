//! Where somebody is signed in, and how that is ended.

use std::num::NonZeroU32;

use super::Manager;
use super::environment::Environment;
use crate::codec::Stored;
use crate::{Error, ErrorKind, Handle, Outcome, Principal, Result, Timestamp};

/// The longest list that [`Manager::sessions_of`] gives.
const LIST_LIMIT: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
/// Rounds and steps after which whoever keeps making new sessions is stronger.
const MAX_ROUNDS: usize = 64;

/// One session of a principal, for a list of where they are signed in. It holds no data.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// What [`Manager::revoke`] takes; knowing it opens nothing.
    pub handle: Handle,
    /// When it began.
    pub created_at: Timestamp,
    /// When it was used last, to a tenth of its idle time-out or an hour: reads are noted no more often.
    pub last_used: Timestamp,
    /// When it ends unless it is used.
    pub expires_at: Timestamp,
    /// When the principal last proved who they are.
    pub auth_time: Option<Timestamp>,
    /// What the application [called it](crate::Session::set_label).
    pub label: Option<String>,
    /// Whether it is the session that asks.
    pub current: bool,
}

impl Manager {
    /// Where `principal` is signed in, newest first, at most 1,000 sessions; `current` is the handle of the one that asks.
    ///
    /// Sessions of all logical names that share the store's namespace are listed.
    /// A record that does not decode is left out, with an event.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] by a store without [`by_principal`](crate::Capabilities::by_principal), and if one of them is in a
    /// [codec](crate::Codec) that this program is built without; [`ErrorKind::Unavailable`].
    pub async fn sessions_of(&self, principal: &Principal, current: Option<&Handle>) -> Result<Vec<SessionInfo>> {
        self.env.sessions_of(principal, current).await
    }

    /// Ends the session `handle` if it is `principal`'s; whether it was.
    ///
    /// If it has just moved under a new id, it is ended there.
    /// A record that the store cannot read is removed whoever it belongs to, because it opens for nobody.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub async fn revoke(&self, principal: &Principal, handle: &Handle) -> Result<bool> {
        let env = &*self.env;
        let mut key = *handle.key();
        for _ in 0..MAX_ROUNDS {
            let call = env.call();
            let record = match env.store().load(&call, &key).await {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(false),
                // Ended by a delete without a version: there is none to name.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    return Ok(env.store().delete(&call, &key, None).await? == Outcome::Done);
                }
                Err(error) => return Err(error),
            };
            if let Ok((Stored::Tombstone(Some(next)), _)) = Stored::read(&record) {
                key = next;
                continue;
            }
            if record.principal.as_ref() != Some(principal) {
                return Ok(false);
            }
            match env.store().delete(&call, &key, Some(record.version)).await? {
                Outcome::Done => return Ok(true),
                Outcome::Missing => return Ok(false),
                Outcome::Conflict | Outcome::Exists => {}
            }
        }
        Err(Error::fixed(ErrorKind::Unavailable, "the session kept changing while it was to be revoked"))
    }

    /// Ends all sessions of `principal` but `except`, those that are just moving included, and answers how many.
    ///
    /// # Errors
    /// As [`sessions_of`](Manager::sessions_of).
    pub async fn revoke_all(&self, principal: &Principal, except: Option<&Handle>) -> Result<u64> {
        self.env.revoke_all(principal, except).await
    }
}

impl Environment {
    pub(crate) async fn sessions_of(
        &self,
        principal: &Principal,
        current: Option<&Handle>,
    ) -> Result<Vec<SessionInfo>> {
        let call = self.call();
        let found = self.store().sessions_of(&call, principal, LIST_LIMIT).await?;
        let mut list = Vec::with_capacity(found.len());
        for (key, record) in found {
            let handle = Handle::from(key);
            match Stored::read(&record) {
                Ok((Stored::Content(content), head)) => {
                    let life = self.policy.life(&content, record.expires_at, head.idle, call.now);
                    if life.ends_at <= call.now {
                        continue;
                    }
                    list.push(SessionInfo {
                        handle,
                        created_at: record.created_at,
                        last_used: life.last_used,
                        expires_at: life.ends_at,
                        auth_time: content.auth_time,
                        label: content.label.as_deref().map(String::from),
                        current: current == Some(&handle),
                    });
                }
                Ok((Stored::Tombstone(_), _)) => {}
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    tracing::error!(name = %self.name, %error, "a stored session does not decode");
                }
                // A list that leaves out what is live would say that nobody is signed in there.
                Err(error) => return Err(error),
            }
        }
        list.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(a.handle.cmp(&b.handle)));
        Ok(list)
    }

    /// One pass may miss a session that is stored under its new id while the old one is deleted, so passes go on until
    /// one finds nobody.
    pub(crate) async fn revoke_all(&self, principal: &Principal, except: Option<&Handle>) -> Result<u64> {
        let mut revoked = 0;
        for _ in 0..MAX_ROUNDS {
            match self.store().delete_all(&self.call(), principal, except.map(Handle::key)).await? {
                0 => return Ok(revoked),
                n => revoked += n,
            }
        }
        Err(Error::fixed(ErrorKind::Unavailable, "new sessions kept appearing while all were to be revoked"))
    }
}
