//! What is done under a shard's lock.
//!
//! # The index is never short of an entry
//!
//! An entry and the record that it is for are two files, and a process can end between any two steps. So the entry is made before the record
//! is put in its place, and taken away after the record is gone or somebody else's; both by whoever holds the lock of the
//! record's shard. At every instant, and for whoever comes next, each record has its entry. An entry may lack its record;
//! it is taken away under the same lock, when nobody can be between the two steps.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;
use std::time::Instant;

use session_core::{ErrorKind, Live, Outcome, Principal, Record, Result, StoreKey, Timestamp, Version};
use store_batch::Item;

use crate::error::{self, TIMED_OUT};
use crate::folder::{Folder, Owner, shard_of, sync};
use crate::format::{self, Head};
use crate::lock::{self, Held};

/// A call that needs the lock of the shard that `key` is in.
#[derive(Clone)]
pub(crate) struct Op {
    pub(crate) key: StoreKey,
    pub(crate) now: Timestamp,
    /// When its caller stops waiting.
    pub(crate) until: Instant,
    pub(crate) what: What,
}

#[derive(Clone)]
pub(crate) enum What {
    Create(Record),
    Save(Version, Record),
    Touch(Version, Timestamp),
    Delete(Option<Version>),
    /// Removes the record if it is live and this principal's, and an entry of theirs that has no such record.
    Revoke(Principal),
    /// Removes the record if it has expired by then.
    Expire(Timestamp),
    /// Adds the record's entry if it is missing.
    Mend,
    /// Removes this owner's entry if the record is not theirs.
    Heal(Owner),
    /// Removes what somebody who is no more left half written.
    Tidy,
    /// Lists the shard.
    Keys,
}

pub(crate) enum Answer {
    Outcome(Outcome),
    Keys(Vec<StoreKey>),
}

impl Item for Op {
    type Output = Answer;

    /// They are done one after another: several of a key do no harm.
    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        match &self.what {
            What::Create(record) | What::Save(_, record) => record.data.len() + format::LONGEST_HEAD,
            _ => format::LONGEST_HEAD,
        }
    }
}

/// Does what the calls ask for. Each has its own answer.
pub(crate) fn run(folder: &Folder, shard: u8, held: &Held, ops: &[Op]) -> Vec<Result<Answer>> {
    let mut writer = Writer { folder, shard, _held: held, changed: false };
    let mut changed = Vec::new();
    let mut answers = Vec::with_capacity(ops.len());
    for op in ops {
        // While the lock was waited for some callers may have been told that it did not work: so it must not be done now.
        answers.push(if op.until > Instant::now() { writer.execute(op) } else { Err(TIMED_OUT) });
        if std::mem::take(&mut writer.changed) {
            changed.push(answers.len() - 1);
        }
    }
    if folder.durable
        && !changed.is_empty()
        && let Err(error) = sync(&folder.records(shard))
    {
        for at in changed {
            answers[at] = Err(error::in_use(&error));
        }
    }
    answers
}

/// Whoever holds a shard's lock.
struct Writer<'a> {
    folder: &'a Folder,
    shard: u8,
    _held: &'a Held,
    /// Whether a name in the shard's folder is another than before.
    changed: bool,
}

impl Writer<'_> {
    fn execute(&mut self, op: &Op) -> Result<Answer> {
        debug_assert_eq!(shard_of(&op.key), self.shard);
        let (key, now) = (&op.key, op.now);
        match &op.what {
            What::Create(record) => self.create(key, now, record),
            What::Save(expected, record) => self.save(key, now, *expected, record),
            What::Touch(expected, expires_at) => self.touch(key, now, *expected, *expires_at),
            What::Delete(expected) => self.delete(key, now, *expected),
            What::Revoke(principal) => self.revoke(key, now, principal),
            What::Expire(cutoff) => self.expire(key, *cutoff),
            What::Mend => self.mend(key),
            What::Heal(owner) => self.heal(key, *owner),
            What::Tidy => remove(&self.folder.aside(self.shard)).map(done_or_missing),
            What::Keys => return self.folder.keys(self.shard).map(Answer::Keys),
        }
        .map(Answer::Outcome)
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
        let Some(mut record) = self.folder.whole(key)? else { return Ok(Outcome::Missing) };
        record.expires_at = expires_at;
        self.put(key, found.as_ref(), &record)
    }

    fn delete(&mut self, key: &StoreKey, now: Timestamp, expected: Option<Version>) -> Result<Outcome> {
        match self.folder.head(key) {
            Ok(found) => match (live(found.as_ref(), now).delete(expected), &found) {
                (None, Some(head)) => self.remove(key, head),
                (outcome, _) => Ok(outcome.unwrap_or(Outcome::Missing)),
            },
            // Nobody can say whether it is live, or whose; whoever deletes a session regardless wants it gone.
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
            // The entry alone says whose it is. What cannot be removed must not keep the others from being removed.
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

    fn mend(&mut self, key: &StoreKey) -> Result<Outcome> {
        match self.folder.head(key)?.and_then(|head| head.principal) {
            Some(principal) => self.register(key, &principal).map(|()| Outcome::Done),
            None => Ok(Outcome::Missing),
        }
    }

    fn heal(&mut self, key: &StoreKey, owner: Owner) -> Result<Outcome> {
        match self.folder.head(key)?.and_then(|head| head.principal) {
            Some(principal) if Owner::of(&principal) == owner => Ok(Outcome::Missing),
            _ => remove(&self.folder.entry(owner, key)).map(done_or_missing),
        }
    }

    /// Puts `record` in the place of `before`: its entry first, the old one's entry last.
    fn put(&mut self, key: &StoreKey, before: Option<&Head>, record: &Record) -> Result<Outcome> {
        let (was, is) = (before.and_then(|head| head.principal.as_ref()), record.principal.as_ref());
        if let Some(is) = is.filter(|_| was != is) {
            self.register(key, is)?;
        }
        let aside = self.folder.aside(self.shard);
        let bytes = format::encode(key, record);
        let placed = self
            .folder
            .in_folder(&self.folder.records(self.shard), || write(&aside, &bytes, self.folder.durable))
            .and_then(|()| fs::rename(&aside, self.folder.record(key)));
        if let Err(error) = placed {
            // On a full disk, half a session is room for somebody else. What cannot be removed now the next writer will.
            let _ = fs::remove_file(&aside);
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

    /// Enters a session in its principal's list.
    fn register(&self, key: &StoreKey, principal: &Principal) -> Result<()> {
        let owner = Owner::of(principal);
        let (entry, people) = (self.folder.entry(owner, key), self.folder.people(owner.shard()));
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        lock::private(&mut options);
        let made = self
            .folder
            .in_folder(&people, || options.open(&entry).map(drop))
            .and_then(|()| if self.folder.durable { sync(&people) } else { Ok(()) });
        made.map_err(|error| error::in_use(&error))
    }

    /// Takes a session from the list of somebody whose it is no more. A purge makes up for what cannot be done now.
    fn forget(&self, key: &StoreKey, principal: &Principal) {
        if let Err(error) = remove(&self.folder.entry(Owner::of(principal), key)) {
            tracing::debug!(%error, "an entry without its session stays for now");
        }
    }
}

/// The live version in a file.
fn live(head: Option<&Head>, now: Timestamp) -> Live {
    Live::at(now, head.map(|head| (head.version, head.expires_at)))
}

const fn done_or_missing(done: bool) -> Outcome {
    if done { Outcome::Done } else { Outcome::Missing }
}

/// Whether there was such a file to remove.
fn remove(path: &Path) -> Result<bool> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error::in_use(&error)),
    }
}

/// Writes a file that was not there, or was left by somebody who is no more.
pub(crate) fn write(path: &Path, bytes: &[u8], durable: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    lock::private(&mut options);
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
