//! Store operations as batch items.
//!
//! Each operation is an [`Item`], for stores that have a queue for each kind of call. The functions of
//! [`outcome`](crate::outcome) turn the records found into answers.

use std::num::NonZeroU32;

use session_core::{Cursor, Outcome, Page, Principal, Record, Result, StoreKey, Timestamp, Version};
use tokio::time::Instant;

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
    pub target: ListTarget,
    /// Maximum number of records.
    pub limit: u32,
}

/// Records that a [`List`] reads.
#[derive(Clone, Debug)]
pub enum ListTarget {
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
    pub target: SweepTarget,
}

/// Records that a [`Sweep`] removes.
#[derive(Clone, Debug)]
pub enum SweepTarget {
    /// Expired records, at most this many.
    Expired(u32),
    /// Live records of one principal, except the one under this key.
    Of(Principal, Option<StoreKey>),
}

/// Whether calls read or write, which decides about a retry after a lost answer.
///
/// A read is retried once. A write is not: if another save followed it, the retry would report a false conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The calls change nothing.
    Read,
    /// The calls change records.
    Write,
}

impl Access {
    /// Returns the end of the first attempt at calls whose attempts must end at `deadline`.
    ///
    /// The first attempt at a read takes half of the time left at most, so that a dead connection leaves time for a second.
    pub fn first_deadline(self, deadline: Instant) -> Instant {
        let now = Instant::now();
        match self {
            Self::Read => now + deadline.saturating_duration_since(now) / 2,
            Self::Write => deadline,
        }
    }
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

#[cfg(test)]
mod tests {
    use session_core::ErrorKind;

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
}
