//! Queue of waiting calls, and the batches made from it. Shared by both drivers.

use std::collections::{HashSet, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use session_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;

use crate::TIMED_OUT;
use crate::batch::entrance::CLOSED;
use crate::batch::inline::{Inline, InlineCall};
use crate::batch::{Answers, Item, Limits};

const STOPPED: Error = Error::fixed(ErrorKind::Unavailable, "the batch ended without an answer");
const MISCOUNTED: Error = Error::fixed(ErrorKind::Other, "a batch has a wrong number of answers");

/// Answer to a batch whose round trip panicked.
pub(crate) const PANICKED: Error = Error::fixed(ErrorKind::Other, "a round trip panicked");

type Reply<I> = oneshot::Sender<Result<<I as Item>::Output>>;

/// A call in the queue.
pub(crate) struct Waiting<I: Item> {
    item: I,
    reply: Reply<I>,
    /// Permit for its place in the queue.
    _room: OwnedSemaphorePermit,
}

/// Items of one round trip. Item and reply of a call have the same position.
pub(crate) struct Batch<I: Item> {
    pub(crate) items: Vec<I>,
    replies: Vec<Reply<I>>,
}

/// Waiting calls, and the tasks or threads that serve them.
pub(crate) struct State<I: Item> {
    pub(crate) waiting: VecDeque<Waiting<I>>,
    /// Total length of the waiting items.
    bytes: usize,
    /// Number of tasks with a round trip in flight, or of threads that run a batch.
    pub(crate) running: usize,
    /// Number of sleeping threads that have not been woken yet.
    pub(crate) idle: usize,
    /// Whether an idle thread is awake and looks for work.
    pub(crate) looking: bool,
    /// Whether the last batch held several items.
    pub(crate) last_shared: bool,
    /// Inline work of the last call that ran in its caller's task. It may be finished.
    pub(crate) inline: Option<Arc<Inline>>,
    pub(crate) closed: bool,
}

/// The queue of one batcher on one runtime, or of all workers.
pub(crate) struct Queue<I: Item> {
    state: Mutex<State<I>>,
    pub(crate) work: Condvar,
    pub(crate) limits: Limits,
}

impl<I: Item> State<I> {
    fn push(&mut self, item: I, room: OwnedSemaphorePermit) -> oneshot::Receiver<Result<I::Output>> {
        let (reply, answer) = oneshot::channel();
        self.bytes = self.bytes.saturating_add(item.len());
        self.waiting.push_back(Waiting { item, reply, _room: room });
        answer
    }

    fn pop(&mut self) -> Option<Waiting<I>> {
        let next = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(next.item.len());
        Some(next)
    }

    fn put_back(&mut self, next: Waiting<I>) {
        self.bytes = self.bytes.saturating_add(next.item.len());
        self.waiting.push_front(next);
    }
}

impl<I: Item> Queue<I> {
    pub(crate) fn new(limits: Limits) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            bytes: 0,
            running: 0,
            idle: 0,
            looking: false,
            last_shared: false,
            inline: None,
            closed: false,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), limits }
    }

    /// Locks the state. Only pushes and pops happen under this lock, so a poisoned lock guards nothing half done.
    pub(crate) fn lock(&self) -> MutexGuard<'_, State<I>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `item` and waits for its answer, within the time-out.
    ///
    /// `started` ensures that the queue is served, and returns an inline call if this caller must do that inline. `room` bounds the
    /// queue. Each runtime has its own, because a permit may be given to a task that is no longer polled. Such a task must not
    /// hold up another runtime.
    pub(crate) async fn call<S>(&self, room: Arc<Semaphore>, item: I, started: S) -> Result<I::Output>
    where
        S: FnOnce(MutexGuard<'_, State<I>>) -> Option<InlineCall>,
    {
        self.within_time(async {
            let room = room.acquire_owned().await.map_err(|_| STOPPED)?;
            let (inline_call, mut answer) = {
                let mut state = self.lock();
                if state.closed {
                    return Err(CLOSED);
                }
                let answer = state.push(item, room);
                (started(state), answer)
            };
            let Some(inline_call) = inline_call else { return answer.await.unwrap_or(Err(STOPPED)) };
            poll_fn(|cx| {
                if !inline_call.poll(cx) {
                    return Pin::new(&mut answer).poll(cx).map(|answer| answer.unwrap_or(Err(STOPPED)));
                }
                // Not polled: a registered waker would be woken by the work that this task itself does.
                match answer.try_recv() {
                    Ok(answer) => Poll::Ready(answer),
                    Err(TryRecvError::Closed) => Poll::Ready(Err(STOPPED)),
                    Err(TryRecvError::Empty) => Poll::Pending,
                }
            })
            .await
        })
        .await
    }

    /// Queues `item` if a thread looks for work and no other item waits. Otherwise returns `item`.
    pub(crate) fn offer(&self, room: Arc<Semaphore>, item: I) -> Result<impl Future<Output = Result<I::Output>>, I> {
        let mut state = self.lock();
        let answer = match room.try_acquire_owned() {
            Ok(room) if state.looking && state.waiting.is_empty() && !state.closed => state.push(item, room),
            _ => return Err(item),
        };
        Ok(self.within_time(async { answer.await.unwrap_or(Err(STOPPED)) }))
    }

    async fn within_time(&self, answer: impl Future<Output = Result<I::Output>>) -> Result<I::Output> {
        time::timeout(self.limits.timeout, answer).await.unwrap_or(Err(TIMED_OUT))
    }

    /// Returns how many round trips may be in flight, given the items that wait now.
    pub(crate) fn in_flight(&self, state: &State<I>) -> usize {
        let Limits { in_flight, full, items, bytes, .. } = self.limits;
        let is_full = state.waiting.len() >= items || state.bytes >= bytes;
        if is_full { full.max(in_flight) } else { in_flight }
    }

    /// Takes the next batch, or returns `None` if no call waits. Drops calls whose callers have gone away.
    pub(crate) fn take(&self, state: &mut State<I>) -> Option<Batch<I>> {
        let mut batch = Batch { items: Vec::new(), replies: Vec::new() };
        let mut keys = HashSet::new();
        let mut passed_over = Vec::new();
        let mut bytes = 0usize;
        // The second condition limits the search: a long queue for one contended key would be scanned for each of its items.
        while batch.items.len() < self.limits.items && passed_over.len() < 4 * self.limits.items {
            let Some(next) = state.pop() else { break };
            if next.reply.is_closed() {
                continue;
            }
            if batch.items.first().is_some_and(|first: &I| !first.goes_with(&next.item)) {
                state.put_back(next);
                break;
            }
            let longer = bytes.saturating_add(next.item.len());
            if longer > self.limits.bytes && !batch.items.is_empty() {
                state.put_back(next);
                break;
            }
            if next.item.key().is_some_and(|key| !keys.insert(key)) {
                passed_over.push(next);
                continue;
            }
            bytes = longer;
            batch.items.push(next.item);
            batch.replies.push(next.reply);
        }
        for item in passed_over.into_iter().rev() {
            state.put_back(item);
        }
        if batch.items.is_empty() {
            return None;
        }
        state.last_shared = batch.items.len() > 1;
        Some(batch)
    }
}

/// Returns the permits for items in the queue.
pub(crate) fn room(limits: &Limits) -> Semaphore {
    Semaphore::new(limits.queue.min(Semaphore::MAX_PERMITS))
}

impl<I: Item> Batch<I> {
    /// Sends the answers to the callers. Returns the batch if it failed as a whole and held several items: they must be run one
    /// by one, because an item's fault must not fail the others.
    pub(crate) fn answer(self, answers: Answers<I>) -> Option<Self> {
        match answers {
            Ok(answers) if answers.len() == self.items.len() => {
                for (reply, answer) in self.replies.into_iter().zip(answers) {
                    // A caller that has gone away is no error.
                    let _ = reply.send(answer);
                }
                None
            }
            Ok(_) => self.fail(MISCOUNTED),
            Err(_) if self.items.len() > 1 => Some(self),
            Err(error) => self.fail(error),
        }
    }

    fn fail(self, error: Error) -> Option<Self> {
        for reply in self.replies {
            let _ = reply.send(Err(error.clone()));
        }
        None
    }

    /// Splits the batch into batches of one item, without items whose callers have gone away.
    pub(crate) fn one_by_one(self) -> impl Iterator<Item = Self> {
        let pairs = self.items.into_iter().zip(self.replies);
        let wanted = pairs.filter(|(_, reply)| !reply.is_closed());
        wanted.map(|(item, reply)| Self { items: vec![item], replies: vec![reply] })
    }
}
