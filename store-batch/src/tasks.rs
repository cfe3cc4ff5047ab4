//! Batches run by tasks, for drivers that are asynchronous.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, MutexGuard};
use std::task::Poll;

use session_core::Result;
use tokio::sync::Semaphore;
use tokio::task::{self, JoinSet};

use crate::carried::{Carried, Carrier};
use crate::queue::{self, Batch, PANICKED, Queue, State};
use crate::{Answers, Item, Limits, PerRuntime};

/// How a batch travels: one statement, one pipeline, one request.
pub trait RoundTrip: Send + Sync + 'static {
    /// What one call carries.
    type Item: Item;

    /// Runs a batch of at least one item.
    ///
    /// - A batch of one should take the plain path: most batches of a service that is not busy are of one.
    /// - What concerns one item alone is that item's error; what concerns the connection is the batch's.
    /// - After an error for a batch of several each item comes again in a batch of its own, all at the same time. So that is an answer for a batch that
    ///   certainly had no effect. Where only the reply may have been lost, answer each write of it `Unavailable`:
    ///   run again, a save that somebody has built on meanwhile would be told `Conflict`, and its caller do it twice.
    /// - It must end by itself, soon after the time-out at the latest: it is never dropped half-way, since few drivers bear that.
    ///   Until then it counts as in flight.
    fn run(&self, items: &[Self::Item]) -> impl Future<Output = Answers<Self::Item>> + Send;
}

/// Concurrent calls in, batches out. See the [crate's documentation](crate).
///
/// Each tokio runtime that calls has a queue of its own, and its batches run there: the limits hold for each runtime by itself.
/// So calls never wait for a runtime that is idle. Connections should be kept by runtime too, see [`PerRuntime`].
pub struct Batcher<R: RoundTrip>(Arc<Inner<R>>);

struct Inner<R: RoundTrip> {
    round_trip: R,
    limits: Limits,
    queues: PerRuntime<Own<R::Item>>,
}

/// One runtime's part.
struct Own<I: Item> {
    queue: Queue<I>,
    room: Arc<Semaphore>,
}

impl<R: RoundTrip> Batcher<R> {
    /// Batches calls into `round_trip`s.
    pub fn new(round_trip: R, limits: Limits) -> Self {
        let for_each = limits.clone();
        let queues = PerRuntime::new(move || {
            Ok(Own { queue: Queue::new(for_each.clone()), room: Arc::new(queue::room(&for_each)) })
        });
        Self(Arc::new(Inner { round_trip, limits, queues }))
    }

    /// Sends `item` with the next batch and waits for its answer.
    ///
    /// Dropping the future withdraws an item that still waits; one that is under way goes on to its end.
    ///
    /// # Errors
    /// What the round trip answers for this item;
    /// [`Unavailable`](session_core::ErrorKind::Unavailable) when there is no answer within the time-out, waiting included.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn call(&self, item: R::Item) -> Result<<R::Item as Item>::Output> {
        let own = self.0.queues.get()?;
        own.queue.call(Arc::clone(&own.room), item, |state| Inner::work(&self.0, &own, state)).await
    }

    /// What the batches are run by.
    pub fn round_trip(&self) -> &R {
        &self.0.round_trip
    }
}

impl<R: RoundTrip> Clone for Batcher<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R: RoundTrip> fmt::Debug for Batcher<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl<R: RoundTrip> Inner<R> {
    /// Sees to it that somebody works, now that an item waits. The caller itself does if the answer says so.
    fn work(this: &Arc<Self>, own: &Arc<Own<R::Item>>, mut state: MutexGuard<'_, State<R::Item>>) -> Option<Carrier> {
        // Two are company.
        let earlier = state.carried.take();
        let may_run = state.running < own.queue.in_flight(&state);
        let alone = state.running == 0 && !state.in_company;
        state.running += usize::from(may_run);
        let run = || Runner { inner: Arc::clone(this), own: Arc::clone(own), counted: true }.run();
        if alone && this.limits.carried {
            let carried = Carried::new(run());
            state.carried = Some(Arc::clone(&carried));
            return Some(Carrier(carried));
        }
        drop(state);
        if let Some(earlier) = earlier {
            earlier.hand_over();
        }
        if may_run {
            task::spawn(run());
        }
        None
    }

    /// A round trip whose panic is an error like any other: the calls behind it still have their turn.
    async fn travel(&self, items: &[R::Item]) -> Answers<R::Item> {
        let mut trip = pin!(self.round_trip.run(items));
        poll_fn(|cx| catch_unwind(AssertUnwindSafe(|| trip.as_mut().poll(cx))).unwrap_or(Poll::Ready(Err(PANICKED))))
            .await
    }
}

/// One of the round trips in flight: runs batches until none waits.
struct Runner<R: RoundTrip> {
    inner: Arc<Inner<R>>,
    own: Arc<Own<R::Item>>,
    /// Whether it is among `State::running`.
    counted: bool,
}

impl<R: RoundTrip> Runner<R> {
    async fn run(mut self) {
        while let Some(batch) = self.next().await {
            let answers = self.inner.travel(&batch.items).await;
            if let Some(failed) = batch.answer(answers) {
                self.each_alone(failed).await;
            }
        }
    }

    /// All at once: one that waits for somebody's lock must not use up the others' time.
    async fn each_alone(&self, failed: Batch<R::Item>) {
        let mut alone = JoinSet::new();
        for single in failed.one_by_one() {
            let inner = Arc::clone(&self.inner);
            alone.spawn(async move {
                let answers = inner.travel(&single.items).await;
                single.answer(answers);
            });
        }
        while alone.join_next().await.is_some() {}
    }

    /// What waits by now, or `None` when nothing does any more.
    ///
    /// Where calls come in company, whoever can run does so first: those whose callers have just been answered come along.
    /// Without that most batches at 32 tasks would be of one. Where they come one by one, nothing is waited for.
    async fn next(&mut self) -> Option<Batch<R::Item>> {
        if self.own.queue.lock().in_company {
            task::yield_now().await;
        }
        let queue = &self.own.queue;
        let mut state = queue.lock();
        // One more than there should be by now leaves what waits to the others.
        let one_too_many = state.running > queue.in_flight(&state);
        let batch = if one_too_many { None } else { queue.take(&mut state) };
        if batch.is_none() {
            // Under the same lock: whoever queues an item now must see that nobody is there to take it.
            state.running -= 1;
            self.counted = false;
        }
        batch
    }
}

impl<R: RoundTrip> Drop for Runner<R> {
    /// When the runtime shuts down under it. A batcher that outlives one runtime works in the next.
    fn drop(&mut self) {
        if self.counted {
            self.own.queue.lock().running -= 1;
        }
    }
}
