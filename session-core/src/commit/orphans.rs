//! The removal of records under ids that no client has.

use super::TOMBSTONE_LIFE;
use crate::content::tombstone;
use crate::session::state::Orphan;
use crate::{Error, Outcome, Result, Session};

impl Session {
    /// Removes records under ids that no client has. One that fails twice is left to the next commit.
    pub(super) async fn remove_orphans(&self) {
        let orphans = self.state().orphans.clone();
        for orphan in orphans {
            let mut removed = Box::pin(self.remove_orphan(&orphan)).await;
            if removed.as_ref().is_err_and(Error::is_transient) {
                removed = Box::pin(self.remove_orphan(&orphan)).await;
            }
            match removed {
                Ok(()) => self.state().orphans.retain(|left| left.key != orphan.key),
                Err(error) => tracing::warn!(%error, "a record under an id that no client has could not be removed"),
            }
        }
    }

    /// Removes one record. If its create may still arrive, a tombstone takes the key first, so that the create is refused.
    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        let manager = &*self.shared.manager;
        if !orphan.landed {
            let now = manager.now();
            let grave = tombstone(None, now, now.plus(TOMBSTONE_LIFE));
            if manager.store().create(&manager.call(), &orphan.key, &grave).await? == Outcome::Done {
                return Ok(());
            }
        }
        // Whatever the outcome, this version is not stored any more, and no version returns.
        let _ = manager.store().delete(&manager.call(), &orphan.key, Some(orphan.version)).await?;
        Ok(())
    }
}
