//! End of a request: the last commit, and the notice for the client.

use super::client_update::needs_confirmation;
use super::committer::Committer;
use crate::mutant::{self, Mutant};
use crate::{Commit, Error, ErrorKind, Result};

impl Committer<'_> {
    /// Implements [`Manager::close`](crate::Manager::close).
    pub(crate) async fn close(&self) -> Result<Commit> {
        {
            // What a clone's commit has sent before is no proof, so that commit ends first.
            let _turn = match mutant::is(Mutant::TrustsAClonesSave) {
                true => None,
                false => Some(self.shared.committing.lock().await),
            };
            self.state().confirmed &= mutant::is(Mutant::TrustsAnEarlySave);
        }
        for _ in 0..=self.shared.env.max_replays {
            let needs_commit = self.state().needs_commit();
            if needs_commit {
                self.commit().await?;
            }
            if !self.renew_if_due().await && !needs_commit {
                self.touch_if_due().await;
            }
            // Another task may have written since. Its accepted changes must be stored too.
            let closed = {
                let mut state = self.state();
                let nothing_left = !state.has_changes();
                state.closed |= nothing_left;
                nothing_left
            };
            if closed {
                return self.confirmed_difference().await;
            }
        }
        Err(Error::fixed(
            ErrorKind::Conflict,
            "other tasks kept writing to the session while it was closed; let them end first",
        ))
    }

    /// Implements [`Manager::close_at_once`](crate::Manager::close_at_once).
    pub(crate) fn close_at_once(&self) -> Option<Commit> {
        // If another clone's commit is in flight, it may still fail and leave changes to store.
        let _turn = self.shared.committing.try_lock()?;
        let now = self.shared.env.now();
        let mut state = self.state();
        if state.needs_commit() || self.touch_is_due(&state, now) || self.id_write_is_due(&state, now) {
            return None;
        }
        state.confirmed = false;
        let difference = self.difference(&state, now);
        if needs_confirmation(&state, &difference) {
            return None;
        }
        state.closed = true;
        Some(difference)
    }
}
