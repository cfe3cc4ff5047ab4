//! Lists the sessions of a principal, and ends them.

use std::fmt::Display;

use super::Manager;
use super::administration::{KEPT_APPEARING, KEPT_CHANGING, LIST_LIMIT, MAX_ROUNDS};
use super::description::newest_first;
use super::environment::Environment;
use super::session_info::SessionInfo;
use crate::codec::Stored;
use crate::{ErrorKind, Handle, Outcome, Principal, Result};

impl Manager {
    /// Lists the sessions of `principal`, newest first, at most 1,000. The one with the handle `current` is marked.
    ///
    /// The principal is what [`login`](crate::Session::login) takes.
    ///
    /// The list has the sessions of all logical names that share the store's namespace.
    /// A record that does not decode is left out, with an event.
    ///
    /// ```
    /// # use session_core::{Manager, Result};
    /// async fn devices(manager: &Manager, user: u64) -> Result<Vec<String>> {
    ///     let list = manager.sessions_of(user, None).await?;
    ///     Ok(list.into_iter().map(|info| info.label.unwrap_or_default()).collect())
    /// }
    /// # let manager = Manager::new(session_core::NullStore);
    /// # assert!(pollster::block_on(devices(&manager, 7)).is_err(), "this store has no index");
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the store lacks [`by_principal`](crate::Capabilities::by_principal), or if a session is in a
    /// [codec](crate::Codec) that this program is built without; [`ErrorKind::Unavailable`].
    pub async fn sessions_of(&self, principal: impl Display, current: Option<&Handle>) -> Result<Vec<SessionInfo>> {
        self.env.sessions_of(&Principal::new(principal)?, current).await
    }

    /// Ends the session `handle` if it belongs to `principal`. Returns whether a session was ended.
    ///
    /// A session that has just moved to a new id is ended there.
    /// A record that the store cannot read is removed without a check of its principal, because no client can open it.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, Result};
    /// // The handle comes from the list of sessions that the page has shown.
    /// async fn sign_out_device(manager: &Manager, user: u64, handle: &str) -> Result<bool> {
    ///     manager.revoke(user, &handle.parse()?).await
    /// }
    /// # let manager = Manager::new(session_core::NullStore);
    /// # assert!(!sign_out_device(&manager, 7, &"0".repeat(64)).await?);
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`Principal::new`]; [`ErrorKind::Unavailable`], also if the session kept changing meanwhile.
    pub async fn revoke(&self, principal: impl Display, handle: &Handle) -> Result<bool> {
        self.env.revoke(&Principal::new(principal)?, handle).await
    }

    /// Ends all sessions of `principal`, which is what [`login`](crate::Session::login) takes. Returns how many were ended.
    ///
    /// Sessions that are just moving to a new id are ended too. [`Session::revoke_others`](crate::Session::revoke_others) spares the
    /// session of the request.
    ///
    /// ```
    /// # use session_core::{Manager, Result};
    /// async fn block(manager: &Manager, user: u64) -> Result<u64> {
    ///     manager.revoke_all(user).await
    /// }
    /// # let manager = Manager::new(session_core::NullStore);
    /// # assert!(pollster::block_on(block(&manager, 7)).is_err(), "this store has no index");
    /// ```
    ///
    /// # Errors
    /// The errors of [`Principal::new`]; [`ErrorKind::Unsupported`] if the store lacks [`by_principal`](crate::Capabilities::by_principal),
    /// [`ErrorKind::Unavailable`].
    pub async fn revoke_all(&self, principal: impl Display) -> Result<u64> {
        self.env.revoke_all(&Principal::new(principal)?, None).await
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
            if let Some((info, _)) = self.describe(key, &record, call.now)? {
                list.push(SessionInfo { current: current == Some(&info.handle), ..info });
            }
        }
        self.remove_unfinished(&mut list, |info| info).await?;
        newest_first(&mut list);
        Ok(list)
    }

    /// Ends the session `handle`, or where it has moved to, if it belongs to `principal`. Returns whether a session was ended.
    pub(crate) async fn revoke(&self, principal: &Principal, handle: &Handle) -> Result<bool> {
        let mut key = *handle.key();
        for _ in 0..MAX_ROUNDS {
            let call = self.call();
            let record = match self.store().load(&call, &key).await {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(false),
                // The version cannot be read, so the delete names none.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    return Ok(self.store().delete(&call, &key, None).await? == Outcome::Done);
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
            match self.store().delete(&call, &key, Some(record.version)).await? {
                Outcome::Done => {
                    self.emit_revoked_record(&key, &record);
                    return Ok(true);
                }
                Outcome::Missing => return Ok(false),
                Outcome::Conflict | Outcome::Exists => {}
            }
        }
        Err(KEPT_CHANGING)
    }

    /// Ends the sessions of `principal` in passes, until a pass finds none.
    ///
    /// One pass may miss a session that is stored under its new id while the old one is deleted.
    pub(crate) async fn revoke_all(&self, principal: &Principal, except: Option<&Handle>) -> Result<u64> {
        let mut revoked = 0;
        let result = self.delete_all(principal, except, &mut revoked).await;
        self.emit_revoked(Some(principal), revoked);
        result.map(|()| revoked)
    }

    async fn delete_all(&self, principal: &Principal, except: Option<&Handle>, revoked: &mut u64) -> Result<()> {
        for _ in 0..MAX_ROUNDS {
            match self.store().delete_all(&self.call(), principal, except.map(Handle::key)).await? {
                0 => return Ok(()),
                n => *revoked += n,
            }
        }
        Err(KEPT_APPEARING)
    }
}
