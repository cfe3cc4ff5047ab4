//! The work of a call that is alone, done in its caller's own task until somebody else comes.

use std::future::Future;
use std::mem;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};

use tokio::runtime::Handle;

/// Takes batches until none waits.
type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Known to the caller, who does the work, and to the queue, so that whoever comes next can give it a task of its own:
/// nobody is to wait for a caller that does not go on.
pub(crate) struct Carried {
    held: Mutex<Held>,
    runtime: Handle,
}

enum Held {
    /// Until something wakes the caller.
    Waits(Work, Waker),
    /// Its caller has it in hands at this moment.
    Polled,
    /// The same, and it is to go to a task of its own when that moment is over.
    Wanted,
    /// It is done, or in a task of its own.
    Gone,
}

impl Carried {
    /// In the runtime of the caller.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub(crate) fn new(work: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let held = Held::Waits(Box::pin(work), Waker::noop().clone());
        Arc::new(Self { held: Mutex::new(held), runtime: Handle::current() })
    }

    /// Gives the work a task of its own, if it is not done yet and has none.
    pub(crate) fn hand_over(&self) {
        let mut held = self.lock();
        match mem::replace(&mut *held, Held::Gone) {
            Held::Waits(work, caller) => {
                drop(held);
                self.runtime.spawn(work);
                // From now on the answer comes from elsewhere, and who waits for it has to say so there.
                caller.wake();
            }
            Held::Polled | Held::Wanted => *held = Held::Wanted,
            Held::Gone => {}
        }
    }

    /// Only moves happen under this lock, so a poisoned one guards nothing half done.
    fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The caller's hold on its work. Work that is not done when this is dropped goes on without it.
pub(crate) struct Carrier(pub(crate) Arc<Carried>);

impl Carrier {
    /// Does what can be done now. Whether more is to be done here.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> bool {
        let mut held = self.0.lock();
        let Held::Waits(mut work, mut caller) = mem::replace(&mut *held, Held::Polled) else {
            // Its caller is the one that polls.
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

impl Drop for Carrier {
    fn drop(&mut self) {
        self.0.hand_over();
    }
}
