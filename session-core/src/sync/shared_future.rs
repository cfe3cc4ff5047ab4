//! Future that several tasks poll.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use super::{Mutex, MutexGuard};
use crate::mutant::{self, Mutant};

/// Maximum number of tasks woken to drive the future.
///
/// More would mostly find the future busy. A single one could stall all others, because its executor might not poll it.
const DRIVERS: usize = 3;

/// A future that several tasks may drive to its end. All of them get its output.
///
/// The future makes progress as long as one of the tasks does. A task that is dropped wakes the others, and each new task drives it too.
pub(crate) struct SharedFuture<T> {
    stage: Mutex<Stage<T>>,
    waiting: Arc<Waiting>,
}

enum Stage<T> {
    Idle(Pin<Box<dyn Future<Output = T> + Send>>),
    /// A task is polling the future.
    Polled,
    Ended(Option<T>),
}

/// Tasks to wake when the future can make progress.
#[derive(Default)]
struct Waiting(Mutex<Wakers>);

#[derive(Default)]
struct Wakers {
    tasks: Vec<Waker>,
    /// Whether the future was woken since its last poll began.
    woken: bool,
}

impl Waiting {
    fn wakers(&self) -> MutexGuard<'_, Wakers> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a task, or makes a known one the latest: earlier wakers of a future that has changed its task wake in vain.
    fn add(&self, waker: &Waker) {
        let mut wakers = self.wakers();
        let known = wakers.tasks.iter().position(|waiting| waiting.will_wake(waker));
        let latest = match known {
            Some(at) => wakers.tasks.remove(at),
            None => waker.clone(),
        };
        wakers.tasks.push(latest);
    }

    fn wake_all(&self) {
        self.wake_some(usize::MAX);
    }

    /// Wakes a few tasks to drive the future.
    fn wake_drivers(&self) {
        self.wake_some(if mutant::is(Mutant::LeavesOthersAsleep) { 1 } else { DRIVERS });
    }

    /// Wakes at most `most` tasks, the latest to arrive.
    fn wake_some(&self, most: usize) {
        let tasks = {
            let mut wakers = self.wakers();
            wakers.woken = true;
            let rest = wakers.tasks.len().saturating_sub(most);
            wakers.tasks.split_off(rest)
        };
        tasks.into_iter().for_each(Waker::wake);
    }
}

impl Wake for Waiting {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.wake_drivers();
    }
}

impl<T> SharedFuture<T> {
    pub(crate) fn new(future: impl Future<Output = T> + Send + 'static) -> Self {
        Self { stage: Mutex::new(Stage::Idle(Box::pin(future))), waiting: Arc::default() }
    }

    fn stage(&self) -> MutexGuard<'_, Stage<T>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the future back after a pending poll by the task with `waker`.
    ///
    /// If the future was woken during the poll, the woken tasks may have found it busy. So tasks are woken again.
    fn go_on(&self, future: Pin<Box<dyn Future<Output = T> + Send>>, waker: &Waker) {
        *self.stage() = Stage::Idle(future);
        self.waiting.add(waker);
        if self.waiting.wakers().woken {
            self.waiting.wake_drivers();
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

/// Wakes the other tasks if a task is dropped before the end, because it may be the one that was woken to drive the future.
struct LeaveGuard<'f, T>(&'f SharedFuture<T>);

impl<T> Drop for LeaveGuard<'_, T> {
    fn drop(&mut self) {
        if !mutant::is(Mutant::LeavesOthersAsleep) {
            self.0.waiting.wake_all();
        }
    }
}

impl<T: Clone> SharedFuture<T> {
    /// Drives the future to its end and returns its output. `None` if a poll of the future panicked.
    pub(crate) async fn output(&self) -> Option<T> {
        let leaving = LeaveGuard(self);
        let output = poll_fn(|context| self.poll(context)).await;
        std::mem::forget(leaving);
        output
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
                // The future is dropped first, so that no task sees the output while the future still holds something.
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

    /// A future that is ready once the gate is open.
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

    /// A future that polls itself through another handle stands for a task on another thread.
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

    /// Returns a gate, a shared future behind it, and the wake-up counters of tasks that wait for that future.
    fn with_waiting_tasks(tasks: usize) -> (Gate, Arc<SharedFuture<u32>>, Vec<Arc<Count>>) {
        let gate = Gate::default();
        let inner = gate.clone();
        let shared = Arc::new(SharedFuture::new(async move {
            inner.await;
            7
        }));
        let counts: Vec<_> = (0..tasks).map(|_| Arc::<Count>::default()).collect();
        counts.iter().for_each(|count| assert!(poll(&shared, count).is_pending()));
        (gate, shared, counts)
    }

    fn woken(counts: &[Arc<Count>]) -> usize {
        counts.iter().filter(|count| count.0.load(Ordering::SeqCst) > 0).count()
    }

    #[test]
    fn a_few_tasks_are_woken_to_drive_it_and_all_at_its_end() {
        let (gate, shared, counts) = with_waiting_tasks(20);
        gate.open();
        assert_eq!(woken(&counts), DRIVERS);
        assert_eq!(poll(&shared, &counts[0]), Poll::Ready(Some(7)));
        assert_eq!(woken(&counts), 20);
    }

    #[test]
    fn a_task_that_leaves_wakes_the_others_and_one_that_comes_drives_it() {
        let (gate, shared, counts) = with_waiting_tasks(20);
        {
            let mut leaves = std::pin::pin!(shared.output());
            assert!(leaves.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            gate.open();
            assert!(woken(&counts) < 20);
        }
        assert_eq!(woken(&counts), 20, "it may have been the one that was to go on");
        let (gate, shared, _stalled) = with_waiting_tasks(20);
        gate.open();
        assert_eq!(pollster::block_on(shared.output()), Some(7), "none of those that were woken is polled");
    }
}
