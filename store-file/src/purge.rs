//! What a purge looks for: expired sessions, and what processes left behind that ended between two steps.

use std::ops::ControlFlow;
use std::path::Path;

use session_core::{ErrorKind, Result, StoreKey, Timestamp};

use crate::folder::{ASIDE, Folder, Owner, each_name, key_of, shard_of};
use crate::write::What;

/// Files that one purge looks at, so that it ends soon: some tens of milliseconds.
const FILES: usize = 4_096;
/// 256 folders of records, then 256 of entries.
const FOLDERS: usize = 512;

/// How far the purges of a store have come. One goes on where the one before it stopped.
#[derive(Debug, Default)]
pub(crate) struct Position {
    folder: usize,
    /// The last name in this folder that was looked at.
    after: Option<String>,
    /// By when a session has to have expired, as the pass through all folders began.
    cutoff: Option<Timestamp>,
}

/// What is to be done, and under which key's lock.
pub(crate) type Found = Vec<(StoreKey, What)>;

impl Position {
    /// Goes on looking, until `limit` expired sessions are found, enough was looked at, or the end is reached: `true`.
    ///
    /// It looks without locks. What it finds has to be looked at again under the lock.
    pub(crate) fn survey(&mut self, folder: &Folder, cutoff: Timestamp, limit: usize) -> Result<(Found, bool)> {
        // A pass by an earlier clock has passed over what this one is to find.
        if self.cutoff.is_none_or(|began| cutoff < began) {
            *self = Self { cutoff: Some(cutoff), ..Self::default() };
        }
        let mut survey = Survey { folder, cutoff, limit, seen: 0, expired: 0, found: Vec::new() };
        while self.folder < FOLDERS {
            let (number, after) = (self.folder, self.after.take());
            // Past this folder though it cannot be read, so that the next purge does not end here again.
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
        // A file under another shard's name is nobody's.
        let Some(key) = key_of(name).filter(|key| shard_of(key) == shard) else { return Ok(()) };
        match self.folder.head(&key) {
            Ok(Some(head)) if !head.is_live(self.cutoff) => {
                self.expired += 1;
                self.found.push((key, What::Expire(self.cutoff)));
            }
            Ok(Some(head)) => {
                // After a loss of power the disk may have a record without its entry, if it was not told to be durable.
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

    /// An entry may be that of a session which is gone, or somebody else's by now.
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

/// Only "no" is acted on, and that is looked at again under the lock.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}
