//! Search for expired sessions and for remains of processes that died between two steps of a write.

use std::ops::ControlFlow;
use std::path::Path;

use session_core::{ErrorKind, Result, StoreKey, Timestamp};

use crate::folder::{Folder, PrincipalHash, TEMPORARY, for_each_name, key_of, shard_of};
use crate::operations::RequestKind;

/// Maximum number of files that one purge checks, so that it takes some tens of milliseconds.
const FILES: usize = 4_096;
/// Number of folders: 256 with records, then 256 with index entries.
const FOLDERS: usize = 512;

/// Position of a store's purges in a pass over all folders. Each purge continues where the last one stopped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Position {
    folder: usize,
    /// Last name that was checked in this folder.
    after: Option<String>,
    pass: Pass,
}

/// One pass over all folders, in one or several calls.
#[derive(Clone, Copy, Debug, Default)]
struct Pass {
    /// Cutoff of the call that started the pass.
    cutoff: Option<Timestamp>,
    /// Earliest expiry of the sessions that the pass has seen and left.
    next_expiry: Option<Timestamp>,
    /// Whether the pass before this one reported `more` at its end.
    repeats: bool,
}

/// Requests to execute, each under the lock of its key's shard.
pub(crate) type Requests = Vec<(StoreKey, RequestKind)>;

impl Position {
    /// Continues the pass until `limit` expired sessions are found, enough files are checked, or the pass ends.
    ///
    /// Returns the requests to execute, and whether expired sessions may remain after them.
    /// The search takes no locks, so each request must check its file again under the lock.
    pub(crate) fn survey(&mut self, folder: &Folder, cutoff: Timestamp, limit: usize) -> Result<(Requests, bool)> {
        // A call with an earlier cutoff than the pass starts a new pass.
        let began = self.pass.cutoff;
        if began.is_none_or(|began| cutoff < began) {
            let repeats = began.is_none() && self.pass.repeats;
            *self = Self { pass: Pass { cutoff: Some(cutoff), next_expiry: None, repeats }, ..Self::default() };
        }
        // Until the search has succeeded, the pass counts as one that leaves expired sessions.
        let next_expiry = self.pass.next_expiry.replace(Timestamp::MIN);
        let mut survey = Survey { folder, cutoff, limit, seen: 0, expired: 0, next_expiry, requests: Vec::new() };
        while self.folder < FOLDERS {
            let (number, after) = (self.folder, self.after.take());
            // Advances before reading, so that a folder that cannot be read does not stop the next purge too.
            self.folder += 1;
            let names = survey.names(number, after.as_deref())?;
            for name in names {
                if survey.look(number, &name)?.is_break() {
                    (self.folder, self.after) = (number, Some(name));
                    self.pass.next_expiry = survey.next_expiry;
                    return Ok((survey.requests, true));
                }
            }
        }
        // A session that was live when an earlier call saw it may have expired by this call's cutoff. A second pass finds it.
        // A third pass is not asked for: in a large store sessions expire during every pass, and the caller would never be done.
        let repeat = !self.pass.repeats && survey.next_expiry.is_some_and(|expiry| expiry <= cutoff);
        *self = Self { pass: Pass { repeats: repeat, ..Pass::default() }, ..Self::default() };
        Ok((survey.requests, repeat))
    }

    /// Returns this position in a pass that has left an expired session.
    pub(crate) fn after_failure(&self) -> Self {
        Self { pass: Pass { next_expiry: Some(Timestamp::MIN), ..self.pass }, ..self.clone() }
    }
}

struct Survey<'a> {
    folder: &'a Folder,
    cutoff: Timestamp,
    limit: usize,
    seen: usize,
    expired: usize,
    next_expiry: Option<Timestamp>,
    requests: Requests,
}

impl Survey<'_> {
    fn names(&self, number: usize, after: Option<&str>) -> Result<Vec<String>> {
        let shard = number as u8;
        let place = if number < FOLDERS / 2 { self.folder.records(shard) } else { self.folder.index(shard) };
        let mut names = Vec::new();
        for_each_name(&place, |name| {
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
        if name == TEMPORARY {
            let mut key = [0; StoreKey::LEN];
            key[0] = shard;
            self.requests.push((StoreKey::from_bytes(key), RequestKind::RemoveTemporary));
            return Ok(());
        }
        // A file in another shard's folder is never loaded, so it is skipped.
        let Some(key) = key_of(name).filter(|key| shard_of(key) == shard) else { return Ok(()) };
        match self.folder.head(&key) {
            Ok(Some(head)) if !head.is_live(self.cutoff) => {
                self.expired += 1;
                self.requests.push((key, RequestKind::Expire(self.cutoff)));
            }
            Ok(Some(head)) => {
                self.next_expiry = Some(self.next_expiry.map_or(head.expires_at, |next| next.min(head.expires_at)));
                // Without `durable`, a loss of power may leave a record without its entry.
                if let Some(principal) = head.principal
                    && !exists_or_unknown(&self.folder.entry(PrincipalHash::of(&principal), &key))
                {
                    self.requests.push((key, RequestKind::AddEntry));
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
        let Some((hash, key)) = PrincipalHash::and_key(name) else { return Ok(()) };
        match self.folder.head(&key) {
            Ok(head) => {
                let stored = head.and_then(|head| head.principal).map(|principal| PrincipalHash::of(&principal));
                if stored != Some(hash) {
                    self.requests.push((key, RequestKind::RemoveEntry(hash)));
                }
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// Returns whether a file exists, or `true` if that is unknown. The caller acts only on `false`, and checks again under the lock.
fn exists_or_unknown(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}
