#![doc = include_str!("README.md")]

use std::time::Duration;

use session_core::StoreKey;

mod batcher;
mod entrance;
mod inline;
mod lanes;
mod queue;
mod request;
mod runtimes;
mod trip;
mod workers;

pub use batcher::{Batcher, Closing, RoundTrip};
pub use entrance::{CLOSED, Entrance, Pass};
pub use request::{Reply, Request, RequestKind};
pub use runtimes::PerRuntime;
pub use trip::{Trip, Undone};
pub use workers::{Worker, Workers};

/// One call in a batch: its operands, including its own `now`.
pub trait Item: Send + Sync + 'static {
    /// Answer to the call.
    type Output: Send + 'static;

    /// Returns the key that may occur only once in a batch. A second item with this key waits for the next batch.
    ///
    /// `None` where several items in one batch do no harm: loads, or statements that run one after another.
    fn key(&self) -> Option<StoreKey>;

    /// Whether a batch that begins with this item may hold `other`. If not, the batch ends before `other`. By default it may.
    fn goes_with(&self, other: &Self) -> bool {
        let _ = other;
        true
    }

    /// Returns approximately how many bytes the item puts on the wire.
    fn len(&self) -> usize;

    /// Whether the item puts no bytes on the wire.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Answers to a batch: one result for each item, in the order of the items, or the items that certainly had no effect and are to
/// be run again, each on its own.
pub type Answers<I> = Result<Vec<session_core::Result<<I as Item>::Output>>, Undone<<I as Item>::Output>>;

/// Bounds of a [`Batcher`] or of [`Workers`].
///
/// ```
/// use session_core::seconds;
/// use session_store_kit::batch::Limits;
///
/// let limits = Limits::for_tasks(2).items(64).timeout(seconds(3));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Limits {
    in_flight: usize,
    full: usize,
    alone: usize,
    items: usize,
    bytes: usize,
    queue: usize,
    timeout: Duration,
    rest: Duration,
    inline: bool,
}

impl Limits {
    /// Returns bounds of a [`Batcher`] with at most `in_flight` round trips at once; 0 counts as 1.
    ///
    /// The other bounds are 128 items or 1 MiB in a batch, 4 items run again at once, 16,384 items in the queue and a time-out of
    /// 5 s.
    pub const fn for_tasks(in_flight: usize) -> Self {
        Self {
            in_flight: at_least_one(in_flight),
            full: 0,
            alone: 4,
            items: 128,
            bytes: 1 << 20,
            queue: 16_384,
            timeout: Duration::from_secs(5),
            rest: Duration::from_micros(50),
            inline: false,
        }
    }

    /// Returns bounds of [`Workers`], each thread of which runs one batch at a time.
    ///
    /// The other bounds are those of [`for_tasks`](Self::for_tasks), and a rest of 50 µs.
    pub const fn for_threads() -> Self {
        Self::for_tasks(1)
    }

    /// Sets how many items one batch may hold; 0 counts as 1.
    pub const fn items(mut self, n: usize) -> Self {
        self.items = at_least_one(n);
        self
    }

    /// Sets how many bytes one batch may hold, by [`Item::len`]. A longer item is sent on its own.
    pub const fn bytes(mut self, n: usize) -> Self {
        self.bytes = n;
        self
    }

    /// Sets how many items may wait in the queue; 0 counts as 1. Further calls wait for room, within their time-out.
    pub const fn queue(mut self, n: usize) -> Self {
        self.queue = at_least_one(n);
        self
    }

    /// Sets how long a call may take, waiting included, before it returns
    /// [`Unavailable`](session_core::ErrorKind::Unavailable).
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how many round trips of a [`Batcher`] may be in flight while a full batch waits, if more than
    /// [`for_tasks`](Self::for_tasks) allows. Default: no more.
    ///
    /// Few batches in flight are larger and cheaper. A full batch cannot become larger, so it need not wait.
    pub const fn full(mut self, n: usize) -> Self {
        self.full = n;
        self
    }

    /// Sets how many items of a [`Batcher`] whose batch could not run them are run on their own at once; 0 counts as 1.
    ///
    /// They do not count as in flight for [`for_tasks`](Self::for_tasks), so that batches go on while such an item waits for a lock.
    pub const fn alone(mut self, n: usize) -> Self {
        self.alone = at_least_one(n);
        self
    }

    /// Sets whether a call of a [`Batcher`] that is alone runs inline, in its caller's task instead of a spawned one. Default: no.
    ///
    /// This saves two task switches. One of them would wake a second thread where several requests follow each other.
    /// When another call arrives or the caller drops its future, the round trip moves to a task of its own.
    /// So it always ends and is never dropped half-way.
    /// Until then, a caller that stops polling holds the connection and its locks. Enable this only if no other call can be
    /// blocked by that.
    pub const fn inline(mut self, inline: bool) -> Self {
        self.inline = inline;
        self
    }

    /// Sets how long one thread of [`Workers`] stays awake after its work; 0 turns this off.
    ///
    /// A call within that time need not wake the thread. On an idle machine, waking it takes longer than a statement of SQLite.
    /// Meanwhile the thread yields its core to others.
    pub const fn rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }
}

const fn at_least_one(n: usize) -> usize {
    if n == 0 { 1 } else { n }
}
