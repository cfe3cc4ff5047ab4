//! Operations of a session that call the store.

use super::Session;
use crate::commit::Committer;
use crate::commit::uncertain::UncertainWrite;
use crate::{Commit, Error, ErrorKind, Outcome, Result};

impl Session {
    /// Stores the changes of this session now, and returns how the stored session differs from the client's cookie.
    ///
    /// A web application need not call it, because the layer commits every session before the response's head is sent.
    /// After an explicit save the layer still sends the cookie.
    ///
    /// Dropping the future loses no change. The next commit finds out what was stored.
    ///
    /// # Errors
    /// - [`ErrorKind::Conflict`]: another request changed a key that this request has read and written, or the manager's policy is
    ///   [`Reject`](crate::ConflictPolicy::Reject). [`reload`](Session::reload) and do the work again.
    /// - [`ErrorKind::Gone`]: the session has ended, moved or changed hands, or its request was abandoned. The changes are dropped.
    /// - [`ErrorKind::TooLarge`]: a limit is exceeded. Nothing was stored, and the changes are kept.
    /// - [`ErrorKind::Unavailable`]: the store cannot be reached, or it is uncertain whether the write was stored.
    ///   The changes are kept. Another save finds out, and never applies them twice.
    pub async fn save(&self) -> Result<Commit> {
        let committer = Committer(self);
        committer.commit().await?;
        let state = self.state();
        if state.was_abandoned() {
            return Err(Error::fixed(
                ErrorKind::Gone,
                "its request was abandoned, and the changes were dropped; `discard` or `reload` it to go on",
            ));
        }
        Ok(committer.difference(&state))
    }

    /// Drops the changes that have not been saved, and loads the session as it is stored now.
    ///
    /// A [`logout`](Session::logout) is kept, and the next commit carries it out. There is then nothing to load.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if the session is no longer stored under this id, [`ErrorKind::Unavailable`].
    pub async fn reload(&self) -> Result<()> {
        let _turn = self.shared.committing.lock().await;
        let env = &*self.shared.env;
        // The outcome of an uncertain rotation decides which id to load.
        if self.state().uncertain.as_deref().is_some_and(UncertainWrite::is_rotation) {
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
        let fresh = env.resume(id).await?;
        let mut state = self.state();
        if state.epoch != epoch {
            return Err(Error::fixed(ErrorKind::Gone, "it ended while it was read"));
        }
        match fresh.stored {
            Some(stored) => {
                state.discard();
                state.stored = Some(stored);
                state.base = fresh.base;
                state.set_view(fresh.view);
                Ok(())
            }
            None => {
                let logged = state.ops_end();
                state.mark_gone(epoch, logged, env.now());
                Err(Error::fixed(ErrorKind::Gone, "it ended, moved or was revoked"))
            }
        }
    }

    /// Stores the present instant as the session's last use, even if the previous one is recent. This moves its expiry.
    ///
    /// Does nothing if the session is not stored, or has ended, moved or changed hands. That is not an error.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub async fn touch(&self) -> Result<()> {
        Committer(self).touch_current().await.map(|_: Outcome| ())
    }

    /// Ends all other sessions of this session's principal. Returns how many were ended. Call this after a change of password.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] if the store lacks [`by_principal`](crate::Capabilities::by_principal), [`ErrorKind::Other`] if the session
    /// has no principal, [`ErrorKind::Unavailable`].
    pub async fn revoke_others(&self) -> Result<u64> {
        let Some(principal) = self.principal() else {
            return Err(Error::fixed(ErrorKind::Other, "the session has no principal"));
        };
        self.shared.env.revoke_all(&principal, self.handle().as_ref()).await
    }

    /// Lists the sessions of this session's principal, newest first. This one is marked as [`current`](crate::SessionInfo::current).
    ///
    /// # Errors
    /// The errors of [`Manager::sessions_of`](crate::Manager::sessions_of), and [`ErrorKind::Other`] if the session has no principal.
    pub async fn sessions(&self) -> Result<Vec<crate::SessionInfo>> {
        let Some(principal) = self.principal() else {
            return Err(Error::fixed(ErrorKind::Other, "the session has no principal"));
        };
        self.shared.env.sessions_of(&principal, self.handle().as_ref()).await
    }
}
