//! One save that holds the changes of several requests.

use std::sync::{Arc, PoisonError, Weak};

use crate::codec::Content;
use crate::session::committed::StoredRecord;
use crate::sync::{Mutex, MutexGuard, SharedFuture};
use crate::{Error, ErrorKind, Version};

/// How a joint write ended, for all of its members.
#[derive(Clone)]
pub(crate) enum Ended {
    /// This is stored.
    Stored(Arc<StoredRecord>),
    /// Nothing of it is stored and nothing will be: another process was faster, or the write before it was not stored.
    NotStored,
    /// There is no live record any more.
    Gone,
    /// The store, or a limit, refused it. Each member goes alone.
    Refused(Error),
    /// It may be stored, or may be later.
    Unknown(Error),
}

/// A save that takes in changes until it is sent. It belongs to no request: each of its members drives it.
pub(crate) struct JointWrite {
    forming: Mutex<Forming>,
    end: SharedFuture<Ended>,
}

/// What a joint write will store or has sent.
pub(crate) struct Forming {
    /// Content after the changes of all members.
    pub(crate) content: Arc<Content>,
    pub(crate) members: u64,
    /// Whether more members may join.
    pub(crate) open: bool,
    /// The record that it replaces, once it is sent.
    pub(crate) over: Option<Arc<StoredRecord>>,
    /// Records that were sent. All expect the same version, so at most one is ever stored.
    pub(crate) sent: Vec<Arc<StoredRecord>>,
}

impl Forming {
    /// Takes no more members, and returns the content to put in place of `over`.
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

const PANICKED: Error =
    Error::fixed(ErrorKind::Unavailable, "the store panicked, and it cannot be told whether the write was done");

impl JointWrite {
    /// A write of `content` by one member. `send` sends it; its future may not end before the write before it has.
    pub(crate) fn new<F>(content: Arc<Content>, open: bool, send: impl FnOnce(Weak<Self>) -> F) -> Arc<Self>
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        let forming = Forming { content, members: 1, open, over: None, sent: Vec::new() };
        Arc::new_cyclic(|write| Self { forming: Mutex::new(forming), end: SharedFuture::new(send(write.clone())) })
    }

    /// Never held across an await or while foreign code runs.
    pub(crate) fn forming(&self) -> MutexGuard<'_, Forming> {
        self.forming.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Drives the write to its end.
    pub(crate) async fn end(&self) -> Ended {
        self.end.output().await.unwrap_or(Ended::Unknown(PANICKED))
    }
}

/// The last step in the queue of a session, on which the next change goes.
#[derive(Clone)]
pub(crate) enum LastStep {
    /// The record is being loaded.
    Load(Arc<SharedFuture<Result<Option<Arc<StoredRecord>>, Error>>>),
    /// The record was loaded.
    Loaded(Arc<StoredRecord>),
    Write(Arc<JointWrite>),
}

impl LastStep {
    /// Whether the two are the very same step.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Load(a), Self::Load(b)) => Arc::ptr_eq(a, b),
            (Self::Loaded(a), Self::Loaded(b)) => a.version == b.version,
            (Self::Write(a), Self::Write(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

/// What the writers of one session share.
#[derive(Default)]
pub(crate) struct Line {
    pub(crate) last: Option<LastStep>,
    /// How many writes in a row went on top of each other without a load.
    pub(crate) in_a_row: u32,
}

impl Line {
    /// Puts `next` in place of `step`, if that is the last. Without one the next writer begins with a load.
    pub(crate) fn replace(&mut self, step: &LastStep, next: Option<LastStep>) {
        if self.last.as_ref().is_some_and(|last| last.is(step)) {
            self.last = next;
        }
    }
}
