//! Batches that tasks run, for asynchronous drivers.

use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::{Arc, MutexGuard};
use std::task::Poll;

use session_core::Result;
use tokio::sync::Semaphore;
use tokio::task;
use tokio::time::Instant;

use crate::batch::inline::{Inline, InlineCall};
use crate::batch::queue::{self, Batch, PANICKED, Queue, State};
use crate::batch::{Answers, Entrance, Item, Limits, Pass, PerRuntime, Trip};
use crate::mutant::{self, Mutant};

/// Runs a batch as one statement, pipeline or request.
pub trait RoundTrip<I: Item>: Send + Sync + 'static {
    /// Runs a batch of at least one item. `trip` says how long it may take.
    ///
    /// - A batch of one item should take the plain path, because most batches of a quiet service hold one item.
    /// - An error that concerns one item belongs to that item; an error of the connection belongs to the batch.
    /// - [`Undone`](crate::batch::Undone) means that all or some of the items certainly had no effect. They are run again, each
    ///   in a batch of its own, a few at a time, while other batches go on. If the reply may have been lost, answer each write in it
    ///   with `Unavailable`. A retry could report a false `Conflict` if another save followed, and the caller would apply its
    ///   change twice.
    /// - An item that meets a lock should be left undone and not wait, because the calls behind it would wait as well.
    /// - It must end on its own, soon after the deadline at the latest. It is never dropped half-way, because few drivers can be
    ///   cancelled safely. Until it ends, it counts as in flight.
    fn run(&self, items: &[I], trip: Trip) -> impl Future<Output = Answers<I>> + Send;
}

/// Runs each batch on the value of the calling runtime.
impl<I: Item, R: RoundTrip<I>> RoundTrip<I> for PerRuntime<R> {
    async fn run(&self, items: &[I], trip: Trip) -> Answers<I> {
        let own = self.get()?;
        own.run(items, trip).await
    }
}

/// Groups concurrent calls into batches, each of which is one [`RoundTrip`] in a task. See the [module's documentation](crate::batch).
///
/// Each calling tokio runtime has its own queue and runs its own batches. The limits apply to each runtime separately.
/// So calls never wait for an idle runtime. Connections should be kept per runtime, too; see [`PerRuntime`].
pub struct Batcher<R, I: Item>(Arc<Inner<R, I>>);

struct Inner<R, I: Item> {
    round_trip: R,
    limits: Limits,
    queues: PerRuntime<Own<I>>,
    inside: Arc<Entrance>,
}

/// Queue of one runtime. Each call and each round trip keeps it, and so it keeps the batcher from being closed.
struct Own<I: Item> {
    queue: Queue<I>,
    room: Arc<Semaphore>,
    _pass: Pass,
}

/// Waits for the calls of a batcher that lets no further call in. Made by [`Batcher::close`].
#[derive(Debug)]
#[must_use = "the calls in flight go on"]
pub struct Closing {
    inside: Arc<Entrance>,
    until: Instant,
}

impl Closing {
    /// Returns when no call is in flight, or when the time-out of the last one is over.
    pub async fn ended(self) {
        self.inside.close_by(self.until).await;
    }
}

impl<I: Item, R: RoundTrip<I>> Batcher<R, I> {
    /// Returns a batcher that runs its batches by `round_trip`.
    pub fn new(round_trip: R, limits: Limits) -> Self {
        let (for_each, inside) = (limits.clone(), Arc::new(Entrance::default()));
        let entrance = Arc::clone(&inside);
        let queues = PerRuntime::new(move || {
            let (queue, room) = (Queue::new(for_each.clone()), Arc::new(queue::room(&for_each)));
            let pass =
                if mutant::is(Mutant::ClosesBesideCalls) { Entrance::default().enter() } else { entrance.enter() };
            Ok(Own { queue, room, _pass: pass? })
        });
        Self(Arc::new(Inner { round_trip, limits, queues, inside }))
    }

    /// Sends `item` with the next batch and waits for its answer.
    ///
    /// Dropping the future withdraws an item that still waits. The round trip of an item in flight completes.
    ///
    /// # Errors
    /// The round trip's error for this item, or
    /// [`Unavailable`](session_core::ErrorKind::Unavailable) if there is no answer within the time-out, waiting included, and after
    /// [`close`](Self::close).
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn call(&self, item: I) -> Result<I::Output> {
        let own = self.0.queues.get()?;
        own.queue.call(Arc::clone(&own.room), item, |state| Inner::work(&self.0, &own, state)).await
    }

    /// Lets no further call in: later calls, on every runtime, return [`CLOSED`](crate::batch::CLOSED). Calls that wait or are in
    /// flight go on.
    ///
    /// A store closes all its batchers, waits for each, and then closes its connections.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn close(&self) -> Closing {
        if !mutant::is(Mutant::LetsInAfterClosing) {
            drop(self.0.queues.close());
        }
        Closing { inside: Arc::clone(&self.0.inside), until: Instant::now() + self.0.limits.timeout }
    }

    /// Returns the round trip that runs the batches.
    pub fn round_trip(&self) -> &R {
        &self.0.round_trip
    }
}

impl<R, I: Item> Clone for Batcher<R, I> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<R, I: Item> fmt::Debug for Batcher<R, I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl<I: Item, R: RoundTrip<I>> Inner<R, I> {
    /// Ensures that a runner is active for the queued item. Returns the inline call if the caller must run it inline.
    fn work(this: &Arc<Self>, own: &Arc<Own<I>>, mut state: MutexGuard<'_, State<I>>) -> Option<InlineCall> {
        // A second call ends inline execution of the first.
        let earlier = state.inline.take();
        let may_run = state.running < own.queue.in_flight(&state);
        let alone = state.running == 0 && !state.last_shared;
        state.running += usize::from(may_run);
        let run = || Runner::new(this, own, false).run();
        if alone && this.limits.inline {
            let inline = Inline::new(run());
            state.inline = Some(Arc::clone(&inline));
            return Some(InlineCall(inline));
        }
        drop(state);
        if let Some(earlier) = earlier.filter(|_| !mutant::is(Mutant::KeepsWorkInline)) {
            earlier.hand_over();
        }
        if may_run {
            task::spawn(run());
        }
        None
    }

    /// Runs a round trip and answers its callers.
    async fn travel(this: &Arc<Self>, own: &Arc<Own<I>>, batch: Batch<I>) {
        let answers = this.answers(&batch).await;
        for _ in 0..own.queue.set_aside(batch.answer(answers)) {
            task::spawn(Self::run_aside(this, own));
        }
    }

    /// Runs a round trip. A panic is the answer to all of its items: they may have had an effect, so they are not run again. The
    /// calls behind them are still served.
    async fn answers(&self, batch: &Batch<I>) -> Answers<I> {
        let mut trip = pin!(self.round_trip.run(&batch.items, batch.trip));
        poll_fn(|cx| {
            catch_unwind(AssertUnwindSafe(|| trip.as_mut().poll(cx))).unwrap_or_else(|_| {
                Poll::Ready(match mutant::is(Mutant::RunsAgainAfterAPanic) {
                    true => Err(PANICKED.into()),
                    false => Ok(batch.items.iter().map(|_| Err(PANICKED)).collect()),
                })
            })
        })
        .await
    }

    /// Runs the calls that were set aside. The future is boxed because it would contain its own type: its round trips set calls
    /// aside, too.
    fn run_aside(this: &Arc<Self>, own: &Arc<Own<I>>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(Runner::new(this, own, true).run())
    }
}

/// One of the round trips in flight. Runs batches until no call waits.
struct Runner<R, I: Item> {
    inner: Arc<Inner<R, I>>,
    own: Arc<Own<I>>,
    /// Whether it runs the calls that were set aside, each on its own.
    alone: bool,
    /// Whether this runner is counted in `State::running`, or in `State::alone`.
    counted: bool,
}

impl<I: Item, R: RoundTrip<I>> Runner<R, I> {
    fn new(inner: &Arc<Inner<R, I>>, own: &Arc<Own<I>>, alone: bool) -> Self {
        Self { inner: Arc::clone(inner), own: Arc::clone(own), alone, counted: true }
    }

    async fn run(mut self) {
        while let Some(batch) = self.next().await {
            Inner::travel(&self.inner, &self.own, batch).await;
        }
        if mutant::is(Mutant::EndsLater) {
            task::yield_now().await;
        }
    }

    /// Takes the next batch, or returns `None` if no call waits.
    ///
    /// If the last batch held several items, other tasks that can run go first, so that callers just answered can call again.
    /// Without this, most batches at 32 tasks would hold one item. After a batch of one item there is no such pause.
    async fn next(&mut self) -> Option<Batch<I>> {
        if !self.alone && self.own.queue.lock().last_shared {
            task::yield_now().await;
        }
        let own = Arc::clone(&self.own);
        let queue = &own.queue;
        let mut state = queue.lock();
        // With too many runners active, this one leaves the queue to the others.
        let batch = if self.alone {
            Queue::take_aside(&mut state)
        } else if state.running > queue.in_flight(&state) && !mutant::is(Mutant::ExceedsInFlight) {
            None
        } else {
            queue.take(&mut state)
        };
        if batch.is_none() && !mutant::is(Mutant::EndsLater) {
            // Under the same lock, so that a caller that queues an item now sees that this runner has ended.
            self.uncount(&mut state);
        }
        batch
    }
}

impl<R, I: Item> Runner<R, I> {
    fn uncount(&mut self, state: &mut State<I>) {
        if !mutant::is(Mutant::CountsTheEnded) {
            *(if self.alone { &mut state.alone } else { &mut state.running }) -= 1;
        }
        self.counted = false;
    }
}

impl<R, I: Item> Drop for Runner<R, I> {
    /// Corrects the count when the runtime shuts down, because a batcher may outlive the runtime.
    fn drop(&mut self) {
        if self.counted {
            let own = Arc::clone(&self.own);
            self.uncount(&mut own.queue.lock());
        }
    }
}
