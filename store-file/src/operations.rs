//! Operations under a shard's lock.
//!
//! # Every record has its index entry
//!
//! A record and its index entry are two files, and a process can die between any two steps.
//! So the entry is created before the record gets its principal, and removed after the record is gone or has another principal.
//! Both steps happen under the lock of the record's shard. At every moment each record therefore has its entry.
//! An entry may lack its record. It is removed under the same lock, where no other writer can be between the two steps.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use session_core::{Error, ErrorKind, Live, Outcome, Principal, Record, Result, StoreKey, Timestamp, Version};
use session_store_kit::batch::{Item, Pass};
use session_store_kit::{TIMED_OUT, private};

use crate::error::{self, REPLACED};
use crate::folder::{Folder, PrincipalHash, shard_of, sync};
use crate::format::{self, Head};
use crate::lock::LockGuard;

/// A call that needs the lock of the shard that `key` is in.
#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) key: StoreKey,
    pub(crate) now: Timestamp,
    /// Time at which the caller stops waiting.
    pub(crate) deadline: Instant,
    pub(crate) kind: RequestKind,
    /// Kept until the batch of the call has ended.
    pub(crate) _pass: Pass,
}

/// Operation of a call, with its arguments.
#[derive(Clone)]
pub(crate) enum RequestKind {
    Create(Record),
    Save(Version, Record),
    Touch(Version, Timestamp),
    Delete(Option<Version>),
    /// Removes the record if it is live and belongs to this principal. Removes the principal's entry if it has no such record.
    Revoke(Principal),
    /// Removes the record if it has expired at this time.
    Expire(Timestamp),
    /// Adds the record's index entry if it is missing.
    AddEntry,
    /// Removes this principal's index entry if the record has another principal or does not exist.
    RemoveEntry(PrincipalHash),
    /// Removes the temporary file of a dead process.
    RemoveTemporary,
    /// Lists the keys of the shard.
    ListKeys,
}

/// Result of a call.
pub(crate) enum Reply {
    Outcome(Outcome),
    Keys(Vec<StoreKey>),
}

const WRONG_REPLY: Error = Error::fixed(
    ErrorKind::Other,
    "a shard gave a reply of another kind; this is a fault of the store, please report it",
);

impl Reply {
    pub(crate) fn outcome(self) -> Result<Outcome> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            Self::Keys(_) => Err(WRONG_REPLY),
        }
    }

    pub(crate) fn keys(self) -> Result<Vec<StoreKey>> {
        match self {
            Self::Keys(keys) => Ok(keys),
            Self::Outcome(_) => Err(WRONG_REPLY),
        }
    }
}

impl Item for Request {
    type Output = Reply;

    /// Returns `None`: a batch may hold several calls for one key, because they are executed in order.
    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        match &self.kind {
            RequestKind::Create(record) | RequestKind::Save(_, record) => record.data.len() + format::LONGEST_HEAD,
            _ => format::LONGEST_HEAD,
        }
    }
}

/// Executes the calls in order. Each has its own result.
pub(crate) fn run(folder: &Folder, shard: u8, guard: &LockGuard, requests: &[Request]) -> Vec<Result<Reply>> {
    let mut writer = Writer { folder, shard, _guard: guard, changed: false };
    let mut changed = Vec::new();
    let mut replies = Vec::with_capacity(requests.len());
    for request in requests {
        // Some callers may have timed out during the wait for the lock. Their calls must not be executed any more.
        replies.push(if request.deadline > Instant::now() { writer.execute(request) } else { Err(TIMED_OUT) });
        if std::mem::take(&mut writer.changed) {
            changed.push(replies.len() - 1);
        }
    }
    let kept = match () {
        () if changed.is_empty() => Ok(()),
        // The writes may be in a folder that no path leads to any more.
        () if !guard.is_at(&folder.lock(shard)) => Err(REPLACED),
        () if folder.durable => sync(&folder.records(shard)).map_err(|error| error::in_use(&error)),
        () => Ok(()),
    };
    if let Err(error) = kept {
        for at in changed {
            replies[at] = Err(error.clone());
        }
    }
    replies
}

/// Writer to a shard, which holds the shard's lock.
struct Writer<'a> {
    folder: &'a Folder,
    shard: u8,
    _guard: &'a LockGuard,
    /// Whether the last operation changed a name in the shard's folder.
    changed: bool,
}

impl Writer<'_> {
    fn execute(&mut self, request: &Request) -> Result<Reply> {
        debug_assert_eq!(shard_of(&request.key), self.shard);
        let (key, now) = (&request.key, request.now);
        match &request.kind {
            RequestKind::Create(record) => self.create(key, now, record),
            RequestKind::Save(expected, record) => self.save(key, now, *expected, record),
            RequestKind::Touch(expected, expires_at) => self.touch(key, now, *expected, *expires_at),
            RequestKind::Delete(expected) => self.delete(key, now, *expected),
            RequestKind::Revoke(principal) => self.revoke(key, now, principal),
            RequestKind::Expire(cutoff) => self.expire(key, *cutoff),
            RequestKind::AddEntry => self.add_entry(key),
            RequestKind::RemoveEntry(hash) => self.remove_entry(key, *hash),
            RequestKind::RemoveTemporary => remove(&self.folder.temporary(self.shard)).map(done_or_missing),
            RequestKind::ListKeys => return self.folder.keys(self.shard).map(Reply::Keys),
        }
        .map(Reply::Outcome)
    }

    fn create(&mut self, key: &StoreKey, now: Timestamp, record: &Record) -> Result<Outcome> {
        let found = self.folder.head(key)?;
        match live(found.as_ref(), now).create(record.version) {
            Some(outcome) => Ok(outcome),
            None => self.put(key, found.as_ref(), record),
        }
    }

    fn save(&mut self, key: &StoreKey, now: Timestamp, expected: Version, record: &Record) -> Result<Outcome> {
        let found = self.folder.head(key)?;
        match live(found.as_ref(), now).save(expected, record.version) {
            Some(outcome) => Ok(outcome),
            None => self.put(key, found.as_ref(), record),
        }
    }

    fn touch(&mut self, key: &StoreKey, now: Timestamp, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        let found = self.folder.head(key)?;
        if let Some(outcome) = live(found.as_ref(), now).touch(expected) {
            return Ok(outcome);
        }
        if found.as_ref().is_some_and(|head| head.expires_at >= expires_at) {
            return Ok(Outcome::Done);
        }
        let Some(mut record) = self.folder.load_expired_or_live(key)? else { return Ok(Outcome::Missing) };
        record.expires_at = expires_at;
        self.put(key, found.as_ref(), &record)
    }

    fn delete(&mut self, key: &StoreKey, now: Timestamp, expected: Option<Version>) -> Result<Outcome> {
        match self.folder.head(key) {
            Ok(found) => match (live(found.as_ref(), now).delete(expected), &found) {
                (None, Some(head)) => self.remove(key, head),
                (outcome, _) => Ok(outcome.unwrap_or(Outcome::Missing)),
            },
            // A corrupt record's liveness and principal are unknown. A delete without an expected version removes it anyway.
            Err(error) if error.kind() == ErrorKind::Corrupt && expected.is_none() => self.unlink(key),
            Err(error) => Err(error),
        }
    }

    fn revoke(&mut self, key: &StoreKey, now: Timestamp, principal: &Principal) -> Result<Outcome> {
        match self.folder.head(key) {
            Ok(Some(head)) if head.principal.as_ref() == Some(principal) => {
                if head.is_live(now) {
                    self.remove(key, &head)
                } else {
                    Ok(Outcome::Missing)
                }
            }
            Ok(_) => {
                self.forget(key, principal);
                Ok(Outcome::Missing)
            }
            // Only the index entry tells the principal of a corrupt record. A failure to remove it must not stop the other removals.
            Err(error) if error.kind() == ErrorKind::Corrupt => match self.unlink(key) {
                Ok(outcome) => {
                    self.forget(key, principal);
                    Ok(outcome)
                }
                Err(_) => {
                    tracing::warn!(%error, "a session of a principal can be neither read nor removed");
                    Ok(Outcome::Missing)
                }
            },
            Err(error) => Err(error),
        }
    }

    fn expire(&mut self, key: &StoreKey, cutoff: Timestamp) -> Result<Outcome> {
        match self.folder.head(key)? {
            Some(head) if !head.is_live(cutoff) => self.remove(key, &head),
            _ => Ok(Outcome::Missing),
        }
    }

    fn add_entry(&mut self, key: &StoreKey) -> Result<Outcome> {
        match self.folder.head(key)?.and_then(|head| head.principal) {
            Some(principal) => self.register(key, &principal).map(|()| Outcome::Done),
            None => Ok(Outcome::Missing),
        }
    }

    fn remove_entry(&mut self, key: &StoreKey, hash: PrincipalHash) -> Result<Outcome> {
        match self.folder.head(key)?.and_then(|head| head.principal) {
            Some(principal) if PrincipalHash::of(&principal) == hash => Ok(Outcome::Missing),
            _ => remove(&self.folder.entry(hash, key)).map(done_or_missing),
        }
    }

    /// Replaces the record `before` with `record`. Adds the new index entry first and removes the old entry last.
    fn put(&mut self, key: &StoreKey, before: Option<&Head>, record: &Record) -> Result<Outcome> {
        let (was, is) = (before.and_then(|head| head.principal.as_ref()), record.principal.as_ref());
        if let Some(is) = is.filter(|_| was != is) {
            self.register(key, is)?;
        }
        let temporary = self.folder.temporary(self.shard);
        let bytes = format::encode(key, record);
        let placed = self
            .folder
            .with_folder(&self.folder.records(self.shard), || write_new(&temporary, &bytes, self.folder.durable))
            .and_then(|()| fs::rename(&temporary, self.folder.record(key)));
        if let Err(error) = placed {
            // Frees the space, which others may need on a full disk. If this fails, the shard's next writer removes the file.
            let _ = fs::remove_file(&temporary);
            return Err(error::in_use(&error));
        }
        self.changed = true;
        if let Some(was) = was.filter(|_| was != is) {
            self.forget(key, was);
        }
        Ok(Outcome::Done)
    }

    fn remove(&mut self, key: &StoreKey, head: &Head) -> Result<Outcome> {
        let outcome = self.unlink(key)?;
        if let Some(principal) = &head.principal {
            self.forget(key, principal);
        }
        Ok(outcome)
    }

    fn unlink(&mut self, key: &StoreKey) -> Result<Outcome> {
        self.changed = remove(&self.folder.record(key))?;
        Ok(done_or_missing(self.changed))
    }

    /// Adds a session's index entry.
    fn register(&self, key: &StoreKey, principal: &Principal) -> Result<()> {
        let hash = PrincipalHash::of(principal);
        let (entry, index) = (self.folder.entry(hash, key), self.folder.index(hash.shard()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        private(&mut options);
        let made = self
            .folder
            .with_folder(&index, || options.open(&entry).map(drop))
            .and_then(|()| if self.folder.durable { sync(&index) } else { Ok(()) });
        made.map_err(|error| error::in_use(&error))
    }

    /// Removes a session's entry from the index of its former principal. If this fails, a purge removes the entry later.
    fn forget(&self, key: &StoreKey, principal: &Principal) {
        if let Err(error) = remove(&self.folder.entry(PrincipalHash::of(principal), key)) {
            tracing::debug!(%error, "an index entry without its session remains until the next purge");
        }
    }
}

/// Returns the live version in a file.
fn live(head: Option<&Head>, now: Timestamp) -> Live {
    Live::at(now, head.map(|head| (head.version, head.expires_at)))
}

const fn done_or_missing(done: bool) -> Outcome {
    if done { Outcome::Done } else { Outcome::Missing }
}

/// Removes a file. Returns whether it existed.
fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error::in_use(&error)),
    }
}

/// Creates a file and writes it. Replaces a file of the same name, which only a dead process can have left.
pub(crate) fn write_new(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    private(&mut options);
    let mut file = match options.open(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(path)?;
            options.open(path)?
        }
        opened => opened?,
    };
    file.write_all(bytes)?;
    if durable {
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use std::process::Command;
    use std::time::Duration;

    use session_core::{Bytes, Clock as _, SystemClock, hours};
    use session_store_kit::batch::Entrance;

    use super::*;
    use crate::lock;

    /// A folder that is replaced between the lock and the end of the batch, where no test can stop a store.
    #[test]
    fn a_write_into_a_folder_that_was_replaced_is_not_confirmed() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().join("sessions");
        for name in ["records", "people", "locks"] {
            fs::create_dir_all(root.join(name)).unwrap();
        }
        let folder = Folder { root: root.clone(), durable: false, max_len: None };
        let (now, key) = (SystemClock.now(), StoreKey::from_bytes([7; StoreKey::LEN]));
        let record = Record::new(Version::random(), now, now.plus(hours(1)), None, Bytes::from_static(b"x"));
        let request = |kind| Request {
            key,
            now,
            deadline: Instant::now() + Duration::from_secs(60),
            kind,
            _pass: Entrance::default().enter().unwrap(),
        };
        let guard = lock::take(&folder.lock(7)).unwrap().unwrap();
        let copy = directory.path().join("copy");
        assert!(Command::new("cp").arg("-a").args([&root, &copy]).status().unwrap().success());
        fs::rename(&root, directory.path().join("old")).unwrap();
        fs::rename(&copy, &root).unwrap();
        let requests = [request(RequestKind::Create(record)), request(RequestKind::Delete(Some(Version::random())))];
        let replies = run(&folder, 7, &guard, &requests);
        assert_eq!(replies[0].as_ref().err().map(Error::kind), Some(ErrorKind::Unavailable));
        assert!(replies[1].is_ok(), "it changed nothing");
    }
}
