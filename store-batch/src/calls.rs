//! What calls of a store carry, and what a write's answer is once it is known what lay under its key.
//!
//! Each is an [`Item`], for stores that have a queue for each kind of call.
//!
//! ```
//! use session_core::{Outcome, SessionId, StoreKey, Timestamp, Version};
//! use store_batch::calls::Delete;
//!
//! let (now, key, expected) = (Timestamp::MIN, StoreKey::derive("id", &SessionId::random()), Version::random());
//! let delete = Delete { now, key, expected: Some(expected) };
//! // A plain statement changed nothing. What is live under the key says why.
//! assert_eq!(delete.refused(None), Some(Outcome::Missing));
//! assert_eq!(delete.refused(Some(Version::random())), Some(Outcome::Conflict));
//! ```

use std::collections::HashMap;
use std::num::NonZeroU32;

use session_core::{Cursor, Error, Live, Outcome, Page, Principal, Record, Result, StoreKey, Timestamp, Version};

use crate::Item;

/// What a call puts on the wire besides its data, about: a key; a key and a few numbers; all of a record, and its key once for each
/// column where the statement wants it so.
const ASK: usize = 64;
const CHANGE: usize = 128;
const WRITE: usize = 384;

/// [`Store::load`](session_core::Store::load).
#[derive(Clone, Debug)]
pub struct Load {
    /// The call's instant.
    pub now: Timestamp,
    /// What is asked for.
    pub key: StoreKey,
}

/// [`Store::create`](session_core::Store::create).
#[derive(Clone, Debug)]
pub struct Create {
    /// The call's instant.
    pub now: Timestamp,
    /// Where.
    pub key: StoreKey,
    /// What.
    pub record: Record,
}

/// [`Store::save`](session_core::Store::save).
#[derive(Clone, Debug)]
pub struct Save {
    /// The call's instant.
    pub now: Timestamp,
    /// Where.
    pub key: StoreKey,
    /// What has to be there.
    pub expected: Version,
    /// What comes there.
    pub record: Record,
}

/// [`Store::touch`](session_core::Store::touch).
#[derive(Clone, Debug)]
pub struct Touch {
    /// The call's instant.
    pub now: Timestamp,
    /// Where.
    pub key: StoreKey,
    /// What has to be there.
    pub expected: Version,
    /// The expiry at least.
    pub expires_at: Timestamp,
}

/// [`Store::delete`](session_core::Store::delete).
#[derive(Clone, Debug)]
pub struct Delete {
    /// The call's instant.
    pub now: Timestamp,
    /// Where.
    pub key: StoreKey,
    /// What has to be there, or anything.
    pub expected: Option<Version>,
}

/// A call that reads several records.
#[derive(Clone, Debug)]
pub struct List {
    /// The call's instant.
    pub now: Timestamp,
    /// Which records.
    pub of: Listed,
    /// How many at most.
    pub limit: u32,
}

/// What a [`List`] reads.
#[derive(Clone, Debug)]
pub enum Listed {
    /// One person's, in no order.
    Of(Principal),
    /// Everybody's, by key, after this one.
    After(Option<StoreKey>),
}

/// A call that removes several records.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// The call's instant.
    pub now: Timestamp,
    /// Which records.
    pub what: Swept,
}

/// What a [`Sweep`] removes.
#[derive(Clone, Debug)]
pub enum Swept {
    /// So many that have expired, at most.
    Expired(u32),
    /// One person's live ones but this one.
    Of(Principal, Option<StoreKey>),
}

/// What each call answers, and of which key a batch holds one only.
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
    // How many were removed, and of the expired whether there may be more.
    Sweep -> (u64, bool), |_| None, |_| CHANGE;
}

/// A write to a record that is there: its outcome follows from what lay under its key when the batch locked it.
pub trait Write: Item<Output = Outcome> {
    /// The call's instant.
    fn now(&self) -> Timestamp;

    /// Where.
    fn place(&self) -> &StoreKey;

    /// Its outcome where a live record of `stored` lay.
    fn told(&self, stored: Version) -> Outcome;

    /// Its outcome where a record lay whose version cannot be read, if the version does not matter. By default it does.
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
    /// The answer, from the record that lies under the key.
    ///
    /// # Errors
    /// What there is instead of a record.
    pub fn told(&self, found: &Result<Record>) -> Result<Option<Record>> {
        found.as_ref().map(|record| record.is_live(self.now).then(|| record.clone())).map_err(Clone::clone)
    }
}

impl Create {
    /// The outcome where a live record of `stored` lies: this very call may have been carried out before.
    pub fn told(&self, stored: Version) -> Outcome {
        Live::from(Some(stored)).create(self.record.version).unwrap_or(Outcome::Exists)
    }
}

impl Save {
    /// The outcome of a save whose statement changed nothing, from the version that is live now.
    /// `None`: that is the version expected, which was stored after the statement, so the save may be tried again.
    pub fn refused(&self, live: Option<Version>) -> Option<Outcome> {
        Live::from(live).save(self.expected, self.record.version)
    }
}

impl Touch {
    /// The outcome of a touch whose statement changed nothing, from the version that is live now.
    /// `None`: that is the version expected, which was stored after the statement, so the touch may be tried again.
    pub fn refused(&self, live: Option<Version>) -> Option<Outcome> {
        Live::from(live).touch(self.expected)
    }
}

impl Delete {
    /// The outcome of a delete whose statement changed nothing, from the version that is live now.
    /// `None`: that is a version that it removes, which was stored after the statement, so the delete may be tried again.
    pub fn refused(&self, live: Option<Version>) -> Option<Outcome> {
        Live::from(live).delete(self.expected)
    }
}

/// Where a [scan](session_core::Store::scan) by key goes on.
///
/// # Errors
/// [`ErrorKind::Corrupt`](session_core::ErrorKind::Corrupt) for a cursor that no [`page`] has given.
pub fn after(cursor: Option<&Cursor>) -> Result<Option<StoreKey>> {
    cursor.map(|cursor| StoreKey::from_slice(cursor.as_bytes())).transpose()
}

/// The page of a [scan](session_core::Store::scan) that found these, in the order of their keys: a full one may not be the last.
pub fn page(records: Vec<(StoreKey, Record)>, limit: NonZeroU32) -> Page {
    let last = records.last().filter(|_| records.len() >= limit.get() as usize);
    let next = last.map(|(key, _)| Cursor::new(key.as_bytes().to_vec()));
    Page::new(records, next)
}

/// At most `limit` of the `found` records, without those that cannot be read. Those are reported by an event.
///
/// `None` if they took the place of others: then `asked`, the number of records that the store was asked for, is larger,
/// and the store has to be asked again.
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

/// What a batch of writes found, and locked, before it changed it.
pub type Found = HashMap<StoreKey, Result<(Version, Timestamp), Error>>;

/// The outcomes of a batch, from what it found.
pub fn outcomes<W: Write>(items: &[W], found: &Found) -> Vec<Result<Outcome>> {
    let outcome = |item: &W| match found.get(item.place()) {
        Some(Ok((version, expires_at))) if *expires_at > item.now() => Ok(item.told(*version)),
        Some(Err(error)) => item.told_unread().ok_or_else(|| error.clone()),
        _ => Ok(Outcome::Missing),
    };
    items.iter().map(outcome).collect()
}

/// The outcomes of a batch of saves, from what lay there once those that could be carried out were, and before anybody else
/// could change that. Of records that all live: of one that had expired when it was saved nobody could tell whose it is.
pub fn saved(items: &[Save], found: &Found) -> Vec<Result<Outcome>> {
    let outcome = |item: &Save| match found.get(&item.key) {
        // A conflict also where it is what was expected: that came when the save had been refused already.
        Some(Ok((version, expires_at))) if *expires_at > item.now => {
            Ok(if *version == item.record.version { Outcome::Done } else { Outcome::Conflict })
        }
        Some(Err(error)) => Err(error.clone()),
        _ => Ok(Outcome::Missing),
    };
    items.iter().map(outcome).collect()
}

/// The answers of a batch of loads, from the records that it found.
pub fn loaded(items: &[Load], found: &HashMap<StoreKey, Result<Record>>) -> Vec<Result<Option<Record>>> {
    items.iter().map(|item| found.get(&item.key).map_or(Ok(None), |found| item.told(found))).collect()
}

#[cfg(test)]
mod tests {
    use session_core::{Bytes, ErrorKind, SessionId};

    use super::*;

    #[test]
    fn what_cannot_be_read_takes_nobody_elses_place() {
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
