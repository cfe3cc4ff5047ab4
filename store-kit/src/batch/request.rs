//! Calls as the threads of an embedded store get them, and their results.

use std::time::Instant;

use session_core::{Error, ErrorKind, Outcome, Principal, Purged, Record, Result, StoreKey, Timestamp, Version};

use super::Item;

/// A call to a store whose work is done by [`Workers`](super::Workers).
pub struct Request {
    /// The caller's present instant.
    pub now: Timestamp,
    /// Time at which the caller stops waiting.
    pub deadline: Instant,
    /// The operation.
    pub kind: RequestKind,
}

/// Operation of a call, with its arguments. Limits are numbers of records. Records are boxed, so that the most frequent call, a load,
/// is not moved as if it held one.
#[expect(missing_docs, reason = "each variant is the operation of `Store` with its name")]
pub enum RequestKind {
    Create(StoreKey, Box<Record>),
    Load(StoreKey),
    Save(StoreKey, Version, Box<Record>),
    Touch(StoreKey, Version, Timestamp),
    Delete(StoreKey, Option<Version>),
    Purge(u32),
    SessionsOf(Principal, u32),
    DeleteAll(Principal, Option<StoreKey>),
    Scan(Option<StoreKey>, u32),
}

impl RequestKind {
    /// Whether the call changes nothing.
    pub const fn only_reads(&self) -> bool {
        matches!(self, Self::Load(_) | Self::SessionsOf(..) | Self::Scan(..))
    }
}

/// Result of a [`Request`].
pub enum Reply {
    /// Of a create, save, touch or delete.
    Outcome(Outcome),
    /// Of a load.
    Record(Option<Record>),
    /// Of a list or a scan.
    Records(Vec<(StoreKey, Record)>),
    /// Of a purge.
    Purged(Purged),
    /// Of a removal of all sessions of a principal: their number.
    Removed(u64),
}

const WRONG_REPLY: Error = Error::fixed(
    ErrorKind::Other,
    "a database thread gave a reply of another kind; this is a fault of the store, please report it",
);

/// Conversions to the result of one kind of call. A reply to another kind of call is [`ErrorKind::Other`].
#[expect(clippy::missing_errors_doc, reason = "said once above")]
impl Reply {
    /// Returns the outcome.
    pub fn outcome(self) -> Result<Outcome> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            _ => Err(WRONG_REPLY),
        }
    }

    /// Returns the record that was loaded.
    pub fn record(self) -> Result<Option<Record>> {
        match self {
            Self::Record(record) => Ok(record),
            _ => Err(WRONG_REPLY),
        }
    }

    /// Returns the records that were listed.
    pub fn records(self) -> Result<Vec<(StoreKey, Record)>> {
        match self {
            Self::Records(records) => Ok(records),
            _ => Err(WRONG_REPLY),
        }
    }

    /// Returns the result of a purge.
    pub fn purged(self) -> Result<Purged> {
        match self {
            Self::Purged(purged) => Ok(purged),
            _ => Err(WRONG_REPLY),
        }
    }

    /// Returns the number of records that were removed.
    pub fn removed(self) -> Result<u64> {
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

    /// Keeps reads and writes in separate batches, so that reads wait for neither the lock nor the commit of a write.
    fn goes_with(&self, other: &Self) -> bool {
        self.kind.only_reads() == other.kind.only_reads()
    }

    fn len(&self) -> usize {
        match &self.kind {
            RequestKind::Create(_, record) | RequestKind::Save(_, _, record) => record.data.len() + 128,
            _ => 128,
        }
    }
}
