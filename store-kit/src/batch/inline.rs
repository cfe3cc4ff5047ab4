//! Inline execution: a call that is alone runs in its caller's task until another call arrives.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::runtime::Handle;

use crate::mutant::{self, Mutant};

/// Runs batches until no call waits.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Inline work, shared by its caller and the queue. The next call moves it to a task of its own, so that no call waits for a
/// caller that has stopped polling.
pub(crate) struct Inline {
    held: Mutex<Held>,
    runtime: Handle,
}

enum Held {
    /// Waiting between two polls, with the waker of its caller.
    Waits(Work, Waker),
    /// Being polled by its caller.
    Polled,
    /// Being polled by its caller, and to be moved to a task of its own afterwards.
    Wanted,
    /// Finished, or moved to a task of its own.
    Gone,
}

impl Inline {
    /// Makes inline work in the caller's runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(work: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let held = Held::Waits(Box::pin(work), Waker::noop().clone());
        Arc::new(Self { held: Mutex::new(held), runtime: Handle::current() })
    }

    /// Moves the work to a task of its own, unless it is finished or has been moved already.
    pub(crate) fn hand_over(&self) {
        let mut held = self.lock();
        match mem::replace(&mut *held, Held::Gone) {
            Held::Waits(work, caller) => {
                drop(held);
                self.runtime.spawn(work);
                // The answer now comes from another task, so the caller must poll its channel.
                caller.wake();
            }
            Held::Polled | Held::Wanted => *held = Held::Wanted,
            Held::Gone => {}
        }
    }

    /// Locks the state. Only moves happen under this lock, so a poisoned lock guards nothing half done.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller's handle to its inline work. Unfinished work moves to a task of its own when this is dropped.
pub(crate) struct InlineCall(pub(crate) Arc<Inline>);

impl InlineCall {
    /// Polls the work. Returns whether work remains to be polled here.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> bool {
        let mut held = self.0.lock();
        let Held::Waits(mut work, mut caller) = mem::replace(&mut *held, Held::Polled) else {
            // Only the caller polls, so no other poll is going on.
            *held = Held::Gone;
            return false;
        };
        drop(held);
        let done = work.as_mut().poll(cx).is_ready();
        let mut held = self.0.lock();
        if done {
            *held = Held::Gone;
        } else if matches!(*held, Held::Wanted) {
            *held = Held::Gone;
            drop(held);
            self.0.runtime.spawn(work);
            return false;
        } else {
            caller.clone_from(cx.waker());
            *held = Held::Waits(work, caller);
        }
        !done
    }
}

impl Drop for InlineCall {
    fn drop(&mut self) {
        if mutant::is(Mutant::DropsInlineWork) {
            *self.0.lock() = Held::Gone;
        }
        self.0.hand_over();
    }
}
