//! Stored record of a session, and the state that a write leads to.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Content;
use crate::head::{Head, Trail};
use crate::{EventKind, Record, SessionId, StoreKey, Timestamp, Version};

/// Live record as it is stored, decoded.
#[derive(Clone)]
pub(crate) struct StoredRecord {
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    /// Idle time-out when the record was stored. Its last use is `expires_at` less this. `None` if the record does not tell.
    pub(crate) idle: Option<Duration>,
    pub(crate) trail: Trail,
    pub(crate) content: Arc<Content>,
}

impl StoredRecord {
    pub(crate) fn new(record: &Record, head: Head, content: Arc<Content>) -> Arc<Self> {
        let Head { idle, trail } = head;
        Arc::new(Self { version: record.version, expires_at: record.expires_at, idle, trail, content })
    }
}

/// Live record on which a session is based, with its id and key.
#[derive(Clone)]
pub(crate) struct StoredAt {
    pub(crate) id: SessionId,
    pub(crate) key: StoreKey,
    pub(crate) record: Arc<StoredRecord>,
}

impl StoredAt {
    /// Returns the same id and key with another record.
    pub(crate) fn with(&self, record: Arc<StoredRecord>) -> Self {
        Self { id: self.id.clone(), key: self.key, record }
    }
}

impl Deref for StoredAt {
    type Target = StoredRecord;

    fn deref(&self) -> &StoredRecord {
        &self.record
    }
}

/// State of a session once a write is stored.
#[derive(Clone)]
pub(crate) struct CommittedState {
    pub(crate) stored: StoredAt,
    /// Events to report then.
    pub(crate) events: Vec<EventKind>,
    /// Index in [`State::log`](super::state::State::log) of the first operation that the write does not hold.
    pub(crate) ops_end: u64,
    /// Value of [`State::epoch`](super::state::State::epoch) when the commit began.
    pub(crate) epoch: u64,
    /// Value of [`State::new_ids_wanted`](super::state::State::new_ids_wanted) when the commit began.
    pub(crate) new_ids: u64,
}

/// Lifetime of a client's cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CookieLifetime {
    /// Set if the session asks for a cookie that outlives the browser.
    pub(crate) persistent: bool,
    /// Instant of the session's absolute time-out, after which no cookie is needed.
    pub(crate) ends_at: Timestamp,
}

/// Record under an id that no client has.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    /// Set if the record is known to be stored. Otherwise its create may still arrive.
    pub(crate) landed: bool,
}
