//! Lists the sessions of a principal, and ends them.

use std::num::NonZeroU32;

use super::Manager;
use super::environment::Environment;
use crate::codec::Stored;
use crate::{Error, ErrorKind, Handle, Outcome, Principal, Result, Timestamp};

/// Maximum number of sessions that [`Manager::sessions_of`] returns.
const LIST_LIMIT: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");
/// Maximum number of passes of a revocation. A client that keeps making new sessions could prolong it without end.
const MAX_ROUNDS: usize = 64;

/// One session of a principal, as [`Manager::sessions_of`] lists it. It holds no values.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Handle for [`Manager::revoke`]. It does not open the session.
    pub handle: Handle,
    /// Start of the session: its creation, or its last login or reauthentication.
    pub created_at: Timestamp,
    /// Last use, accurate to a tenth of the idle time-out or to an hour, whichever is shorter. Reads are not stored more often.
    pub last_used: Timestamp,
    /// Instant at which the session ends unless it is used before, by the time-outs in force now.
    pub expires_at: Timestamp,
    /// Instant of the last [login](crate::Session::login) or [reauthentication](crate::Session::reauthenticate).
    pub auth_time: Option<Timestamp>,
    /// Label that the application [has set](crate::Session::set_label).
    pub label: Option<String>,
    /// Whether this is the session whose handle was passed as `current`.
    pub current: bool,
}

impl Manager {
    /// Lists the sessions of `principal`, newest first, at most 1,000. The one with the handle `current` is marked.
    ///
    /// The list has the sessions of all logical names that share the store's namespace.
    /// A record that does not decode is left out, with an event.
    ///
    /// ```
    /// # use session_core::{Manager, Principal, Result};
    /// async fn devices(manager: &Manager, user: u64) -> Result<Vec<String>> {
    ///     let list = manager.sessions_of(&Principal::new(user)?, None).await?;
    ///     Ok(list.into_iter().map(|info| info.label.unwrap_or_default()).collect())
    /// }
    /// # let manager = Manager::new(session_core::NullStore);
    /// # assert!(pollster::block_on(devices(&manager, 7)).is_err(), "this store has no index");
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the store lacks [`by_principal`](crate::Capabilities::by_principal), or if a session is in a
    /// [codec](crate::Codec) that this program is built without; [`ErrorKind::Unavailable`].
    pub async fn sessions_of(&self, principal: &Principal, current: Option<&Handle>) -> Result<Vec<SessionInfo>> {
        self.env.sessions_of(principal, current).await
    }

    /// Ends the session `handle` if it belongs to `principal`. Returns whether a session was ended.
    ///
    /// A session that has just moved to a new id is ended there.
    /// A record that the store cannot read is removed without a check of its principal, because no client can open it.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, Principal, Result};
    /// // The handle comes from the list of sessions that the page has shown.
    /// async fn sign_out_device(manager: &Manager, user: u64, handle: &str) -> Result<bool> {
    ///     manager.revoke(&Principal::new(user)?, &handle.parse()?).await
    /// }
    /// # let manager = Manager::new(session_core::NullStore);
    /// # assert!(!sign_out_device(&manager, 7, &"0".repeat(64)).await?);
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`], also if the session kept changing meanwhile.
    pub async fn revoke(&self, principal: &Principal, handle: &Handle) -> Result<bool> {
        let env = &*self.env;
        let mut key = *handle.key();
        for _ in 0..MAX_ROUNDS {
            let call = env.call();
            let record = match env.store().load(&call, &key).await {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(false),
                // The version cannot be read, so the delete names none.
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
        Err(Error::fixed(ErrorKind::Unavailable, "the session kept changing while it was to be revoked; try again"))
    }

    /// Ends all sessions of `principal` except the one with the handle `except`. Returns how many were ended.
    ///
    /// Sessions that are just moving to a new id are ended too.
    ///
    /// ```
    /// # use session_core::{Manager, Principal, Result};
    /// async fn block(manager: &Manager, user: u64) -> Result<u64> {
    ///     manager.revoke_all(&Principal::new(user)?, None).await
    /// }
    /// # let manager = Manager::new(session_core::NullStore);
    /// # assert!(pollster::block_on(block(&manager, 7)).is_err(), "this store has no index");
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the store lacks [`by_principal`](crate::Capabilities::by_principal), [`ErrorKind::Unavailable`].
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
                // A list must not leave out a live session.
                Err(error) => return Err(error),
            }
        }
        list.sort_by(|a, b| b.created_at.cmp(&a.created_at).then(a.handle.cmp(&b.handle)));
        Ok(list)
    }

    /// Ends the sessions of `principal` in passes, until a pass finds none.
    ///
    /// One pass may miss a session that is stored under its new id while the old one is deleted.
    pub(crate) async fn revoke_all(&self, principal: &Principal, except: Option<&Handle>) -> Result<u64> {
        let mut revoked = 0;
        for _ in 0..MAX_ROUNDS {
            match self.store().delete_all(&self.call(), principal, except.map(Handle::key)).await? {
                0 => return Ok(revoked),
                n => revoked += n,
            }
        }
        Err(Error::fixed(ErrorKind::Unavailable, "new sessions kept appearing while all were to be revoked; try again"))
    }
}
