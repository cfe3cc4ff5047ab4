//! Queue of waiting calls, and the batches made from it. Shared by both drivers.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use session_core::{Error, ErrorKind, Result};
use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{self, Instant};

use crate::TIMED_OUT;
use crate::batch::entrance::CLOSED;
use crate::batch::inline::{Inline, InlineCall};
use crate::batch::lanes::{Caller, Lanes, Waiting};
use crate::batch::{Answers, Item, Limits, Trip, Undone};
use crate::mutant::{self, Mutant};

const STOPPED: Error = Error::fixed(ErrorKind::Unavailable, "the batch ended without an answer");
const MISCOUNTED: Error = Error::fixed(ErrorKind::Other, "a batch has a wrong number of answers");

/// Answer to a batch whose round trip panicked.
pub(crate) const PANICKED: Error = Error::fixed(ErrorKind::Other, "a round trip panicked");

/// Items of one round trip. Item and caller of a call have the same position.
pub(crate) struct Batch<I: Item> {
    pub(crate) items: Vec<I>,
    callers: Vec<Caller<I>>,
    pub(crate) trip: Trip,
}

/// Waiting calls, and the tasks or threads that serve them.
pub(crate) struct State<I: Item> {
    pub(crate) waiting: Lanes<I>,
    /// Calls that their batch could not run. Each is run on its own.
    aside: VecDeque<Waiting<I>>,
    /// Number of tasks with a round trip in flight, or of threads that run a batch.
    pub(crate) running: usize,
    /// Number of tasks that run a call of `aside`.
    pub(crate) alone: usize,
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
    fn push(&mut self, item: I, room: OwnedSemaphorePermit, deadline: Instant) -> oneshot::Receiver<Result<I::Output>> {
        let (reply, answer) = oneshot::channel();
        self.waiting.push(Waiting { item, caller: Caller::new(reply, deadline), _room: Some(room) });
        answer
    }
}

impl<I: Item> Queue<I> {
    pub(crate) fn new(limits: Limits) -> Self {
        let state = State {
            waiting: Lanes::new(),
            aside: VecDeque::new(),
            running: 0,
            alone: 0,
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
        let deadline = Instant::now() + self.limits.timeout;
        within_time(deadline, async {
            let room = room.acquire_owned().await.map_err(|_| STOPPED)?;
            let (inline_call, mut answer) = {
                let mut state = self.lock();
                if state.closed {
                    return Err(CLOSED);
                }
                let answer = state.push(item, room, deadline);
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
        let deadline = Instant::now() + self.limits.timeout;
        let mut state = self.lock();
        let answer = match room.try_acquire_owned() {
            Ok(room) if state.looking && state.waiting.is_empty() && !state.closed => state.push(item, room, deadline),
            _ => return Err(item),
        };
        Ok(within_time(deadline, async { answer.await.unwrap_or(Err(STOPPED)) }))
    }

    /// Returns how many round trips may be in flight, given the items that wait now.
    pub(crate) fn in_flight(&self, state: &State<I>) -> usize {
        let Limits { in_flight, full, items, bytes, .. } = self.limits;
        let (calls, total) = state.waiting.size();
        let is_full = calls >= items || total >= bytes;
        if is_full { full.max(in_flight) } else { in_flight }
    }

    /// Takes the next batch, or returns `None` if no call waits. Drops calls whose callers have gone away.
    ///
    /// The batch ends when its first caller gives up. So it holds no call that has more than twice as much time left.
    pub(crate) fn take(&self, state: &mut State<I>) -> Option<Batch<I>> {
        let now = Instant::now();
        let first = state.waiting.pop(now, |_| true)?;
        let (mut bytes, mut last) = (first.item.len(), first.caller.deadline);
        // Deadlines after this one do not go with the batch. It changes only if a call gives up before those that came before it.
        let mut latest = twice(now, last);
        let further = state.waiting.size().0.min(self.limits.items.saturating_sub(1));
        let mut batch = Batch::of(first, false);
        batch.items.reserve(further);
        batch.callers.reserve(further);
        while batch.items.len() < self.limits.items {
            let first = batch.trip.deadline;
            let next = state.waiting.pop(now, |next| {
                let deadline = next.caller.deadline;
                let in_time = if deadline < first { last <= twice(now, deadline) } else { deadline <= latest };
                bytes.saturating_add(next.item.len()) <= self.limits.bytes
                    && (in_time || mutant::is(Mutant::MixesDeadlines))
                    && batch.items[0].goes_with(&next.item)
            });
            let Some(Waiting { item, caller, .. }) = next else { break };
            bytes = bytes.saturating_add(item.len());
            last = last.max(caller.deadline);
            if caller.deadline < first {
                (batch.trip.deadline, latest) = (caller.deadline, twice(now, caller.deadline));
            }
            if mutant::is(Mutant::EndsWithTheLastCaller) {
                batch.trip.deadline = last;
            }
            batch.items.push(item);
            batch.callers.push(caller);
        }
        let left_behind = mutant::is(Mutant::LeavesTheNextBehind);
        for key in batch.items.iter().filter_map(Item::key).filter(|_| !left_behind) {
            state.waiting.line_up(key);
        }
        state.last_shared = batch.items.len() > 1;
        Some(batch)
    }

    /// Sets aside calls that their batch could not run. Returns how many more tasks should run them.
    pub(crate) fn set_aside(&self, undone: Vec<Waiting<I>>) -> usize {
        if undone.is_empty() {
            return 0;
        }
        let mut state = self.lock();
        state.aside.extend(undone);
        if mutant::is(Mutant::ForgetsWhatIsAside) {
            return 0;
        }
        let limit = if mutant::is(Mutant::RunsManyAlone) { usize::MAX } else { self.limits.alone };
        let more = limit.saturating_sub(state.alone).min(state.aside.len());
        state.alone += more;
        more
    }

    /// Takes a call that was set aside, or returns `None` if there is none. Drops calls whose callers have gone away.
    pub(crate) fn take_aside(state: &mut State<I>) -> Option<Batch<I>> {
        let now = Instant::now();
        while let Some(next) = state.aside.pop_front() {
            if let Some(next) = next.wanted(now) {
                return Some(Batch::of(next, true));
            }
        }
        None
    }
}

/// Returns the time that is twice as far from `now` as `deadline`.
fn twice(now: Instant, deadline: Instant) -> Instant {
    deadline + deadline.saturating_duration_since(now)
}

async fn within_time<T>(deadline: Instant, answer: impl Future<Output = Result<T>>) -> Result<T> {
    time::timeout_at(deadline, answer).await.unwrap_or(Err(TIMED_OUT))
}

/// Returns the permits for items in the queue.
pub(crate) fn room(limits: &Limits) -> Semaphore {
    Semaphore::new(limits.queue.min(Semaphore::MAX_PERMITS))
}

impl<I: Item> Batch<I> {
    /// Returns a batch of one call.
    pub(crate) fn of(Waiting { item, caller, .. }: Waiting<I>, alone: bool) -> Self {
        let trip = Trip::new(caller.deadline, alone);
        Self { items: vec![item], callers: vec![caller], trip }
    }

    /// Sends the answers to the callers. Returns the calls that certainly had no effect and must be run on their own, because an
    /// item's fault must not fail the others.
    pub(crate) fn answer(self, answers: Answers<I>) -> Vec<Waiting<I>> {
        let count = self.items.len();
        let (error, answers) = match answers {
            Ok(answers) if answers.len() == count => {
                // One after the other and before the items are dropped, so that the first caller's thread finds the others ready.
                self.callers.into_iter().zip(answers).for_each(|(caller, answer)| caller.answer(answer));
                return Vec::new();
            }
            Ok(_) => (MISCOUNTED, Vec::new()),
            Err(Undone { error, answers }) if answers.is_empty() && count == 1 => (MISCOUNTED, vec![Some(Err(error))]),
            Err(Undone { error, answers }) if answers.is_empty() => {
                (error, std::iter::repeat_with(|| None).take(count).collect())
            }
            Err(Undone { error, answers }) => (error, answers),
        };
        if answers.len() != count {
            self.callers.into_iter().for_each(|caller| caller.answer(Err(MISCOUNTED)));
            return Vec::new();
        }
        let runs_all_again = mutant::is(Mutant::RunsAllAgain) && answers.iter().any(Option::is_none);
        let mut undone = Vec::new();
        for ((item, caller), answer) in self.items.into_iter().zip(self.callers).zip(answers) {
            match answer {
                Some(answer) if !runs_all_again => caller.answer(answer),
                None if self.trip.alone && !mutant::is(Mutant::SetsAsideForEver) => caller.answer(Err(error.clone())),
                _ => undone.push(Waiting { item, caller, _room: None }),
            }
        }
        undone
    }
}
