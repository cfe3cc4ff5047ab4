//! Batches run by threads, for drivers that block.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

use session_core::{Error, ErrorKind, Result};
use tokio::sync::Semaphore;

use crate::queue::{self, Batch, PANICKED, Queue, State};
use crate::{Answers, Item, Limits, PerRuntime};

/// What a thread of [`Workers`] owns, a connection for instance, and how it runs a batch.
pub trait Worker: Send + 'static {
    /// What one call carries.
    type Item: Item;

    /// Runs a batch of at least one item, blocking. [`RoundTrip::run`](crate::RoundTrip::run) says what is expected of it.
    fn run(&mut self, items: &[Self::Item]) -> Answers<Self::Item>;
}

/// Concurrent calls in, batches out, on threads of their own. See the [crate's documentation](crate).
///
/// Tokio runtimes share the threads, and each has its own part of the queue.
/// When it is dropped the threads run what waits already, and end.
pub struct Workers<I: Item> {
    queue: Arc<Queue<I>>,
    room: PerRuntime<Semaphore>,
}

impl<I: Item> Workers<I> {
    /// Starts a thread named `name` for each of `workers`.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] when the system gives no thread.
    pub fn start<W>(name: &str, workers: impl IntoIterator<Item = W>, limits: Limits) -> Result<Self>
    where
        W: Worker<Item = I>,
    {
        let queue = Arc::new(Queue::new(limits.clone()));
        let this = Self { queue, room: PerRuntime::new(move || Ok(queue::room(&limits))) };
        for worker in workers {
            let queue = Arc::clone(&this.queue);
            thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || work(&queue, worker))
                .map_err(|error| Error::fixed(ErrorKind::Other, "no thread for a worker").with_source(&error))?;
        }
        Ok(this)
    }

    /// Sends `item` with the next batch and waits for its answer.
    ///
    /// Dropping the future withdraws an item that still waits; one that is under way goes on to its end.
    ///
    /// # Errors
    /// What the worker answers for this item;
    /// [`Unavailable`](session_core::ErrorKind::Unavailable) when there is no answer within the time-out, waiting included.
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

    /// Whether a batch is being run or waits to be.
    pub fn is_busy(&self) -> bool {
        let state = self.queue.lock();
        state.running > 0 || !state.waiting.is_empty()
    }

    /// As [`call`](Self::call), if a thread is awake with nothing to do and nobody else waits for it; otherwise gives `item` back.
    ///
    /// So the call is begun at once and goes first, whatever comes behind it.
    ///
    /// # Errors
    /// `item`, which was not sent. The future answers what [`call`](Self::call) does.
    pub fn try_call(&self, item: I) -> Result<impl Future<Output = Result<I::Output>>, I> {
        match self.room.get() {
            Ok(room) => self.queue.offer(room, item),
            Err(_) => Err(item),
        }
    }
}

impl<I: Item> Drop for Workers<I> {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.work.notify_all();
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
        // Before the callers are answered: who calls again at once must not find it busy with what it was told is done.
        queue.lock().running -= 1;
        if let Some(failed) = batch.answer(answers) {
            for single in failed.one_by_one() {
                let answers = run(&mut worker, &single.items);
                single.answer(answers);
            }
        }
    }
}

/// What waits, once something does; `None` when nobody will call any more.
fn next<I: Item>(queue: &Queue<I>) -> Option<Batch<I>> {
    let mut state = queue.lock();
    loop {
        state = look(queue, state);
        if let Some(batch) = queue.take(&mut state) {
            state.running += 1;
            // Those who left it to this thread, which looked for work, and did not get into its batch.
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

/// Stays awake for a while where nothing is to be done: to be woken would take longer than most statements do.
/// One does so for all; several would only take turns.
fn look<'a, I: Item>(queue: &'a Queue<I>, mut state: MutexGuard<'a, State<I>>) -> MutexGuard<'a, State<I>> {
    if state.looking || !state.waiting.is_empty() {
        return state;
    }
    let start = Instant::now();
    state.looking = true;
    while state.waiting.is_empty() && !state.closed && start.elapsed() < queue.limits.rest {
        drop(state);
        // Whoever else wants this core has it.
        thread::yield_now();
        state = queue.lock();
    }
    state.looking = false;
    state
}

/// A panic is an error like any other: the calls behind it still have their turn.
fn run<W: Worker>(worker: &mut W, items: &[W::Item]) -> Answers<W::Item> {
    catch_unwind(AssertUnwindSafe(|| worker.run(items))).unwrap_or(Err(PANICKED))
}
