//! Ends a session that the application's check refuses.

use super::environment::Environment;
use super::verifier::Verifier;
use crate::mutant::{self, Mutant};
use crate::session::committed::StoredRecord;
use crate::{EventKind, Outcome, Result, SessionInfo, StoreKey};

/// Result of a check.
pub(crate) enum Verified {
    /// The session may be used.
    Accepted,
    /// The session was refused and has ended.
    Ended,
    /// The session was refused, but another request has changed it meanwhile. It must be loaded and checked again.
    Changed,
}

impl Environment {
    /// Lets the application check the live session `stored` under `key`, and ends the session if it is refused.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if the application cannot tell, or the store does not answer. The session
    /// must not be used then.
    pub(crate) async fn verify(&self, verifier: &Verifier, key: &StoreKey, stored: &StoredRecord) -> Result<Verified> {
        let info = SessionInfo::new(*key, &stored.content, self.life(stored, self.now()));
        if verifier.accepts(SessionInfo { current: true, ..info }).await? {
            return Ok(Verified::Accepted);
        }
        Ok(match self.store().delete(&self.call(), key, Some(stored.version)).await? {
            Outcome::Done => {
                self.emit(EventKind::Revoked, &stored.content, Some(key));
                Verified::Ended
            }
            Outcome::Missing => Verified::Ended,
            _ if mutant::is(Mutant::EndsOnlyWhatItLoaded) => Verified::Ended,
            Outcome::Conflict | Outcome::Exists => Verified::Changed,
        })
    }
}
