//! What reaches the store.

use super::Session;
use crate::commit::Committer;
use crate::commit::uncertain::UncertainWrite;
use crate::{Commit, Error, ErrorKind, Outcome, Result};

impl Session {
    /// Stores what was changed, and answers how that differs from what the client holds.
    ///
    /// Not needed in a web application, where the layer commits every session before the response's head leaves.
    /// The cookie of an explicit save is announced by the layer all the same.
    ///
    /// Dropping the future half-way loses nothing: the next commit finds out what was stored.
    ///
    /// # Errors
    /// - [`ErrorKind::Conflict`]: a key read and written here was changed meanwhile, or the manager's policy is to
    ///   [`Reject`](crate::ConflictPolicy::Reject). [`reload`](Session::reload) and do the work again.
    /// - [`ErrorKind::Gone`]: the session ended, moved or changed hands.
    /// - [`ErrorKind::TooLarge`]: over a limit. Nothing was stored, the changes are still here.
    /// - [`ErrorKind::Unavailable`]: the store cannot be reached, or it is not known whether the write arrived.
    ///   The changes are still here; saving again finds out and never does them twice.
    pub async fn save(&self) -> Result<Commit> {
        let committer = Committer(self);
        committer.commit().await?;
        Ok(committer.difference(&self.state()))
    }

    /// Drops the changes that have not been saved and reads what is stored now. After a [`logout`](Session::logout) there is
    /// nothing to read; the logout is kept, and the next commit carries it out.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if it is no longer there, [`ErrorKind::Unavailable`].
    pub async fn reload(&self) -> Result<()> {
        let _turn = self.shared.committing.lock().await;
        let env = &*self.shared.env;
        // Under which id to read, the outcome of an uncertain rotation decides.
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

    /// Moves the expiry out to an idle time-out from now, without waiting for the tenth of it to pass.
    ///
    /// Does nothing if the session is not stored, or has ended, moved or changed hands: that is no error.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`].
    pub async fn touch(&self) -> Result<()> {
        Committer(self).touch_current().await.map(|_: Outcome| ())
    }

    /// Ends all other sessions of this session's principal, and answers how many. Do so after a change of password.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] by a store without [`by_principal`](crate::Capabilities::by_principal), [`ErrorKind::Other`] if nobody
    /// is signed in, [`ErrorKind::Unavailable`].
    pub async fn revoke_others(&self) -> Result<u64> {
        let Some(principal) = self.principal() else {
            return Err(Error::fixed(ErrorKind::Other, "nobody is signed in whose sessions could end"));
        };
        self.shared.env.revoke_all(&principal, self.handle().as_ref()).await
    }

    /// The sessions of this session's principal, this one marked as [`current`](crate::SessionInfo::current).
    ///
    /// # Errors
    /// As [`revoke_others`](Session::revoke_others).
    pub async fn sessions(&self) -> Result<Vec<crate::SessionInfo>> {
        let Some(principal) = self.principal() else {
            return Err(Error::fixed(ErrorKind::Other, "nobody is signed in whose sessions could be listed"));
        };
        self.shared.env.sessions_of(&principal, self.handle().as_ref()).await
    }
}
