//! A future that several tasks poll.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::{Mutex, MutexGuard};

/// A future that each of several tasks may drive to its end, and whose output all of them get.
///
/// It goes on while one of the tasks lives.
pub(crate) struct SharedFuture<T> {
    stage: Mutex<Stage<T>>,
    waiting: Arc<Waiting>,
}

enum Stage<T> {
    Idle(Pin<Box<dyn Future<Output = T> + Send>>),
    /// One task polls the future.
    Polled,
    Ended(Option<T>),
}

/// Tasks that are woken when the future can go on.
#[derive(Default)]
struct Waiting(Mutex<Wakers>);

#[derive(Default)]
struct Wakers {
    tasks: Vec<Waker>,
    /// The future can go on since its last poll began.
    woken: bool,
}

impl Waiting {
    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, waker: &Waker) {
        let mut wakers = self.wakers();
        if !wakers.tasks.iter().any(|waiting| waiting.will_wake(waker)) {
            wakers.tasks.push(waker.clone());
        }
    }

    fn wake_all(&self) {
        let tasks = {
            let mut wakers = self.wakers();
            wakers.woken = true;
            std::mem::take(&mut wakers.tasks)
        };
        tasks.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_all();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_all();
    }
}

impl<T> SharedFuture<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { stage: Mutex::new(Stage::Idle(Box::pin(future))), waiting: Arc::default() }
    }

    fn stage(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the future back after a poll by the task with `waker`.
    ///
    /// If the future was woken during the poll, the tasks that were woken with it have found it busy, so they are woken again.
    fn go_on(&self, future: Pin<Box<dyn Future<Output = T> + Send>>, waker: &Waker) {
        *self.stage() = Stage::Idle(future);
        self.waiting.add(waker);
        if self.waiting.wakers().woken {
            self.waiting.wake_all();
        }
    }

    fn end(&self, output: Option<T>) {
        *self.stage() = Stage::Ended(output);
        self.waiting.wake_all();
    }
}

/// Ends the future without an output if polling it panics.
struct PollGuard<'f, T>(&'f SharedFuture<T>);

impl<T> Drop for PollGuard<'_, T> {
    fn drop(&mut self) {
        self.0.end(None);
    }
}

impl<T: Clone> SharedFuture<T> {
    /// Drives the future to its end. `None` if it panicked, in the task that polled it.
    pub(crate) async fn output(&self) -> Option<T> {
        poll_fn(|context| self.poll(context)).await
    }

    fn poll(&self, context: &Context<'_>) -> Poll<Option<T>> {
        let mut future = {
            let mut stage = self.stage();
            if let Stage::Ended(output) = &*stage {
                return Poll::Ready(output.clone());
            }
            let Stage::Idle(future) = std::mem::replace(&mut *stage, Stage::Polled) else {
                self.waiting.add(context.waker());
                return Poll::Pending;
            };
            self.waiting.wakers().woken = false;
            future
        };
        let panicking = PollGuard(self);
        let polled = future.as_mut().poll(&mut Context::from_waker(&Waker::from(self.waiting.clone())));
        std::mem::forget(panicking);
        match polled {
            Poll::Pending => {
                self.go_on(future, context.waker());
                Poll::Pending
            }
            Poll::Ready(output) => {
                // What the future holds is dropped before the output is known.
                drop(future);
                self.end(Some(output.clone()));
                Poll::Ready(Some(output))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

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

    fn poll<T: Clone>(future: &SharedFuture<T>, count: &Arc<Count>) -> Poll<Option<T>> {
        future.poll(&Context::from_waker(&Waker::from(count.clone())))
    }

    #[test]
    fn it_ends_while_one_of_its_tasks_lives() {
        let gate = Gate::default();
        let inner = gate.clone();
        let first = Arc::new(SharedFuture::new(async move {
            inner.await;
            7
        }));
        let second = first.clone();
        let counts = [Arc::<Count>::default(), Arc::<Count>::default()];
        assert!(poll(&first, &counts[0]).is_pending());
        assert!(poll(&second, &counts[1]).is_pending());
        drop(first);
        gate.open();
        assert_eq!(counts[1].0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&second, &counts[1]), Poll::Ready(Some(7)));
        assert_eq!(poll(&second, &counts[0]), Poll::Ready(Some(7)));
    }

    #[test]
    fn a_panic_ends_it_for_all() {
        let first = Arc::new(SharedFuture::new(async {
            assert!(std::hint::black_box(false), "on purpose");
        }));
        let second = first.clone();
        let count = Arc::<Count>::default();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&first, &count)));
        assert!(panicked.is_err());
        assert_eq!(poll(&second, &count), Poll::Ready(None));
    }

    /// Polls the same future from within its own poll, as a task on another thread could.
    #[test]
    fn a_task_that_comes_while_it_is_polled_tries_again_afterwards() {
        let handle: Arc<std::sync::Mutex<Option<Arc<SharedFuture<()>>>>> = Arc::default();
        let (other, late) = (handle.clone(), Arc::<Count>::default());
        let (mut polled, count) = (false, late.clone());
        let shared = Arc::new(SharedFuture::new(poll_fn(move |context| {
            if !polled {
                polled = true;
                let same = other.lock().unwrap().clone().unwrap();
                assert!(poll(&same, &count).is_pending());
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            Poll::Ready(())
        })));
        *handle.lock().unwrap() = Some(shared.clone());
        assert!(poll(&shared, &Arc::default()).is_pending());
        assert_eq!(late.0.load(Ordering::SeqCst), 1);
        assert_eq!(pollster::block_on(shared.output()), Some(()));
    }
}
