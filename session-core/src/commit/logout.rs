//! Logout: the end of a session and of whatever it has moved on to.

use super::committer::{Committer, TOMBSTONE_LIFE};
use crate::codec::{Stored, tombstone};
use crate::head::Trail;
use crate::{Error, ErrorKind, Outcome, Result, StoreKey};

/// A session that moves this often during one logout is being moved by something that will not stop.
const MAX_STEPS: usize = 64;

impl Committer<'_> {
    /// Ends every record that a logout named.
    pub(super) async fn end_previous(&self) -> Result<()> {
        loop {
            let Some(key) = self.state().ending.first().copied() else { return Ok(()) };
            self.end_chain(key).await?;
            self.state().ending.retain(|ending| *ending != key);
        }
    }

    /// Turns the record under `key`, or the one that it has moved to, into a tombstone that points nowhere.
    ///
    /// A save in flight then finds another version, a rotation in flight cannot leave its own tombstone, and neither goes on.
    async fn end_chain(&self, mut key: StoreKey) -> Result<()> {
        let env = &*self.shared.env;
        let mut failed = false;
        for _ in 0..MAX_STEPS {
            let record = match env.store().load(&env.call(), &key).await {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(()),
                // The store cannot read it: a torn row, or sealed by a key that was taken away. It ends all the same.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let _ = env.store().delete(&env.call(), &key, None).await?;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let trail = match Stored::read(&record) {
                Ok((Stored::Tombstone(None), _)) => return Ok(()),
                Ok((Stored::Tombstone(Some(next)), _)) => {
                    key = next;
                    continue;
                }
                Ok((Stored::Content(_), head)) => head.trail,
                // What does not decode ends as well.
                Err(_) => Trail::of(record.version),
            };
            let expires_at = env.now().plus(TOMBSTONE_LIFE);
            let grave = tombstone(None, record.created_at, expires_at, Some(&trail));
            match env.store().save(&env.call(), &key, record.version, &grave).await {
                Ok(Outcome::Done | Outcome::Missing) => return Ok(()),
                Ok(Outcome::Conflict | Outcome::Exists) => {}
                // Whether it was done, the next load tells.
                Err(error) if error.is_transient() && !failed => failed = true,
                Err(error) => return Err(error),
            }
        }
        Err(Error::fixed(ErrorKind::Unavailable, "the session kept changing while it was to be ended"))
    }
}
