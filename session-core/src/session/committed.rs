//! What a session knows of the store: its record, and the state that a write leads to.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Content;
use crate::head::{Head, Trail};
use crate::{Record, SessionId, StoreKey, Timestamp, Version};

/// A live record as it is stored, decoded.
#[derive(Clone)]
pub(crate) struct StoredRecord {
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    /// Idle time-out when it was stored: it was used last so long before it expires. `None` if the record does not say.
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

/// The live record that a session stands on, and where it is.
#[derive(Clone)]
pub(crate) struct StoredAt {
    pub(crate) id: SessionId,
    pub(crate) key: StoreKey,
    pub(crate) record: Arc<StoredRecord>,
}

impl StoredAt {
    /// The same place, with `record` there.
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

/// The session's state once a write is stored.
#[derive(Clone)]
pub(crate) struct CommittedState {
    pub(crate) stored: StoredAt,
    /// The write holds the operations before this one, by its index in [`State::log`](super::state::State::log).
    pub(crate) ops_end: u64,
    /// [`State::epoch`](super::state::State::epoch) when the commit began.
    pub(crate) epoch: u64,
    /// [`State::new_ids_wanted`](super::state::State::new_ids_wanted) when the commit began.
    pub(crate) new_ids: u64,
}

/// How long a client keeps its cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CookieLifetime {
    /// The session asks for a cookie that outlives the browser.
    pub(crate) persistent: bool,
    /// The session's absolute time-out, after which no cookie is needed.
    pub(crate) ends_at: Timestamp,
}

/// A record under an id that no client has.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    pub(crate) key: StoreKey,
    pub(crate) version: Version,
    /// Set if it is known to be stored. Otherwise its create may still arrive.
    pub(crate) landed: bool,
}
