//! Batches run by threads, for drivers that block.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::thread;

use session_core::{Error, ErrorKind, Result};

use crate::queue::{PANICKED, Queue};
use crate::{Answers, Item, Limits};

/// What a thread of [`Workers`] owns, a connection for instance, and how it runs a batch.
pub trait Worker: Send + 'static {
    /// What one call carries.
    type Item: Item;

    /// Runs a batch of at least one item, blocking. [`RoundTrip::run`](crate::RoundTrip::run) says what is expected of it.
    fn run(&mut self, items: &[Self::Item]) -> Answers<Self::Item>;
}

/// Concurrent calls in, batches out, on threads of their own. See the [crate's documentation](crate).
///
/// When it is dropped the threads run what waits already, and end.
pub struct Workers<I: Item>(Arc<Queue<I>>);

impl<I: Item> Workers<I> {
    /// Starts a thread named `name` for each of `workers`.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] when the system gives no thread.
    pub fn start<W>(name: &str, workers: impl IntoIterator<Item = W>, limits: Limits) -> Result<Self>
    where
        W: Worker<Item = I>,
    {
        let this = Self(Arc::new(Queue::new(limits)));
        for worker in workers {
            let queue = Arc::clone(&this.0);
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
        let queue = &self.0;
        queue
            .call(item, |mut state| {
                if state.idle > 0 {
                    state.idle -= 1;
                    drop(state);
                    queue.work.notify_one();
                }
            })
            .await
    }
}

impl<I: Item> Drop for Workers<I> {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_all();
    }
}

impl<I: Item> fmt::Debug for Workers<I> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Workers").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

fn work<W: Worker>(queue: &Queue<W::Item>, mut worker: W) {
    loop {
        let batch = {
            let mut state = queue.lock();
            loop {
                if let Some(batch) = queue.take(&mut state) {
                    break batch;
                }
                if state.closed {
                    return;
                }
                state.idle += 1;
                state = queue.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        let answers = run(&mut worker, &batch.items);
        if let Some(failed) = batch.answer(answers) {
            for single in failed.one_by_one() {
                let answers = run(&mut worker, &single.items);
                single.answer(answers);
            }
        }
    }
}

/// A panic is an error like any other: the calls behind it still have their turn.
fn run<W: Worker>(worker: &mut W, items: &[W::Item]) -> Answers<W::Item> {
    catch_unwind(AssertUnwindSafe(|| worker.run(items))).unwrap_or(Err(PANICKED))
}
