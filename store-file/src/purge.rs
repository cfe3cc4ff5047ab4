//! Search for expired sessions and for remains of processes that died between two steps of a write.

use std::ops::ControlFlow;
use std::path::Path;

use session_core::{ErrorKind, Result, StoreKey, Timestamp};

use crate::folder::{ASIDE, Folder, Owner, each_name, key_of, shard_of};
use crate::write::What;

/// Maximum number of files that one purge checks, so that it takes some tens of milliseconds.
const FILES: usize = 4_096;
/// Number of folders: 256 with records, then 256 with index entries.
const FOLDERS: usize = 512;

/// Position of a store's purges in a pass over all folders. Each purge continues where the last one stopped.
#[derive(Debug, Default)]
pub(crate) struct Position {
    folder: usize,
    /// Last name that was checked in this folder.
    after: Option<String>,
    /// Cutoff of the call that started the pass.
    cutoff: Option<Timestamp>,
}

/// Operations to execute, each under the lock of its key's shard.
pub(crate) type Found = Vec<(StoreKey, What)>;

impl Position {
    /// Continues the pass until `limit` expired sessions are found, enough files are checked, or the pass ends.
    ///
    /// Returns the operations to execute, and whether the pass ended.
    /// The search takes no locks, so each operation must check its file again under the lock.
    pub(crate) fn survey(&mut self, folder: &Folder, cutoff: Timestamp, limit: usize) -> Result<(Found, bool)> {
        // A call with an earlier cutoff than the pass starts a new pass.
        if self.cutoff.is_none_or(|began| cutoff < began) {
            *self = Self { cutoff: Some(cutoff), ..Self::default() };
        }
        let mut survey = Survey { folder, cutoff, limit, seen: 0, expired: 0, found: Vec::new() };
        while self.folder < FOLDERS {
            let (number, after) = (self.folder, self.after.take());
            // Advances before reading, so that a folder that cannot be read does not stop the next purge too.
            self.folder += 1;
            let names = survey.names(number, after.as_deref())?;
            for name in names {
                if survey.look(number, &name)?.is_break() {
                    (self.folder, self.after) = (number, Some(name));
                    return Ok((survey.found, false));
                }
            }
        }
        *self = Self::default();
        Ok((survey.found, true))
    }
}

struct Survey<'a> {
    folder: &'a Folder,
    cutoff: Timestamp,
    limit: usize,
    seen: usize,
    expired: usize,
    found: Found,
}

impl Survey<'_> {
    fn names(&self, number: usize, after: Option<&str>) -> Result<Vec<String>> {
        let shard = number as u8;
        let place = if number < FOLDERS / 2 { self.folder.records(shard) } else { self.folder.people(shard) };
        let mut names = Vec::new();
        each_name(&place, |name| {
            if after.is_none_or(|after| name > after) {
                names.push(name.to_owned());
            }
        })?;
        names.sort_unstable();
        Ok(names)
    }

    fn look(&mut self, number: usize, name: &str) -> Result<ControlFlow<()>> {
        self.seen += 1;
        if number < FOLDERS / 2 {
            self.record(number as u8, name)?
        } else {
            self.entry(name)?
        }
        let enough = self.expired == self.limit || self.seen == FILES;
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    }

    fn record(&mut self, shard: u8, name: &str) -> Result<()> {
        if name == ASIDE {
            let mut key = [0; StoreKey::LEN];
            key[0] = shard;
            self.found.push((StoreKey::from_bytes(key), What::Tidy));
            return Ok(());
        }
        // A file in another shard's folder is never loaded, so it is skipped.
        let Some(key) = key_of(name).filter(|key| shard_of(key) == shard) else { return Ok(()) };
        match self.folder.head(&key) {
            Ok(Some(head)) if !head.is_live(self.cutoff) => {
                self.expired += 1;
                self.found.push((key, What::Expire(self.cutoff)));
            }
            Ok(Some(head)) => {
                // Without `durable`, a loss of power may leave a record without its entry.
                if let Some(principal) = head.principal
                    && !is_there(&self.folder.entry(Owner::of(&principal), &key))
                {
                    self.found.push((key, What::Mend));
                }
            }
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Corrupt => tracing::warn!(%error, "a session cannot be read"),
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Checks an index entry. Its session may have ended or may have another principal by now.
    fn entry(&mut self, name: &str) -> Result<()> {
        let Some((owner, key)) = Owner::and_key(name) else { return Ok(()) };
        match self.folder.head(&key) {
            Ok(head) => {
                let whose = head.and_then(|head| head.principal).map(|principal| Owner::of(&principal));
                if whose != Some(owner) {
                    self.found.push((key, What::Heal(owner)));
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Returns whether a file exists, or `true` if that is unknown. The caller acts only on `false`, and checks again under the lock.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}
