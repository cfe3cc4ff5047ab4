//! Outcomes of writes and answers of loads, from the records found in the store.
//!
//! ```
//! use session_core::{Outcome, SessionId, StoreKey, Timestamp, Version};
//! use session_store_kit::operations::Delete;
//! use session_store_kit::outcome::Write;
//!
//! let (now, key, expected) = (Timestamp::MIN, StoreKey::derive("id", &SessionId::random()), Version::random());
//! let delete = Delete { now, key, expected: Some(expected) };
//! // A plain statement changed nothing. The version that is live under the key tells why.
//! assert_eq!(delete.refused(None), Some(Outcome::Missing));
//! assert_eq!(delete.refused(Some(Version::random())), Some(Outcome::Conflict));
//! ```

use std::collections::HashMap;

use session_core::{Live, Outcome, Record, Result, StoreKey, Timestamp, Version};

use crate::batch::Item;
use crate::operations::{Create, Delete, Load, Save, Touch};

/// A write of one record. Its outcome follows from the live version under the key.
pub trait Write: Item<Output = Outcome> {
    /// The call's instant.
    fn now(&self) -> Timestamp;

    /// Returns the key of the record.
    fn target(&self) -> &StoreKey;

    /// Returns the outcome if the write must not be carried out, given the live version. `None` if it must be carried out.
    fn decide(&self, live: Live) -> Option<Outcome>;

    /// Returns the outcome, given that the stored record cannot be read. `None`, the default, if the outcome depends on its version.
    fn outcome_unread(&self) -> Option<Outcome> {
        None
    }

    /// Returns the outcome of a write whose statement changed nothing, from the version that is `live` now.
    ///
    /// `None` if the write could be carried out now. Then the record has changed since the statement, so the write may be retried.
    fn refused(&self, live: Option<Version>) -> Option<Outcome> {
        self.decide(Live::from(live))
    }
}

/// Implements [`Write`] for calls, each with its decision.
macro_rules! writes {
    ($($call:ident: |$this:ident, $live:ident| $decision:expr, $unread:expr;)*) => {$(
        impl Write for $call {
            fn now(&self) -> Timestamp {
                self.now
            }

            fn target(&self) -> &StoreKey {
                &self.key
            }

            fn decide(&self, $live: Live) -> Option<Outcome> {
                let $this = self;
                $decision
            }

            fn outcome_unread(&self) -> Option<Outcome> {
                let unread: fn(&Self) -> Option<Outcome> = $unread;
                unread(self)
            }
        }
    )*};
}

writes! {
    Create: |call, live| live.create(call.record.version), |_| None;
    Save: |call, live| live.save(call.expected, call.record.version), |_| None;
    Touch: |call, live| live.touch(call.expected), |_| None;
    Delete: |call, live| live.delete(call.expected), |call| call.expected.is_none().then_some(Outcome::Done);
}

impl Load {
    /// Returns the answer, from the record found under the key.
    ///
    /// # Errors
    /// The error of a record that cannot be read.
    pub fn answer(&self, found: &Result<Record>) -> Result<Option<Record>> {
        found.as_ref().map(|record| record.is_live(self.now).then(|| record.clone())).map_err(Clone::clone)
    }
}

/// Version and expiry of each record that a batch of writes found, by key.
pub type FoundVersions = HashMap<StoreKey, Result<(Version, Timestamp)>>;

/// Returns the outcomes of a batch of writes, from the records that it found and locked before it changed them.
pub fn outcomes<W: Write>(items: &[W], found: &FoundVersions) -> Vec<Result<Outcome>> {
    items.iter().map(|item| outcome(item, found, Outcome::Done)).collect()
}

/// Returns the outcomes of a batch of saves, from the versions read in the same transaction after the update.
/// All records saved must be live, because an expired record that is found counts as missing.
///
/// The expected version is a conflict, too: it was stored after the save had been refused.
pub fn saved(items: &[Save], found: &FoundVersions) -> Vec<Result<Outcome>> {
    items.iter().map(|item| outcome(item, found, Outcome::Conflict)).collect()
}

/// Returns the outcome of a write, from the records found. `otherwise` is the outcome of a write that could be carried out on them.
fn outcome<W: Write>(item: &W, found: &FoundVersions, otherwise: Outcome) -> Result<Outcome> {
    let stored = match found.get(item.target()) {
        Some(Err(error)) => return item.outcome_unread().ok_or_else(|| error.clone()),
        Some(Ok(stored)) => Some(*stored),
        None => None,
    };
    Ok(item.decide(Live::at(item.now(), stored)).unwrap_or(otherwise))
}

/// Returns the answers of a batch of loads, from the records found.
pub fn loaded(items: &[Load], found: &HashMap<StoreKey, Result<Record>>) -> Vec<Result<Option<Record>>> {
    items.iter().map(|item| found.get(&item.key).map_or(Ok(None), |found| item.answer(found))).collect()
}

#[cfg(test)]
mod tests {
    use session_core::{Bytes, ErrorKind, SessionId};

    use super::*;

    #[test]
    fn a_delete_of_any_version_needs_none_that_can_be_read() {
        let key = StoreKey::derive("id", &SessionId::random());
        let delete = |expected| Delete { now: Timestamp::MIN, key, expected };
        let items = [delete(None), delete(Some(Version::random()))];
        let found = FoundVersions::from([(key, Err(ErrorKind::Corrupt.into()))]);
        let outcomes = super::outcomes(&items, &found).into_iter().map(|outcome| outcome.map_err(|error| error.kind()));
        assert!(outcomes.eq([Ok(Outcome::Done), Err(ErrorKind::Corrupt)]));
    }

    #[test]
    fn a_batch_of_saves_gets_its_outcomes_from_the_records_after_it() {
        let at = |millis| Timestamp::from_millis(millis).unwrap();
        let version = |n| Version::from_i64(n).unwrap();
        let save = || Save {
            now: at(10),
            key: StoreKey::derive("id", &SessionId::random()),
            expected: version(1),
            record: Record::new(version(2), at(0), at(15), None, Bytes::new()),
        };
        let items = [(); 6].map(|()| save());
        let stored = [
            Some(Ok((version(2), at(15)))),
            Some(Ok((version(3), at(20)))),
            Some(Ok((version(1), at(20)))),
            Some(Ok((version(1), at(10)))),
            Some(Err(ErrorKind::Corrupt.into())),
            None,
        ];
        let found = items.iter().zip(stored).filter_map(|(item, stored)| Some((item.key, stored?))).collect();
        let outcomes = saved(&items, &found).into_iter().map(|outcome| outcome.map_err(|error| error.kind()));
        let expected = [
            Ok(Outcome::Done),
            Ok(Outcome::Conflict),
            Ok(Outcome::Conflict),
            Ok(Outcome::Missing),
            Err(ErrorKind::Corrupt),
        ];
        assert!(outcomes.eq(expected.into_iter().chain([Ok(Outcome::Missing)])));
    }
}
