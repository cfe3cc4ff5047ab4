//! Logout: the end of a session, under its current id and under every id that it moves to.

use std::sync::Arc;

use super::committer::{Committer, TOMBSTONE_LIFE};
use crate::codec::{Content, Stored, tombstone};
use crate::head::Trail;
use crate::mutant::{self, Mutant};
use crate::{Error, ErrorKind, EventKind, Outcome, Result, StoreKey};

/// Maximum number of attempts of one logout. Each concurrent save or rotation of the session costs an attempt.
const MAX_STEPS: usize = 64;

impl Committer<'_> {
    /// Ends every record in the session's list of records to end.
    pub(super) async fn end_previous(&self) -> Result<()> {
        loop {
            let Some(key) = self.state().ending.first().copied() else { return Ok(()) };
            self.end_chain(key).await?;
            self.state().ending.retain(|ending| *ending != key);
        }
    }

    /// Replaces the record under `key`, or the record that it has moved to, by a tombstone without a next key.
    ///
    /// Saves and rotations in flight then conflict with the tombstone and fail.
    async fn end_chain(&self, mut key: StoreKey) -> Result<()> {
        let env = &*self.shared.env;
        let mut failed: Option<(_, Arc<Content>)> = None;
        for _ in 0..MAX_STEPS {
            let record = match env.store().load(&env.call(), &key).await {
                Ok(Some(record)) => record,
                Ok(None) => return Ok(()),
                // The store cannot read the record: the row is damaged, or its key was removed. The session must end anyway.
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    let _ = env.store().delete(&env.call(), &key, None).await?;
                    return Ok(());
                }
                Err(error) => return Err(error),
            };
            let (trail, content) = match Stored::read(&record) {
                Ok((Stored::Tombstone(None), _)) => {
                    if let Some((_, ended)) = failed.filter(|(version, _)| *version == record.version) {
                        env.emit(EventKind::Logout, &ended, Some(&key));
                    }
                    return Ok(());
                }
                Ok((Stored::Tombstone(Some(_)), _)) if mutant::is(Mutant::StopsAtTombstones) => return Ok(()),
                Ok((Stored::Tombstone(Some(next)), _)) => {
                    key = next;
                    continue;
                }
                Ok((Stored::Content(content), head)) => (head.trail, content),
                // A record that does not decode must end too.
                Err(_) => {
                    let blank = Content { principal: record.principal.clone(), ..env.blank() };
                    (Trail::of(record.version), Arc::new(blank))
                }
            };
            let expires_at = env.now().plus(TOMBSTONE_LIFE);
            let grave = tombstone(None, record.created_at, expires_at, Some(&trail));
            match env.store().save(&env.call(), &key, record.version, &grave).await {
                Ok(Outcome::Done) => {
                    env.emit(EventKind::Logout, &content, Some(&key));
                    return Ok(());
                }
                Ok(Outcome::Missing) => return Ok(()),
                Ok(Outcome::Conflict | Outcome::Exists) => {}
                // The next load shows whether the write was stored.
                Err(error) if error.is_transient() && failed.is_none() => failed = Some((grave.version, content)),
                Err(error) => return Err(error),
            }
        }
        Err(Error::fixed(ErrorKind::Unavailable, "the session kept changing while it was to be ended; try again"))
    }
}
