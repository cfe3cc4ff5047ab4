//! Batches that threads run, for blocking drivers.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use session_core::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use crate::batch::queue::{self, Batch, PANICKED, Queue, State};
use crate::batch::{Answers, Entrance, Item, Limits, PerRuntime};

/// State that a thread of [`Workers`] owns, such as a connection, and the code that runs a batch.
pub trait Worker: Send + 'static {
    /// Item of one call.
    type Item: Item;

    /// Runs a batch of at least one item, blocking. The requirements are those of [`RoundTrip::run`](crate::batch::RoundTrip::run).
    fn run(&mut self, items: &[Self::Item]) -> Answers<Self::Item>;
}

/// Groups concurrent calls into batches, which run on a fixed set of threads. See the [module's documentation](crate::batch).
///
/// All tokio runtimes share the threads. Each runtime has its own part of the queue.
/// When the value is dropped, the threads run the items that already wait, and end.
pub struct Workers<I: Item> {
    queue: Arc<Queue<I>>,
    room: PerRuntime<Semaphore>,
    /// Each thread is inside until it has dropped its worker.
    threads: Entrance,
}

impl<I: Item> Workers<I> {
    /// Starts a thread named `name` for each of `workers`.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if the system cannot start a thread.
    pub fn start<W>(name: &str, workers: impl IntoIterator<Item = W>, limits: Limits) -> Result<Self>
    where
        W: Worker<Item = I>,
    {
        let queue = Arc::new(Queue::new(limits.clone()));
        let room = PerRuntime::new(move || Ok(queue::room(&limits)));
        let this = Self { queue, room, threads: Entrance::default() };
        for worker in workers {
            let (queue, pass) = (Arc::clone(&this.queue), this.threads.enter()?);
            let work = move || {
                work(&queue, worker);
                drop(pass);
            };
            thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| {
                Error::fixed(ErrorKind::Other, "the system cannot start a thread for a worker").with_source(&error)
            })?;
        }
        Ok(this)
    }

    /// Sends `item` with the next batch and waits for its answer.
    ///
    /// Dropping the future withdraws an item that still waits. The batch of an item in flight completes.
    ///
    /// # Errors
    /// The worker's error for this item, or
    /// [`Unavailable`](session_core::ErrorKind::Unavailable) if there is no answer within the time-out, waiting included.
    ///
    /// # Panics
    /// Outside a tokio runtime with time enabled.
    pub async fn call(&self, item: I) -> Result<I::Output> {
        let (queue, room) = (&self.queue, self.room.get()?);
        queue
            .call(room, item, |mut state| {
                if state.idle > 0 && !state.looking {
                    state.idle -= 1;
                    drop(state);
                    queue.work.notify_one();
                }
                None
            })
            .await
    }

    /// Ends the threads: later calls return [`CLOSED`](crate::batch::CLOSED), the items that already wait are run, and each thread drops its
    /// [`Worker`]. Returns when the last thread has done so.
    pub async fn close(&self) {
        self.end();
        self.threads.close().await;
    }

    fn end(&self) {
        self.queue.lock().closed = true;
        self.queue.work.notify_all();
    }

    /// Whether a batch is running or an item waits.
    pub fn is_busy(&self) -> bool {
        let state = self.queue.lock();
        state.running > 0 || !state.waiting.is_empty()
    }

    /// Like [`call`](Self::call), if a thread is awake with nothing to do and no other item waits. Otherwise returns `item`.
    ///
    /// Such a call starts at once, before any later call.
    ///
    /// # Errors
    /// `item`, which was not sent. The future returns the errors of [`call`](Self::call).
    pub fn try_call(&self, item: I) -> Result<impl Future<Output = Result<I::Output>>, I> {
        match self.room.get() {
            Ok(room) => self.queue.offer(room, item),
            Err(_) => Err(item),
        }
    }
}

impl<I: Item> Drop for Workers<I> {
    fn drop(&mut self) {
        self.end();
    }
}

impl<I: Item> fmt::Debug for Workers<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("limits", &self.queue.limits).finish_non_exhaustive()
    }
}

fn work<W: Worker>(queue: &Queue<W::Item>, mut worker: W) {
    while let Some(batch) = next(queue) {
        let answers = run(&mut worker, &batch.items);
        // Before the callers are answered: a caller that calls again at once must not find the thread busy with a finished batch.
        queue.lock().running -= 1;
        for single in batch.answer(answers) {
            if let Some(single) = single.wanted(tokio::time::Instant::now()) {
                let single = Batch::of(single, true);
                let answers = run(&mut worker, &single.items);
                single.answer(answers);
            }
        }
    }
}

/// Waits for calls and takes the next batch. Returns `None` once the queue is closed and empty.
fn next<I: Item>(queue: &Queue<I>) -> Option<Batch<I>> {
    let mut state = queue.lock();
    loop {
        state = look(queue, state);
        if let Some(batch) = queue.take(&mut state) {
            state.running += 1;
            // For the calls outside this batch: while this thread looked for work, they woke no other.
            if state.idle > 0 && !state.waiting.is_empty() {
                state.idle -= 1;
                queue.work.notify_one();
            }
            return Some(batch);
        }
        if state.closed {
            return None;
        }
        state.idle += 1;
        state = queue.work.wait(state).unwrap_or_else(PoisonError::into_inner);
    }
}

/// Stays awake for a while when no call waits, because waking a thread takes longer than most statements.
/// Only one thread does so, because several would only take turns.
fn look<'a, I: Item>(queue: &'a Queue<I>, mut state: MutexGuard<'a, State<I>>) -> MutexGuard<'a, State<I>> {
    if state.looking || !state.waiting.is_empty() {
        return state;
    }
    let start = Instant::now();
    state.looking = true;
    while state.waiting.is_empty() && !state.closed && start.elapsed() < queue.limits.rest {
        drop(state);
        // Lets other threads use this core.
        thread::yield_now();
        state = queue.lock();
    }
    state.looking = false;
    state
}

/// Runs a batch. A panic is the answer to all of its items, which may have had an effect. The calls behind them are still served.
fn run<W: Worker>(worker: &mut W, items: &[W::Item]) -> Answers<W::Item> {
    catch_unwind(AssertUnwindSafe(|| worker.run(items)))
        .unwrap_or_else(|_| Ok(items.iter().map(|_| Err(PANICKED)).collect()))
}
