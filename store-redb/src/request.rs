//! Calls as the threads of a store get them, and their results.

use std::time::Instant;

use session_core::{Error, ErrorKind, Outcome, Principal, Purged, Record, Result, StoreKey, Timestamp, Version};
use session_store_kit::batch::Item;

/// A call to the store.
pub(crate) struct Request {
    pub(crate) now: Timestamp,
    /// Time at which the caller stops waiting.
    pub(crate) deadline: Instant,
    pub(crate) kind: RequestKind,
}

/// Operation of a call, with its arguments.
pub(crate) enum RequestKind {
    Create(StoreKey, Record),
    Load(StoreKey),
    Save(StoreKey, Version, Record),
    Touch(StoreKey, Version, Timestamp),
    Delete(StoreKey, Option<Version>),
    Purge(u32),
    SessionsOf(Principal, u32),
    DeleteAll(Principal, Option<StoreKey>),
    Scan(Option<StoreKey>, u32),
}

impl RequestKind {
    /// Whether the call may remove records.
    pub(crate) const fn makes_room(&self) -> bool {
        matches!(self, Self::Delete(..) | Self::DeleteAll(..) | Self::Purge(_))
    }
}

/// Result of a call.
pub(crate) enum Reply {
    Outcome(Outcome),
    Record(Option<Record>),
    Records(Vec<(StoreKey, Record)>),
    Purged(Purged),
    Removed(u64),
}

const WRONG_REPLY: Error = Error::fixed(
    ErrorKind::Other,
    "a database thread gave a reply of another kind; this is a fault of the store, please report it",
);

impl Reply {
    pub(crate) fn outcome(self) -> Result<Outcome> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            _ => Err(WRONG_REPLY),
        }
    }

    pub(crate) fn record(self) -> Result<Option<Record>> {
        match self {
            Self::Record(record) => Ok(record),
            _ => Err(WRONG_REPLY),
        }
    }

    pub(crate) fn records(self) -> Result<Vec<(StoreKey, Record)>> {
        match self {
            Self::Records(records) => Ok(records),
            _ => Err(WRONG_REPLY),
        }
    }

    pub(crate) fn purged(self) -> Result<Purged> {
        match self {
            Self::Purged(purged) => Ok(purged),
            _ => Err(WRONG_REPLY),
        }
    }

    pub(crate) fn removed(self) -> Result<u64> {
        match self {
            Self::Removed(removed) => Ok(removed),
            _ => Err(WRONG_REPLY),
        }
    }
}

impl Item for Request {
    type Output = Reply;

    /// Returns `None`: a batch may hold several calls for one key, because its calls run in order and each sees the effect of the last.
    fn key(&self) -> Option<StoreKey> {
        None
    }

    fn len(&self) -> usize {
        match &self.kind {
            RequestKind::Create(_, record) | RequestKind::Save(_, _, record) => record.data.len() + 128,
            _ => 128,
        }
    }
}
