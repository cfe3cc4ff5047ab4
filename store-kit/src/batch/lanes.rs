//! Waiting calls, in the order in which batches take them.

use std::collections::VecDeque;
use std::collections::hash_map::{Entry, HashMap};

use session_core::{Result, StoreKey};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::TIMED_OUT;
use crate::batch::Item;
use crate::mutant::{self, Mutant};

/// A caller in the queue or of a batch.
pub(crate) struct Caller<I: Item> {
    reply: oneshot::Sender<Result<I::Output>>,
    /// Time at which it gives up.
    pub(crate) deadline: Instant,
}

impl<I: Item> Caller<I> {
    pub(crate) const fn new(reply: oneshot::Sender<Result<I::Output>>, deadline: Instant) -> Self {
        Self { reply, deadline }
    }

    pub(crate) fn answer(self, answer: Result<I::Output>) {
        // A caller that has gone away is no error.
        let _ = self.reply.send(answer);
    }
}

/// A call that waits.
pub(crate) struct Waiting<I: Item> {
    pub(crate) item: I,
    pub(crate) caller: Caller<I>,
    /// Permit for its place in the queue. A call that has left the queue and waits again has none.
    pub(crate) _room: Option<OwnedSemaphorePermit>,
}

impl<I: Item> Waiting<I> {
    /// Whether the caller still waits at `now`. Otherwise the call is not sent any more.
    fn is_wanted(&self, now: Instant) -> bool {
        let gone = self.caller.reply.is_closed() && !mutant::is(Mutant::SendsForNoCaller);
        let late = self.caller.deadline <= now && !mutant::is(Mutant::SendsLate);
        !gone && !late
    }

    /// Returns the call if its caller still waits at `now`. Otherwise answers it, because it is not sent any more.
    pub(crate) fn wanted(self, now: Instant) -> Option<Self> {
        if self.is_wanted(now) {
            return Some(self);
        }
        self.caller.answer(Err(TIMED_OUT));
        None
    }
}

/// Waiting calls in the order of arrival, except that only one call of each key is in line.
///
/// The next call of the key lines up when a batch has taken the one before it. So a key with many calls takes one place of each
/// batch, and the calls of other keys do not wait for them.
pub(crate) struct Lanes<I: Item> {
    line: VecDeque<Waiting<I>>,
    /// For each key in `line`, its further calls.
    behind: HashMap<StoreKey, VecDeque<Waiting<I>>>,
    /// Total length of the items in `line`.
    bytes: usize,
}

impl<I: Item> Lanes<I> {
    pub(crate) fn new() -> Self {
        Self { line: VecDeque::new(), behind: HashMap::new(), bytes: 0 }
    }

    /// Whether no call waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Returns the number of calls that one batch could take if it had no bounds, and their total length.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.line.len(), self.bytes)
    }

    pub(crate) fn push(&mut self, call: Waiting<I>) {
        if let Some(key) = call.item.key().filter(|_| !mutant::is(Mutant::SendsAKeyTwice)) {
            match self.behind.entry(key) {
                Entry::Occupied(mut behind) => return behind.get_mut().push_back(call),
                Entry::Vacant(none) => none.insert(VecDeque::new()),
            };
        }
        self.bytes = self.bytes.saturating_add(call.item.len());
        self.line.push_back(call);
    }

    /// Takes the first call whose caller still waits at `now`, unless it does not fit. The further calls of its key stay behind
    /// until [`line_up`](Self::line_up).
    pub(crate) fn pop(&mut self, now: Instant, fits: impl FnOnce(&Waiting<I>) -> bool) -> Option<Waiting<I>> {
        loop {
            let first = self.line.front()?;
            if first.is_wanted(now) {
                return if fits(first) { self.pop_front() } else { None };
            }
            let key = first.item.key();
            self.pop_front()?.wanted(now);
            if let Some(next) = key.and_then(|key| self.next_of(key)) {
                self.bytes = self.bytes.saturating_add(next.item.len());
                self.line.push_front(next);
            }
        }
    }

    fn pop_front(&mut self) -> Option<Waiting<I>> {
        let first = self.line.pop_front()?;
        self.bytes = self.bytes.saturating_sub(first.item.len());
        Some(first)
    }

    /// Moves the next call of `key` to the end of the line, after one was popped.
    pub(crate) fn line_up(&mut self, key: StoreKey) {
        if let Some(next) = self.next_of(key) {
            self.bytes = self.bytes.saturating_add(next.item.len());
            self.line.push_back(next);
        }
    }

    fn next_of(&mut self, key: StoreKey) -> Option<Waiting<I>> {
        let Entry::Occupied(mut behind) = self.behind.entry(key) else { return None };
        let next = behind.get_mut().pop_front();
        if next.is_none() {
            behind.remove();
        }
        next
    }
}
