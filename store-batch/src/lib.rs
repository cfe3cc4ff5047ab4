#![doc = include_str!("../README.md")]

use std::time::Duration;

use session_core::{Result, StoreKey};

pub mod calls;
mod carried;
mod queue;
mod runtimes;
mod tasks;
mod threads;

pub use runtimes::PerRuntime;
pub use tasks::{Batcher, RoundTrip};
pub use threads::{Worker, Workers};

/// What one call carries into a batch: its operands, its own `now` included.
pub trait Item: Send + Sync + 'static {
    /// What the call answers.
    type Output: Send + 'static;

    /// The key of which a batch holds at most one item; a second one waits for the next batch.
    ///
    /// `None` where several in one batch do no harm: loads, or statements that run one after another.
    fn key(&self) -> Option<StoreKey>;

    /// Whether a batch that begins with this one may hold `other`. If not, the batch ends before it. By default it may.
    fn goes_with(&self, other: &Self) -> bool {
        let _ = other;
        true
    }

    /// About how many bytes it puts on the wire.
    fn len(&self) -> usize;

    /// Whether that is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a batch answers: one result for each item, in the items' order, or one error for the batch as a whole.
///
/// After an error for the whole, each item of the batch is run again alone.
pub type Answers<I> = Result<Vec<Result<<I as Item>::Output>>>;

/// Bounds of a [`Batcher`] or of [`Workers`].
///
/// ```
/// use session_core::seconds;
/// use store_batch::Limits;
///
/// let limits = Limits::new().in_flight(2).items(64).timeout(seconds(3));
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct Limits {
    in_flight: usize,
    full: usize,
    items: usize,
    bytes: usize,
    queue: usize,
    timeout: Duration,
    rest: Duration,
    carried: bool,
}

impl Limits {
    /// 4 round trips in flight, 128 items or 1 MiB in a batch, 16,384 items in the queue, a time-out of 5 s, a rest of 50 µs.
    pub const fn new() -> Self {
        Self {
            in_flight: 4,
            full: 0,
            items: 128,
            bytes: 1 << 20,
            queue: 16_384,
            timeout: Duration::from_secs(5),
            rest: Duration::from_micros(50),
            carried: false,
        }
    }

    /// How many round trips may be under way at once; 0 counts as 1. [`Workers`] have one per thread instead.
    pub const fn in_flight(mut self, n: usize) -> Self {
        self.in_flight = at_least_one(n);
        self
    }

    /// How many round trips may be under way at once while a full batch waits, if more than [`in_flight`](Self::in_flight). Default: no more.
    ///
    /// Few batches at a time are large ones, which is cheaper as long as they can become larger.
    pub const fn full(mut self, n: usize) -> Self {
        self.full = n;
        self
    }

    /// How many items go into one batch; 0 counts as 1.
    pub const fn items(mut self, n: usize) -> Self {
        self.items = at_least_one(n);
        self
    }

    /// How many bytes go into one batch, by [`Item::len`]. A single item that is longer goes alone.
    pub const fn bytes(mut self, n: usize) -> Self {
        self.bytes = n;
        self
    }

    /// How many items may wait; 0 counts as 1. Further calls wait for room, within their time-out.
    pub const fn queue(mut self, n: usize) -> Self {
        self.queue = at_least_one(n);
        self
    }

    /// How long a call may take, waiting included, before it answers
    /// [`Unavailable`](session_core::ErrorKind::Unavailable).
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long one of the threads of [`Workers`] stays awake when there is nothing more to do, 0 for not at all.
    ///
    /// A call within that time need not wake it, which on a machine with little to do takes longer than a statement of SQLite.
    /// Meanwhile it gives its core to whoever wants it. A [`Batcher`] has no use for this.
    pub const fn rest(mut self, rest: Duration) -> Self {
        self.rest = rest;
        self
    }

    /// Whether the caller's own task carries out a call while there is no other, instead of a task spawned for it. Default: no.
    ///
    /// That spares two changes of task, of which one wakes a second thread where several requests follow each other.
    /// When another call comes, or the caller drops its future, the round trip goes to a task of its own, so it always ends and is never dropped half-way.
    /// Until then a caller that does not poll its future keeps what the round trip has in hands.
    /// So this is for drivers with which nobody else needs that: neither a lock nor the last connection. [`Workers`] have no use for it.
    pub const fn carried(mut self, carried: bool) -> Self {
        self.carried = carried;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

const fn at_least_one(n: usize) -> usize {
    if n == 0 { 1 } else { n }
}
