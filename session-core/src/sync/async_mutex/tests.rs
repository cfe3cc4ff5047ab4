use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;

use super::*;

/// Waker that counts how often it is woken.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// A future that is polled by hand.
struct Task<F: Future> {
    future: Pin<Box<F>>,
    bell: Arc<Bell>,
}

impl<F: Future> Task<F> {
    fn new(future: F) -> Self {
        Self { future: Box::pin(future), bell: Arc::default() }
    }

    fn poll(&mut self) -> Option<F::Output> {
        match self.future.as_mut().poll(&mut Context::from_waker(&self.bell.clone().into())) {
            Poll::Ready(output) => Some(output),
            Poll::Pending => None,
        }
    }

    fn rings(&self) -> usize {
        self.bell.0.load(Ordering::SeqCst)
    }
}

#[test]
fn the_lock_excludes_every_other_caller() {
    let mutex = AsyncMutex::default();
    let first = mutex.try_lock().unwrap();
    assert!(mutex.try_lock().is_none());
    let mut second = Task::new(mutex.lock());
    assert!(second.poll().is_none());
    drop(first);
    let second = second.poll().unwrap();
    assert!(mutex.try_lock().is_none());
    drop(second);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let mutex = AsyncMutex::default();
    let mut held = mutex.try_lock();
    let mut waiting: Vec<_> = (0..5).map(|_| Task::new(mutex.lock())).collect();
    assert!(waiting.iter_mut().all(|task| task.poll().is_none()));
    for turn in 0..waiting.len() {
        drop(held.take());
        // The tasks are polled in reverse order, yet only the first in the queue gets the lock.
        for place in (turn + 1..waiting.len()).rev() {
            assert!(waiting[place].poll().is_none(), "{place} overtook {turn}");
            assert_eq!(waiting[place].rings(), 0);
        }
        assert_eq!(waiting[turn].rings(), 1);
        held = waiting[turn].poll();
        assert!(held.is_some());
    }
}

#[test]
fn a_dropped_waiter_leaves_the_queue() {
    let mutex = AsyncMutex::default();
    let held = mutex.try_lock();
    let mut tasks: Vec<_> = (0..3).map(|_| Task::new(mutex.lock())).collect();
    assert!(tasks.iter_mut().all(|task| task.poll().is_none()));
    let dropped = tasks.remove(1);
    let bell = dropped.bell.clone();
    drop(dropped);
    drop(held);
    drop(tasks[0].poll().unwrap());
    drop(tasks[1].poll().unwrap());
    assert_eq!(bell.0.load(Ordering::SeqCst), 0);
    assert!(mutex.try_lock().is_some());
}

#[test]
fn a_waiter_that_is_dropped_after_the_hand_over_passes_the_lock_on() {
    let mutex = AsyncMutex::default();
    let held = mutex.try_lock();
    let (mut first, mut second) = (Task::new(mutex.lock()), Task::new(mutex.lock()));
    assert!(first.poll().is_none() && second.poll().is_none());
    drop(held);
    drop(first);
    assert_eq!(second.rings(), 1);
    drop(second);
    assert!(mutex.try_lock().is_some(), "the last waiter is gone, so the lock is free");
}

#[test]
fn a_waiter_that_moved_to_another_task_is_woken_there() {
    let mutex = AsyncMutex::default();
    let held = mutex.try_lock();
    let mut lock = mutex.lock();
    let (before, after) = (Arc::<Bell>::default(), Arc::<Bell>::default());
    for bell in [&before, &after] {
        let waker = bell.clone().into();
        assert!(pin!(&mut lock).poll(&mut Context::from_waker(&waker)).is_pending());
    }
    drop(held);
    assert_eq!(before.0.load(Ordering::SeqCst), 0);
    assert_eq!(after.0.load(Ordering::SeqCst), 1);
}
