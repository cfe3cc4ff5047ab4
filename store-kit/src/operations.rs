//! Store operations as batch items, and the outcome of each from the record found.
//!
//! Each operation is an [`Item`], for stores that have a queue for each kind of call.
//!
//! ```
//! use session_core::{Outcome, SessionId, StoreKey, Timestamp, Version};
//! use session_store_kit::operations::Delete;
//!
//! let (now, key, expected) = (Timestamp::MIN, StoreKey::derive("id", &SessionId::random()), Version::random());
//! let delete = Delete { now, key, expected: Some(expected) };
//! // A plain statement changed nothing. The version that is live under the key tells why.
//! assert_eq!(delete.refused(None), Some(Outcome::Missing));
//! assert_eq!(delete.refused(Some(Version::random())), Some(Outcome::Conflict));
//! ```

use std::collections::HashMap;
use std::num::NonZeroU32;

use session_core::{Cursor, Error, Live, Outcome, Page, Principal, Record, Result, StoreKey, Timestamp, Version};

use crate::batch::Item;

/// Approximate bytes of a call on the wire besides its data: of a key (`ASK`), of a key and a few numbers (`CHANGE`), and of a whole
/// record, for which some statements send the key once per column (`WRITE`).
const ASK: usize = 64;
const CHANGE: usize = 128;
const WRITE: usize = 384;

/// Operands of [`Store::load`](session_core::Store::load).
#[derive(Clone, Debug)]
pub struct Load {
    /// The call's instant.
    pub now: Timestamp,
    /// Key of the record.
    pub key: StoreKey,
}

/// Operands of [`Store::create`](session_core::Store::create).
#[derive(Clone, Debug)]
pub struct Create {
    /// The call's instant.
    pub now: Timestamp,
    /// Key of the record.
    pub key: StoreKey,
    /// Record to create.
    pub record: Record,
}

/// Operands of [`Store::save`](session_core::Store::save).
#[derive(Clone, Debug)]
pub struct Save {
    /// The call's instant.
    pub now: Timestamp,
    /// Key of the record.
    pub key: StoreKey,
    /// Version that must be stored.
    pub expected: Version,
    /// Record that replaces the stored one.
    pub record: Record,
}

/// Operands of [`Store::touch`](session_core::Store::touch).
#[derive(Clone, Debug)]
pub struct Touch {
    /// The call's instant.
    pub now: Timestamp,
    /// Key of the record.
    pub key: StoreKey,
    /// Version that must be stored.
    pub expected: Version,
    /// New expiry. A stored expiry that is later is kept.
    pub expires_at: Timestamp,
}

/// Operands of [`Store::delete`](session_core::Store::delete).
#[derive(Clone, Debug)]
pub struct Delete {
    /// The call's instant.
    pub now: Timestamp,
    /// Key of the record.
    pub key: StoreKey,
    /// Version that must be stored; `None` for any version.
    pub expected: Option<Version>,
}

/// A call that reads several records.
#[derive(Clone, Debug)]
pub struct List {
    /// The call's instant.
    pub now: Timestamp,
    /// Records to read.
    pub of: Listed,
    /// Maximum number of records.
    pub limit: u32,
}

/// Records that a [`List`] reads.
#[derive(Clone, Debug)]
pub enum Listed {
    /// Records of one principal, in no particular order.
    Of(Principal),
    /// Records of all principals in the order of their keys, after this key if there is one.
    After(Option<StoreKey>),
}

/// A call that removes several records.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The call's instant.
    pub now: Timestamp,
    /// Records to remove.
    pub what: Swept,
}

/// Records that a [`Sweep`] removes.
#[derive(Clone, Debug)]
pub enum Swept {
    /// Expired records, at most this many.
    Expired(u32),
    /// Live records of one principal, except the one under this key.
    Of(Principal, Option<StoreKey>),
}

/// Implements [`Item`] for each call: its output, the key that may occur once per batch, and its length in bytes.
macro_rules! items {
    ($($call:ident -> $output:ty, $key:expr, $len:expr;)*) => {$(
        impl Item for $call {
            type Output = $output;

            fn key(&self) -> Option<StoreKey> {
                let key: fn(&$call) -> Option<StoreKey> = $key;
                key(self)
            }

            fn len(&self) -> usize {
                let len: fn(&$call) -> usize = $len;
                len(self)
            }
        }
    )*};
}

items! {
    Load -> Option<Record>, |_| None, |_| ASK;
    Create -> Outcome, |call| Some(call.key), |call| WRITE + call.record.data.len();
    Save -> Outcome, |call| Some(call.key), |call| WRITE + call.record.data.len();
    Touch -> Outcome, |call| Some(call.key), |_| CHANGE;
    Delete -> Outcome, |call| Some(call.key), |_| CHANGE;
    List -> Vec<(StoreKey, Record)>, |_| None, |_| CHANGE;
    // The number of records removed, and whether more expired records may remain.
    Sweep -> (u64, bool), |_| None, |_| CHANGE;
}

/// A write to an existing record. Its outcome follows from the record that the batch found and locked.
pub trait Write: Item<Output = Outcome> {
    /// The call's instant.
    fn now(&self) -> Timestamp;

    /// Returns the key of the record.
    fn place(&self) -> &StoreKey;

    /// Returns the outcome, given that the version `stored` was found live.
    fn told(&self, stored: Version) -> Outcome;

    /// Returns the outcome, given that the record found cannot be read. `None`, the default, if the outcome depends on its version.
    fn told_unread(&self) -> Option<Outcome> {
        None
    }
}

impl Write for Save {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn place(&self) -> &StoreKey {
        &self.key
    }

    fn told(&self, stored: Version) -> Outcome {
        self.refused(Some(stored)).unwrap_or(Outcome::Done)
    }
}

impl Write for Touch {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn place(&self) -> &StoreKey {
        &self.key
    }

    fn told(&self, stored: Version) -> Outcome {
        self.refused(Some(stored)).unwrap_or(Outcome::Done)
    }
}

impl Write for Delete {
    fn now(&self) -> Timestamp {
        self.now
    }

    fn place(&self) -> &StoreKey {
        &self.key
    }

    fn told(&self, stored: Version) -> Outcome {
        self.refused(Some(stored)).unwrap_or(Outcome::Done)
    }

    fn told_unread(&self) -> Option<Outcome> {
        self.expected.is_none().then_some(Outcome::Done)
    }
}

impl Load {
    /// Returns the answer, from the record found under the key.
    ///
    /// # Errors
    /// The error of a record that cannot be read.
    pub fn told(&self, found: &Result<Record>) -> Result<Option<Record>> {
        found.as_ref().map(|record| record.is_live(self.now).then(|| record.clone())).map_err(Clone::clone)
    }
}

impl Create {
    /// Returns the outcome, given that the version `stored` is live. It is `Done` if this very call was carried out before.
    pub fn told(&self, stored: Version) -> Outcome {
        Live::from(Some(stored)).create(self.record.version).unwrap_or(Outcome::Exists)
    }
}

impl Save {
    /// Returns the outcome of a save whose statement changed nothing, from the version that is `live` now.
    /// `None` if that is the expected version: it was stored after the statement, so the save may be retried.
    pub fn refused(&self, live: Option<Version>) -> Option<Outcome> {
        Live::from(live).save(self.expected, self.record.version)
    }
}

impl Touch {
    /// Returns the outcome of a touch whose statement changed nothing, from the version that is `live` now.
    /// `None` if that is the expected version: it was stored after the statement, so the touch may be retried.
    pub fn refused(&self, live: Option<Version>) -> Option<Outcome> {
        Live::from(live).touch(self.expected)
    }
}

impl Delete {
    /// Returns the outcome of a delete whose statement changed nothing, from the version that is `live` now.
    /// `None` if the delete removes that version: it was stored after the statement, so the delete may be retried.
    pub fn refused(&self, live: Option<Version>) -> Option<Outcome> {
        Live::from(live).delete(self.expected)
    }
}

/// Returns the key after which a [scan](session_core::Store::scan) in the order of keys continues.
///
/// # Errors
/// [`ErrorKind::Corrupt`](session_core::ErrorKind::Corrupt) for a cursor that does not come from a [`page`].
pub fn after(cursor: Option<&Cursor>) -> Result<Option<StoreKey>> {
    cursor.map(|cursor| StoreKey::from_slice(cursor.as_bytes())).transpose()
}

/// Makes the page of a [scan](session_core::Store::scan) from the records found, in the order of their keys.
/// A full page has a cursor, because it may not be the last.
pub fn page(records: Vec<(StoreKey, Record)>, limit: NonZeroU32) -> Page {
    let last = records.last().filter(|_| records.len() >= limit.get() as usize);
    let next = last.map(|(key, _)| Cursor::new(key.as_bytes().to_vec()));
    Page::new(records, next)
}

/// Returns at most `limit` of the `found` records, and reports those that cannot be read in an event.
///
/// `None` if unreadable records took the place of others. `asked`, the number of records to ask the store for, is then
/// raised, and the store has to be asked again.
pub fn readable<T>(found: Vec<Result<T>>, limit: u32, asked: &mut u32) -> Option<Vec<T>> {
    let count = u32::try_from(found.len()).unwrap_or(u32::MAX);
    let (mut records, mut unread) = (Vec::with_capacity(found.len()), None);
    for record in found {
        match record {
            Ok(record) => records.push(record),
            Err(error) => unread = Some(error),
        }
    }
    let Some(error) = unread else { return Some(records) };
    let left_out = count - u32::try_from(records.len()).unwrap_or(u32::MAX);
    let enough = limit.saturating_add(left_out);
    if count >= *asked && enough > *asked {
        *asked = enough;
        return None;
    }
    tracing::warn!(%error, left_out, "sessions cannot be read, and are left out of a list");
    records.truncate(limit as usize);
    Some(records)
}

/// Version and expiry of each record that a batch of writes found and locked, by key.
pub type Found = HashMap<StoreKey, Result<(Version, Timestamp), Error>>;

/// Returns the outcomes of a batch of writes, from the records found before it changed them.
pub fn outcomes<W: Write>(items: &[W], found: &Found) -> Vec<Result<Outcome>> {
    let outcome = |item: &W| match found.get(item.place()) {
        Some(Ok((version, expires_at))) if *expires_at > item.now() => Ok(item.told(*version)),
        Some(Err(error)) => item.told_unread().ok_or_else(|| error.clone()),
        _ => Ok(Outcome::Missing),
    };
    items.iter().map(outcome).collect()
}

/// Returns the outcomes of a batch of saves, from the versions read in the same transaction after the update.
/// All records saved must be live, because an expired record that is found counts as missing.
pub fn saved(items: &[Save], found: &Found) -> Vec<Result<Outcome>> {
    let outcome = |item: &Save| match found.get(&item.key) {
        // The expected version is a conflict, too: it was stored after the save had been refused.
        Some(Ok((version, expires_at))) if *expires_at > item.now => {
            Ok(if *version == item.record.version { Outcome::Done } else { Outcome::Conflict })
        }
        Some(Err(error)) => Err(error.clone()),
        _ => Ok(Outcome::Missing),
    };
    items.iter().map(outcome).collect()
}

/// Returns the answers of a batch of loads, from the records found.
pub fn loaded(items: &[Load], found: &HashMap<StoreKey, Result<Record>>) -> Vec<Result<Option<Record>>> {
    items.iter().map(|item| found.get(&item.key).map_or(Ok(None), |found| item.told(found))).collect()
}

#[cfg(test)]
mod tests {
    use session_core::{Bytes, ErrorKind, SessionId};

    use super::*;

    #[test]
    fn an_unreadable_record_takes_no_other_records_place() {
        let rows = |asked: u32| {
            let row = |n| if n % 2 == 0 { Err(ErrorKind::Corrupt.into()) } else { Ok(n) };
            (0..7).take(asked as usize).map(row).collect()
        };
        let list = |limit| {
            let mut asked = limit;
            loop {
                if let Some(records) = readable(rows(asked), limit, &mut asked) {
                    return records;
                }
            }
        };
        assert_eq!(list(1), [1]);
        assert_eq!(list(2), [1, 3]);
        assert_eq!(list(3), [1, 3, 5]);
        assert_eq!(list(9), [1, 3, 5]);
    }

    #[test]
    fn a_delete_of_any_version_needs_none_that_can_be_read() {
        let key = StoreKey::derive("id", &SessionId::random());
        let delete = |expected| Delete { now: Timestamp::MIN, key, expected };
        let items = [delete(None), delete(Some(Version::random()))];
        let found = Found::from([(key, Err(ErrorKind::Corrupt.into()))]);
        let told = outcomes(&items, &found).into_iter().map(|outcome| outcome.map_err(|error| error.kind()));
        assert!(told.eq([Ok(Outcome::Done), Err(ErrorKind::Corrupt)]));
    }

    #[test]
    fn a_batch_of_saves_is_told_from_what_lies_there_afterwards() {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        let version = |n| Version::from_i64(n).unwrap();
        let save = || Save {
            now: at(10),
            key: StoreKey::derive("id", &SessionId::random()),
            expected: version(1),
            record: Record::new(version(2), at(0), at(15), None, Bytes::new()),
        };
        let items = [(); 6].map(|()| save());
        let lies = [
            Some(Ok((version(2), at(15)))),
            Some(Ok((version(3), at(20)))),
            Some(Ok((version(1), at(20)))),
            Some(Ok((version(1), at(10)))),
            Some(Err(ErrorKind::Corrupt.into())),
            None,
        ];
        let found = items.iter().zip(lies).filter_map(|(item, lies)| Some((item.key, lies?))).collect();
        let told = saved(&items, &found).into_iter().map(|outcome| outcome.map_err(|error| error.kind()));
        let expected = [
            Ok(Outcome::Done),
            Ok(Outcome::Conflict),
            Ok(Outcome::Conflict),
            Ok(Outcome::Missing),
            Err(ErrorKind::Corrupt),
        ];
        assert!(told.eq(expected.into_iter().chain([Ok(Outcome::Missing)])));
    }
}
