//! One save that holds the changes of several requests.

use std::sync::{Arc, PoisonError};

use crate::codec::Content;
use crate::sync::{Mutex, MutexGuard, SharedFuture};
use crate::trail::Trail;
use crate::{Error, ErrorKind, Timestamp, Version};

/// A live record as it is stored, without its key.
#[derive(Clone)]
pub(crate) struct Current {
    pub(crate) version: Version,
    pub(crate) expires_at: Timestamp,
    pub(crate) trail: Trail,
    pub(crate) content: Arc<Content>,
}

/// How a joint write ended.
#[derive(Clone)]
pub(crate) enum Ended {
    /// This is stored.
    Stored(Current),
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
    forming: Arc<Mutex<Forming>>,
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
    pub(crate) over: Option<Current>,
    /// Records that were sent. All expect the same version, so at most one is ever stored.
    pub(crate) sent: Vec<Current>,
}

const PANICKED: Error =
    Error::fixed(ErrorKind::Unavailable, "the store panicked, and it cannot be told whether the write was done");

impl JointWrite {
    /// A write of `content` by one member. `send` sends it; its future may not end before the write before it has.
    pub(crate) fn new<F>(content: Arc<Content>, open: bool, send: impl FnOnce(Arc<Mutex<Forming>>) -> F) -> Self
    where
        F: Future<Output = Ended> + Send + 'static,
    {
        let forming = Forming { content, members: 1, open, over: None, sent: Vec::new() };
        let forming = Arc::new(Mutex::new(forming));
        let end = SharedFuture::new(send(forming.clone()));
        Self { forming, end }
    }

    /// Never held across an await or while foreign code runs.
    pub(crate) fn forming(&self) -> MutexGuard<'_, Forming> {
        lock(&self.forming)
    }

    /// Drives the write to its end.
    pub(crate) async fn end(&self) -> Ended {
        self.end.clone().await.unwrap_or(Ended::Unknown(PANICKED))
    }
}

pub(crate) fn lock(forming: &Mutex<Forming>) -> MutexGuard<'_, Forming> {
    forming.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last step in the queue of a session, on which the next change goes.
#[derive(Clone)]
pub(crate) enum LastStep {
    /// The record is being loaded.
    Load(SharedFuture<Result<Option<Current>, Error>>),
    /// The record was loaded.
    Loaded(Current),
    Write(Arc<JointWrite>),
}

impl LastStep {
    /// Whether the two are the very same step.
    pub(crate) fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Load(a), Self::Load(b)) => a.is(b),
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
    /// Makes the next writer begin with a load, if `step` is the last.
    pub(crate) fn forget(&mut self, step: &LastStep) {
        if self.last.as_ref().is_some_and(|last| last.is(step)) {
            self.last = None;
        }
    }
}
