//! Removal of orphans: records under ids that no client has.

use super::committer::{Committer, TOMBSTONE_LIFE};
use crate::codec::tombstone;
use crate::mutant::{self, Mutant};
use crate::session::committed::Orphan;
use crate::{Error, Outcome, Result};

impl Committer<'_> {
    /// Removes the session's orphans. If a removal fails twice, the next commit tries again.
    ///
    /// The new record of a rotation stays while its tombstone is uncertain. If the tombstone is stored, that record is the session.
    pub(super) async fn remove_orphans(&self) {
        let orphans = self.state().removable_orphans();
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

    /// Removes one orphan. If its create may still arrive, a tombstone is created under the key first, so that the create is refused.
    async fn remove_orphan(&self, orphan: &Orphan) -> Result<()> {
        let env = &*self.shared.env;
        if !orphan.landed && !mutant::is(Mutant::RemovesACreateOnce) {
            let now = env.now();
            let grave = tombstone(None, now, now.plus(TOMBSTONE_LIFE), None);
            if env.store().create(&env.call(), &orphan.key, &grave).await? == Outcome::Done {
                return Ok(());
            }
        }
        // After any outcome this version is no longer stored, and a version never returns.
        let _ = env.store().delete(&env.call(), &orphan.key, Some(orphan.version)).await?;
        Ok(())
    }
}
