//! Operations of a session that call the store.

use super::Session;
use super::auth::NO_PRINCIPAL;
use super::open::OldIds;
use super::state::Quiet;
use crate::commit::Committer;
use crate::commit::uncertain::UncertainWrite;
use crate::mutant::{self, Mutant};
use crate::{Commit, Error, ErrorKind, Handle, Outcome, Result};

impl Session {
    /// Stores the changes of this session now, and returns how the stored session differs from the client's cookie.
    ///
    /// A web application need not call it, because the layer commits every session before the response's head is sent.
    /// After an explicit save the layer still sends the cookie.
    ///
    /// Dropping the future loses no change. The next commit finds out what was stored.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("step", &2)?;
    /// session.save().await?; // before a long operation
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// - [`ErrorKind::Conflict`]: another request changed a key that this request has read and written, or the manager's policy is
    ///   [`Reject`](crate::ConflictPolicy::Reject). [`reload`](Session::reload) and do the work again.
    /// - [`ErrorKind::Gone`]: the session has ended, moved or changed hands, or its request was abandoned. The changes are dropped.
    /// - [`ErrorKind::TooLarge`]: a limit is exceeded. Nothing was stored, and the changes are kept.
    /// - [`ErrorKind::TooManySessions`]: a login is one session too many for its principal, see
    ///   [`max_sessions`](crate::ManagerBuilder::max_sessions). Nothing was stored, and the changes are kept.
    /// - [`ErrorKind::Unavailable`]: the store cannot be reached, or it is uncertain whether the write was stored.
    ///   The changes are kept. Another save finds out, and never applies them twice.
    pub async fn save(&self) -> Result<Commit> {
        let committer = Committer(self);
        committer.commit().await?;
        let now = self.now();
        let state = self.state();
        if state.was_abandoned() {
            return Err(Error::fixed(
                ErrorKind::Gone,
                "its request was abandoned, and the changes were dropped; `discard` or `reload` it to go on",
            ));
        }
        Ok(committer.difference(&state, now))
    }

    /// Drops the changes that have not been saved, and loads the session as it is stored now.
    ///
    /// A [`logout`](Session::logout) is kept, and the next commit carries it out. There is then nothing to load.
    ///
    /// ```
    /// # use session_core::{ErrorKind, Result, Session};
    /// async fn buy(session: &Session) -> Result<()> {
    ///     loop {
    ///         let credit: u64 = session.get("credit")?.unwrap_or(0);
    ///         session.insert("credit", &credit.saturating_sub(10))?;
    ///         match session.save().await {
    ///             Err(error) if error.kind() == ErrorKind::Conflict => session.reload().await?,
    ///             saved => return saved.map(|_| ()),
    ///         }
    ///     }
    /// }
    /// # pollster::block_on(async {
    /// # buy(&session_core::Manager::new(session_core::NullStore).open(None).await.unwrap()).await.unwrap();
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if the session is no longer stored under this id, [`ErrorKind::Unavailable`].
    pub async fn reload(&self) -> Result<()> {
        let _turn = self.shared.committing.lock().await;
        let env = &*self.shared.env;
        let is_rotating = || self.state().uncertain.as_deref().is_some_and(UncertainWrite::is_rotation);
        let mut asked_again = mutant::is(Mutant::ReloadsBesideARotation);
        let (fresh, epoch) = loop {
            // The outcome of an uncertain rotation decides which id to load.
            if is_rotating() {
                Committer(self).resolve_uncertain().await?;
            }
            let (id, epoch) = {
                let mut state = self.state();
                let Some(stored) = &state.stored else {
                    state.discard();
                    return Ok(());
                };
                (stored.id.clone(), state.epoch)
            };
            let fresh = *env.resume(id, OldIds::Always).await?;
            // A rotation that is still uncertain may have been stored between the two loads, and then the session is under its new id.
            // Once is enough: the tombstone that was found then decides.
            if fresh.stored.is_some() || !is_rotating() || asked_again {
                break (fresh, epoch);
            }
            asked_again = true;
        };
        let mut state = self.state();
        if state.epoch != epoch {
            return Err(Error::fixed(
                ErrorKind::Gone,
                "it ended while it was read; `discard` the session, or log in again",
            ));
        }
        match fresh.stored {
            Some(stored) => {
                state.discard();
                let before = state.stored.replace(stored);
                if let Some(before) = before.filter(|_| fresh.client.is_some_and(|client| client.successor.is_some())) {
                    state.note_successor(&before.id);
                }
                state.base = fresh.base;
                state.set_view(fresh.view);
                Ok(())
            }
            None => {
                let logged = state.ops_end();
                state.mark_gone(epoch, logged, env.now());
                Err(Error::fixed(
                    ErrorKind::Gone,
                    "it ended, moved or was revoked; `discard` the session, or log in again",
                ))
            }
        }
    }

    /// Stores the present instant as the session's last use, even if the previous one is recent. This moves its expiry.
    ///
    /// Does nothing if the session is not stored, or has ended, moved or changed hands. That is not an error. A
    /// [renewal](crate::ManagerBuilder::renew_id_every) of the id is followed.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.touch().await?; // such as in a request that keeps a page alive
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub async fn touch(&self) -> Result<()> {
        Committer(self).touch_current().await.map(|_: Outcome| ())
    }

    /// Leaves the session's expiry as it is, for a request that is not the user's doing, such as one that a page sends every minute.
    ///
    /// The request does not note a use of the session, renews no id and no cookie, and takes no flash message: [`flashes`](Session::flashes)
    /// shows the messages and leaves them. A request that writes is stored as usual, and a store notes the time of a write as a use.
    /// The layer calls this itself for `HEAD` and for prefetches.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.flash("notice", "saved")?;
    /// session.keep_expiry();
    /// assert_eq!(session.flashes::<String>("notice")?, ["saved"]);
    /// assert_eq!(session.flashes::<String>("notice")?, ["saved"], "it was not taken");
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn keep_expiry(&self) {
        self.state().quiet.keeps_expiry = true;
    }

    /// As [`keep_expiry`](Self::keep_expiry), and [`flashes`](Self::flashes) returns no messages. For a page that is fetched in advance:
    /// a browser may show it later without another request, so a message would be shown twice.
    #[doc(hidden)]
    pub fn hide_flashes(&self) {
        self.state().quiet = Quiet { keeps_expiry: true, hides_flashes: true };
    }

    /// Whether the request leaves the expiry as it is.
    #[doc(hidden)]
    pub fn keeps_expiry(&self) -> bool {
        self.state().quiet.keeps_expiry
    }

    /// Ends all other sessions of this session's principal. Returns how many were ended. Call this after a change of password.
    ///
    /// ```
    /// # use session_core::{Result, Session};
    /// async fn change_password(session: &Session) -> Result<u64> {
    ///     // ... after the new password is stored:
    ///     session.reauthenticate()?;
    ///     session.revoke_others().await
    /// }
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await.unwrap();
    /// # assert!(change_password(&session).await.is_err(), "it has no principal");
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the store lacks [`by_principal`](crate::Capabilities::by_principal), [`ErrorKind::Unauthenticated`] if
    /// the session has no principal, [`ErrorKind::Unavailable`].
    pub async fn revoke_others(&self) -> Result<u64> {
        let principal = self.principal().ok_or(NO_PRINCIPAL)?;
        // The session may have a new id since, and must not count as another one.
        Committer(self).find_renewed().await?;
        self.shared.env.revoke_all(&principal, self.handle().as_ref()).await
    }

    /// Ends the session `handle` if it belongs to this session's principal. Returns whether a session was ended.
    ///
    /// The handle may come from the client, because only own sessions end. The handle of this session means [`logout`](Session::logout),
    /// which takes effect with the next commit.
    ///
    /// ```
    /// # use session_core::{Result, Session};
    /// async fn sign_out_device(session: &Session, handle: &str) -> Result<bool> {
    ///     session.revoke(&handle.parse()?).await
    /// }
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await.unwrap();
    /// # assert!(sign_out_device(&session, &"0".repeat(64)).await.is_err(), "it has no principal");
    /// # });
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unauthenticated`] if the session has no principal, [`ErrorKind::Unavailable`].
    pub async fn revoke(&self, handle: &Handle) -> Result<bool> {
        let principal = self.principal().ok_or(NO_PRINCIPAL)?;
        // A page that was made before a renewal names the session by its old handle.
        let is_own =
            self.state().stored.as_ref().is_some_and(|stored| {
                stored.key == *handle.key() || stored.content.renewed_from(handle.key()).is_some()
            });
        if is_own {
            self.logout();
            return Ok(true);
        }
        self.shared.env.revoke(&principal, handle).await
    }

    /// Lists the sessions of this session's principal, newest first. This one is marked as [`current`](crate::SessionInfo::current).
    ///
    /// ```
    /// # use session_core::{Result, Session};
    /// async fn other_devices(session: &Session) -> Result<Vec<String>> {
    ///     let others = session.sessions().await?.into_iter().filter(|info| !info.current);
    ///     Ok(others.map(|info| info.label.unwrap_or_default()).collect())
    /// }
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await.unwrap();
    /// # assert!(other_devices(&session).await.is_err(), "it has no principal");
    /// # });
    /// ```
    ///
    /// # Errors
    /// The errors of [`Manager::sessions_of`](crate::Manager::sessions_of), and [`ErrorKind::Unauthenticated`] if the session has no principal.
    pub async fn sessions(&self) -> Result<Vec<crate::SessionInfo>> {
        let principal = self.principal().ok_or(NO_PRINCIPAL)?;
        self.shared.env.sessions_of(&principal, self.handle().as_ref()).await
    }
}
