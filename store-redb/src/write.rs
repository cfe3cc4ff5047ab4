//! Execution of calls in a write transaction.

use redb::{ReadableTable as _, StorageError, Table, WriteTransaction};
use session_core::{
    Clock as _, Error, ErrorKind, Live, Outcome, Principal, Purged, Record, Result, StoreKey, SystemClock, Timestamp,
};

use crate::error;
use crate::rows::{self, Head};
use crate::schema::{EXPIRIES, PRINCIPALS, Prefix, RECORDS, Span, store_key};
use session_store_kit::batch::{Reply, Request, RequestKind};

/// Maximum number of records that one purge removes, whatever its limit, so that queued writes wait only milliseconds for it.
const PURGE_ROWS: usize = 100;

const READS_ONLY: Error = Error::fixed(
    ErrorKind::Other,
    "a call that reads was sent to the writer; this is a fault of the store, please report it",
);

/// Outcome of a call in a transaction. The outer error fails the whole transaction; the inner error concerns only this call.
type Executed<T> = Result<Result<T>, StorageError>;

/// The tables of one namespace in a write transaction.
pub(crate) struct Tables<'t> {
    prefix: &'t Prefix,
    records: Table<'t, &'static [u8], &'static [u8]>,
    principals: Table<'t, &'static [u8], ()>,
    expiries: Table<'t, &'static [u8], ()>,
    /// Whether the disk is full, so that calls that need room are refused. One that is tried in vain costs a check of the whole file.
    full: bool,
    /// Whether any call has changed anything.
    pub(crate) changed: bool,
}

/// A stored record, as far as a write has to know it.
struct Stored {
    head: Head,
    value: Vec<u8>,
}

impl<'t> Tables<'t> {
    pub(crate) fn open(transaction: &'t WriteTransaction, prefix: &'t Prefix, full: bool) -> Result<Self, redb::Error> {
        Ok(Self {
            full,
            prefix,
            records: transaction.open_table(RECORDS)?,
            principals: transaction.open_table(PRINCIPALS)?,
            expiries: transaction.open_table(EXPIRIES)?,
            changed: false,
        })
    }

    /// Executes one call.
    pub(crate) fn execute(&mut self, request: &Request) -> Executed<Reply> {
        let now = request.now;
        match &request.kind {
            RequestKind::Create(key, record) => {
                self.put(key, now, record, |live| live.create(record.version)).map(outcome)
            }
            RequestKind::Save(key, expected, record) => {
                self.put(key, now, record, |live| live.save(*expected, record.version)).map(outcome)
            }
            RequestKind::Touch(key, expected, expires_at) => {
                self.touch(key, now, *expires_at, |live| live.touch(*expected)).map(outcome)
            }
            RequestKind::Delete(key, expected) => {
                self.delete(key, now, |live| live.delete(*expected), expected.is_none()).map(outcome)
            }
            RequestKind::Purge(limit) => {
                let limit = usize::try_from(*limit).unwrap_or(PURGE_ROWS).min(PURGE_ROWS);
                Ok(Ok(Reply::Purged(self.purge(now.min(SystemClock.now()), limit)?)))
            }
            RequestKind::DeleteAll(principal, keep) => {
                Ok(Ok(Reply::Removed(self.delete_all(principal, now, keep.as_ref())?)))
            }
            RequestKind::Load(_) | RequestKind::SessionsOf(..) | RequestKind::Scan(..) => Ok(Err(READS_ONLY)),
        }
    }

    /// Stores `record` unless `decide` derives another outcome from the live version.
    fn put(
        &mut self,
        key: &StoreKey,
        now: Timestamp,
        record: &Record,
        decide: impl FnOnce(Live) -> Option<Outcome>,
    ) -> Executed<Outcome> {
        let at = self.prefix.record(key);
        let (stored, len) = match self.stored(&at)? {
            Ok(stored) => stored.map(|stored| (stored.head, stored.value.len())).unzip(),
            Err(error) => return Ok(Err(error)),
        };
        if let Some(refused) = decide(live(stored.as_ref(), now)) {
            return Ok(Ok(refused));
        }
        let (purge_at, value) = purge_at_and_value(record, stored.as_ref());
        // A logout writes a tombstone, which is shorter than almost every session, and must not wait until there is room.
        if self.full && len.is_none_or(|len| value.len() >= len) {
            return Ok(Err(error::FULL));
        }
        let before = stored.as_ref().map(|stored| stored.purge_at);
        if before != Some(purge_at) {
            if let Some(before) = before {
                self.expiries.remove(&*self.prefix.expiry(before, key))?;
            }
            self.expiries.insert(&*self.prefix.expiry(purge_at, key), ())?;
        }
        let before = stored.and_then(|stored| stored.principal);
        if before != record.principal {
            if let Some(before) = before {
                self.principals.remove(&*self.prefix.principal(&before, key))?;
            }
            if let Some(principal) = &record.principal {
                self.principals.insert(&*self.prefix.principal(principal, key), ())?;
            }
        }
        self.insert(&at, &value)?;
        Ok(Ok(Outcome::Done))
    }

    fn touch(
        &mut self,
        key: &StoreKey,
        now: Timestamp,
        expires_at: Timestamp,
        decide: impl FnOnce(Live) -> Option<Outcome>,
    ) -> Executed<Outcome> {
        let at = self.prefix.record(key);
        let stored = match self.stored(&at)? {
            Ok(stored) => stored,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(refused) = decide(live(stored.as_ref().map(|stored| &stored.head), now)) {
            return Ok(Ok(refused));
        }
        // A use that is not noted loses no change.
        if self.full {
            return Ok(Err(error::FULL));
        }
        // A touch never shortens the life of a record.
        if let Some(stored) = stored.filter(|stored| stored.head.expires_at < expires_at) {
            self.insert(&at, &rows::with_expiry(&stored.value, expires_at))?;
        }
        Ok(Ok(Outcome::Done))
    }

    /// Deletes the record unless `decide` derives another outcome from the live version. `unread` says whether it may be one that cannot
    /// be read.
    fn delete(
        &mut self,
        key: &StoreKey,
        now: Timestamp,
        decide: impl FnOnce(Live) -> Option<Outcome>,
        unread: bool,
    ) -> Executed<Outcome> {
        let head = match self.stored(&self.prefix.record(key))? {
            Ok(stored) => stored.map(|stored| stored.head),
            Err(error) if !unread => return Ok(Err(error)),
            Err(_) => {
                self.remove(key, None)?;
                return Ok(Ok(Outcome::Done));
            }
        };
        if let Some(refused) = decide(live(head.as_ref(), now)) {
            return Ok(Ok(refused));
        }
        self.remove(key, head.as_ref())?;
        Ok(Ok(Outcome::Done))
    }

    /// Checks the records that are due: removes those that have expired and postpones those whose expiry was extended.
    fn purge(&mut self, cutoff: Timestamp, limit: usize) -> Result<Purged, StorageError> {
        let due = self.prefix.due(cutoff);
        let mut entries = keys(&self.expiries, &due, limit + 1)?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let mut removed = 0;
        for entry in entries {
            let Ok(key) = store_key(&entry) else {
                self.forget(&entry)?;
                continue;
            };
            let at = self.prefix.record(&key);
            match self.stored(&at)? {
                Ok(Some(stored)) if Some(stored.head.purge_at.as_millis()) == self.prefix.time_of(&entry) => {
                    if stored.head.expires_at <= cutoff {
                        self.remove(&key, Some(&stored.head))?;
                        removed += 1;
                    } else {
                        let later = stored.head.expires_at;
                        self.forget(&entry)?;
                        self.expiries.insert(&*self.prefix.expiry(later, &key), ())?;
                        self.insert(&at, &rows::with_purge_at(&stored.value, later))?;
                    }
                }
                // No caller can read it, so it is no loss.
                Err(_) => {
                    self.forget(&entry)?;
                    self.remove(&key, None)?;
                    removed += 1;
                }
                // The entry of a record that was removed when it could not be read.
                Ok(_) => self.forget(&entry)?,
            }
        }
        Ok(Purged::new(removed, more))
    }

    fn delete_all(
        &mut self,
        principal: &Principal,
        now: Timestamp,
        keep: Option<&StoreKey>,
    ) -> Result<u64, StorageError> {
        let mut removed = 0;
        for entry in keys(&self.principals, &self.prefix.entries_of(principal), usize::MAX)? {
            let Ok(key) = store_key(&entry) else { continue };
            if keep == Some(&key) {
                continue;
            }
            match self.stored(&self.prefix.record(&key))? {
                Ok(Some(stored)) if stored.head.principal.as_ref() == Some(principal) => {
                    if stored.head.expires_at > now {
                        self.remove(&key, Some(&stored.head))?;
                        removed += 1;
                    }
                }
                Err(_) => {
                    self.principals.remove(&*entry)?;
                    self.remove(&key, None)?;
                    removed += 1;
                }
                // The entry of a record that was removed when it could not be read.
                Ok(_) => {
                    self.principals.remove(&*entry)?;
                    self.changed = true;
                }
            }
        }
        Ok(removed)
    }

    fn stored(&self, at: &[u8]) -> Executed<Option<Stored>> {
        let Some(value) = self.records.get(at)? else { return Ok(Ok(None)) };
        let value = value.value();
        Ok(Head::read(value).map(|head| Some(Stored { head, value: value.to_vec() })))
    }

    fn insert(&mut self, at: &[u8], value: &[u8]) -> Result<(), StorageError> {
        self.changed = true;
        self.records.insert(at, value)?;
        Ok(())
    }

    /// Removes a record and its entries in the indexes, as far as its head could be read.
    fn remove(&mut self, key: &StoreKey, head: Option<&Head>) -> Result<(), StorageError> {
        self.changed = true;
        self.records.remove(&*self.prefix.record(key))?;
        let Some(head) = head else { return Ok(()) };
        self.expiries.remove(&*self.prefix.expiry(head.purge_at, key))?;
        if let Some(principal) = &head.principal {
            self.principals.remove(&*self.prefix.principal(principal, key))?;
        }
        Ok(())
    }

    /// Removes an entry of the index by expiry.
    fn forget(&mut self, entry: &[u8]) -> Result<(), StorageError> {
        self.changed = true;
        self.expiries.remove(entry)?;
        Ok(())
    }
}

fn live(stored: Option<&Head>, now: Timestamp) -> Live {
    Live::at(now, stored.map(|head| (head.version, head.expires_at)))
}

fn outcome(outcome: Result<Outcome>) -> Result<Reply> {
    outcome.map(Reply::Outcome)
}

/// Returns the instant before which a purge skips `record`, and its row. `stored` is the record that it replaces.
fn purge_at_and_value(record: &Record, stored: Option<&Head>) -> (Timestamp, Vec<u8>) {
    let purge_at = match stored {
        Some(stored) if stored.purge_at <= record.expires_at => stored.purge_at,
        _ => record.expires_at,
    };
    (purge_at, rows::value(record, purge_at))
}

/// Returns at most `limit` keys of `span`.
fn keys(index: &Table<'_, &'static [u8], ()>, span: &Span, limit: usize) -> Result<Vec<Vec<u8>>, StorageError> {
    index.range(&*span.first..&*span.end)?.take(limit).map(|entry| Ok(entry?.0.value().to_vec())).collect()
}
