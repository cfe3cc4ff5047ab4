//! Joint writes: saves that hold the changes of several requests.

use std::sync::{Arc, PoisonError, Weak};

use crate::codec::Content;
use crate::session::committed::StoredRecord;
use crate::sync::{Mutex, MutexGuard, SharedFuture};
use crate::{Error, ErrorKind, Version};

/// Result of a joint write, for all of its members.
#[derive(Clone)]
pub(crate) enum Ended {
    /// This record is stored.
    Stored(Arc<StoredRecord>),
    /// Nothing is stored, now or later. Another process was faster, or the previous write of the queue was not stored.
    NotStored,
    /// No live record has the key any more.
    Gone,
    /// The store or a limit refused the write. Each member now saves on its own.
    Refused(Error),
    /// The outcome is uncertain: the write may be stored now or later.
    Unknown(Error),
}

/// A save that accepts changes until it is sent. No request owns it: each member drives it.
pub(crate) struct JointWrite {
    forming: Mutex<Forming>,
    end: SharedFuture<Ended>,
}

/// Content of a joint write, and the records sent for it.
pub(crate) struct Forming {
    /// Content with the changes of all members.
    pub(crate) content: Arc<Content>,
    pub(crate) members: u64,
    /// Whether more members may join.
    pub(crate) open: bool,
    /// The record to replace, once the write is sent.
    pub(crate) over: Option<Arc<StoredRecord>>,
    /// Records that were sent. All expect the same version, so at most one of them is ever stored.
    pub(crate) sent: Vec<Arc<StoredRecord>>,
}

impl Forming {
    /// Closes the write to new members and returns the content that replaces `over`.
    pub(crate) fn close(&mut self, over: &Arc<StoredRecord>) -> Arc<Content> {
        self.open = false;
        self.over = Some(over.clone());
        self.content.clone()
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        self.sent.iter().map(|sent| sent.version).collect()
    }

    pub(crate) fn sent_as(&self, version: Version) -> Option<Arc<StoredRecord>> {
        self.sent.iter().find(|sent| sent.version == version).cloned()
    }
}

const PANICKED: Error = Error::fixed(
    ErrorKind::Unavailable,
    "the store panicked, and the write may be stored or not; save again to find out",
);

impl JointWrite {
    /// Makes a write of `content` with one member. `send` makes the future that sends it, which must not end before the previous write.
    pub(crate) fn new<F>(content: Arc<Content>, open: bool, send: impl FnOnce(Weak<Self>) -> F) -> Arc<Self>
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        let forming = Forming { content, members: 1, open, over: None, sent: Vec::new() };
        Arc::new_cyclic(|write| Self { forming: Mutex::new(forming), end: SharedFuture::new(send(write.clone())) })
    }

    /// Locks the content. The lock is never held across an await or while foreign code runs.
    pub(crate) fn forming(&self) -> MutexGuard<'_, Forming> {
        self.forming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives the write to its end.
    pub(crate) async fn end(&self) -> Ended {
        match self.end.output().await {
            Some(ended) => ended,
            None if self.forming().sent.is_empty() => Ended::NotStored,
            None => Ended::Unknown(PANICKED),
        }
    }
}

/// Last step in the queue of a session. The next change builds on it.
#[derive(Clone)]
pub(crate) enum LastStep {
    /// The record is being loaded.
    Load(Arc<SharedFuture<Result<Option<Arc<StoredRecord>>, Error>>>),
    /// The record was loaded.
    Loaded(Arc<StoredRecord>),
    Write(Arc<JointWrite>),
}

impl LastStep {
    /// Whether both are the same step.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Load(a), Self::Load(b)) => Arc::ptr_eq(a, b),
            (Self::Loaded(a), Self::Loaded(b)) => a.version == b.version,
            (Self::Write(a), Self::Write(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// State shared by the writers of one session.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) last: Option<LastStep>,
    /// Number of consecutive writes without a load between them.
    pub(crate) in_a_row: u32,
}

impl Line {
    /// Replaces `step` by `next` if it is still the last step. If `next` is `None`, the next writer starts with a load.
    ///
    /// Returns the step that is not needed any more. Drop it without a lock, because it may hold a future of the store.
    #[must_use]
    pub(crate) fn replace(&mut self, step: &LastStep, next: Option<LastStep>) -> Option<LastStep> {
        if self.last.as_ref().is_some_and(|last| last.is(step)) {
            std::mem::replace(&mut self.last, next)
        } else {
            next
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec, Timestamp};

    #[test]
    fn a_panic_before_anything_is_sent_stores_nothing() {
        let content = Arc::new(Content::empty(Timestamp::MIN, Codec::Json));
        let write = JointWrite::new(content, true, |_| async { panic!("on purpose") });
        let first = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| pollster::block_on(write.end())));
        assert!(first.is_err());
        assert!(matches!(pollster::block_on(write.end()), Ended::NotStored));
    }
}
