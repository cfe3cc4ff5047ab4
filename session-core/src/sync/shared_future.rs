//! A future that several tasks poll.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::{Mutex, MutexGuard};

/// A future that each of several tasks may drive to its end, and whose output all of them get.
///
/// It goes on while one of the tasks lives. Its output is `None` if it panicked, in the task that polled it.
pub(crate) struct SharedFuture<T>(Arc<Inner<T>>);

struct Inner<T> {
    stage: Mutex<Stage<T>>,
    waiting: Arc<Waiting>,
}

enum Stage<T> {
    Idle(Pin<Box<dyn Future<Output = T> + Send>>),
    /// One task polls the future. These came meanwhile and try again after it.
    Polled(Vec<Waker>),
    Ended(Option<T>),
}

/// Tasks that are woken when the future can go on.
#[derive(Default)]
struct Waiting(Mutex<Vec<Waker>>);

impl Waiting {
    fn add(&self, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !wakers.iter().any(|waiting| waiting.will_wake(waker)) {
            wakers.push(waker.clone());
        }
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> Inner<T> {
    fn stage(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the stage after a poll in place and wakes the tasks that came during it.
    fn leave(&self, next: Stage<T>) {
        let before = std::mem::replace(&mut *self.stage(), next);
        if let Stage::Polled(late) = before {
            late.into_iter().for_each(Waker::wake);
        }
    }
}

/// Ends the future without an output if polling it panics.
struct PollGuard<'f, T>(&'f Inner<T>);

impl<T> Drop for PollGuard<'_, T> {
    fn drop(&mut self) {
        self.0.leave(Stage::Ended(None));
        self.0.waiting.wake_by_ref();
    }
}

impl<T> SharedFuture<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self(Arc::new(Inner { stage: Mutex::new(Stage::Idle(Box::pin(future))), waiting: Arc::default() }))
    }

    /// Whether the two are handles of one future.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T> Clone for SharedFuture<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Clone> Future for SharedFuture<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let inner = &*self.0;
        let mut future = {
            let mut stage = inner.stage();
            match &mut *stage {
                Stage::Ended(output) => return Poll::Ready(output.clone()),
                Stage::Polled(late) => {
                    late.push(context.waker().clone());
                    return Poll::Pending;
                }
                Stage::Idle(_) => match std::mem::replace(&mut *stage, Stage::Polled(Vec::new())) {
                    Stage::Idle(future) => future,
                    Stage::Polled(_) | Stage::Ended(_) => unreachable!("it was idle"),
                },
            }
        };
        inner.waiting.add(context.waker());
        let panicking = PollGuard(inner);
        let polled = future.as_mut().poll(&mut Context::from_waker(&Waker::from(inner.waiting.clone())));
        std::mem::forget(panicking);
        match polled {
            Poll::Pending => {
                inner.leave(Stage::Idle(future));
                Poll::Pending
            }
            Poll::Ready(output) => {
                // What the future holds is dropped before the output is known.
                drop(future);
                inner.leave(Stage::Ended(Some(output.clone())));
                inner.waiting.wake_by_ref();
                Poll::Ready(Some(output))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::ready;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// A future that is ready once `ready` has been woken into being.
    #[derive(Clone, Default)]
    struct Gate(Arc<std::sync::Mutex<(bool, Option<Waker>)>>);

    impl Gate {
        fn open(&self) {
            let mut gate = self.0.lock().unwrap();
            gate.0 = true;
            gate.1.take().unwrap().wake();
        }
    }

    impl Future for Gate {
        type Output = ();

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            let mut gate = self.0.lock().unwrap();
            gate.1 = Some(context.waker().clone());
            if gate.0 { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    fn poll<T: Clone>(future: &mut SharedFuture<T>, count: &Arc<Count>) -> Poll<Option<T>> {
        Pin::new(future).poll(&mut Context::from_waker(&Waker::from(count.clone())))
    }

    #[test]
    fn it_ends_while_one_of_its_tasks_lives() {
        let gate = Gate::default();
        let inner = gate.clone();
        let mut first = SharedFuture::new(async move {
            inner.await;
            7
        });
        let mut second = first.clone();
        let counts = [Arc::<Count>::default(), Arc::<Count>::default()];
        assert!(poll(&mut first, &counts[0]).is_pending());
        assert!(poll(&mut second, &counts[1]).is_pending());
        drop(first);
        gate.open();
        assert_eq!(counts[1].0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&mut second, &counts[1]), Poll::Ready(Some(7)));
        assert_eq!(poll(&mut second.clone(), &counts[0]), Poll::Ready(Some(7)));
    }

    #[test]
    fn a_panic_ends_it_for_all() {
        let mut first = SharedFuture::new(async {
            assert!(std::hint::black_box(false), "on purpose");
        });
        let mut second = first.clone();
        let count = Arc::<Count>::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut first, &count)));
        assert!(panicked.is_err());
        assert_eq!(poll(&mut second, &count), Poll::Ready(None));
    }

    /// Polls the same future from within its own poll, as a task on another thread could.
    #[test]
    fn a_task_that_comes_while_it_is_polled_tries_again_afterwards() {
        let handle: Arc<std::sync::Mutex<Option<SharedFuture<()>>>> = Arc::default();
        let (other, late) = (handle.clone(), Arc::<Count>::default());
        let (mut polled, count) = (false, late.clone());
        let mut shared = SharedFuture::new(std::future::poll_fn(move |context| {
            if !polled {
                polled = true;
                let mut same = other.lock().unwrap().clone().unwrap();
                assert!(poll(&mut same, &count).is_pending());
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        }));
        *handle.lock().unwrap() = Some(shared.clone());
        assert!(poll(&mut shared, &Arc::default()).is_pending());
        assert_eq!(late.0.load(Ordering::SeqCst), 1);
        let outcome = std::future::poll_fn(|context| Poll::Ready(ready!(Pin::new(&mut shared).poll(context))));
        assert_eq!(pollster::block_on(outcome), Some(()));
    }
}
