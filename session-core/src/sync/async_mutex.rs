//! A fair lock that may be held across an await.

use std::collections::VecDeque;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::{Context, Poll, Waker};

use super::{Mutex, MutexGuard};

/// Callers that may overtake a waiter before the lock is handed to it.
///
/// A lock that is always handed on stands idle until the waiter's task runs: with 128 tasks on one session that cost a third
/// of the updates per second.
const OVERTAKERS: u32 = 64;

/// A lock that waiters get in the order of arrival. A caller that comes while it is free takes it at once,
/// but at most [`OVERTAKERS`] callers overtake a waiter.
///
/// Wakers are foreign code: they are woken and dropped outside the critical sections.
/// It protects no value of its own. Its order depends on no clock, so a run with the same schedule goes the same way.
#[derive(Debug, Default)]
pub(crate) struct AsyncMutex {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a guard exists or is due to the waiter in `handed_to`.
    locked: bool,
    /// Number of the waiter that owns the lock but has not been polled since.
    handed_to: Option<u64>,
    /// Callers that have taken the lock since the first waiter waits.
    overtakers: u32,
    /// Waiters in order of arrival, so their numbers ascend.
    waiters: VecDeque<Waiter>,
    /// Number of the next waiter.
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    waker: Waker,
}

impl State {
    /// Locks it for a caller that has not waited, if it is free.
    fn acquire(&mut self) -> bool {
        let free = !std::mem::replace(&mut self.locked, true);
        if free && !self.waiters.is_empty() {
            self.overtakers += 1;
        }
        free
    }

    /// Locks it for the waiter with `number`, if it is free and that is the first, or if it was handed to that one.
    ///
    /// Returns what is left of the waiter.
    fn acquire_waited(&mut self, number: u64) -> Option<Option<Waiter>> {
        if self.handed_to == Some(number) {
            self.handed_to = None;
            return Some(None);
        }
        let next = !self.locked && self.waiters.front().is_some_and(|first| first.number == number);
        next.then(|| {
            self.locked = true;
            self.overtakers = 0;
            self.waiters.pop_front()
        })
    }

    /// Unlocks, or hands the lock to the first waiter if that was overtaken often enough. Returns the first waiter's waker.
    fn release(&mut self) -> Option<Waker> {
        if self.overtakers < OVERTAKERS {
            self.locked = false;
            return self.waiters.front().map(|first| first.waker.clone());
        }
        self.overtakers = 0;
        let first = self.waiters.pop_front();
        self.locked = first.is_some();
        self.handed_to = first.as_ref().map(|waiter| waiter.number);
        first.map(|waiter| waiter.waker)
    }

    /// Adds a waiter and returns its number.
    fn wait(&mut self, waker: &Waker) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiters.push_back(Waiter { number, waker: waker.clone() });
        number
    }

    /// Makes `waker` the one that is woken for `number`, and returns the one before it.
    fn rewait(&mut self, number: u64, waker: &Waker) -> Option<Waker> {
        let place = self.place(number)?;
        let current = &mut self.waiters[place].waker;
        (!current.will_wake(waker)).then(|| std::mem::replace(current, waker.clone()))
    }

    /// Removes the waiter with `number`, or releases the lock if it was handed to it.
    ///
    /// Returns the waker of the waiter that is next, if the lock is free, and the removed waiter.
    fn leave(&mut self, number: u64) -> (Option<Waker>, Option<Waiter>) {
        if self.handed_to == Some(number) {
            self.handed_to = None;
            return (self.release(), None);
        }
        let left = self.place(number).and_then(|place| self.waiters.remove(place));
        // It may have been woken for the free lock, and then nothing else wakes the next.
        let next = if self.locked { None } else { self.waiters.front().map(|first| first.waker.clone()) };
        (next, left)
    }

    /// Index of the waiter with `number` in `waiters`.
    fn place(&self, number: u64) -> Option<usize> {
        self.waiters.binary_search_by_key(&number, |waiter| waiter.number).ok()
    }
}

impl AsyncMutex {
    /// Waits for the lock.
    pub(crate) fn lock(&self) -> Lock<&Self> {
        Lock { mutex: self, number: None }
    }

    /// Like [`lock`](Self::lock), with a guard that owns its share of the mutex.
    pub(crate) fn lock_owned(self: Arc<Self>) -> Lock<Arc<Self>> {
        Lock { mutex: self, number: None }
    }

    /// Locks it if it is free.
    pub(crate) fn try_lock(&self) -> Option<Guard<&Self>> {
        self.state().acquire().then(|| Guard { mutex: self })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self) {
        let waker = self.state().release();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Future of a [`Guard`]. Dropping it leaves the queue, and passes the lock on if it was handed over already.
#[must_use = "the lock is taken when this is polled"]
#[derive(Debug)]
pub(crate) struct Lock<P: Deref<Target = AsyncMutex>> {
    mutex: P,
    /// Number in the queue, from the first unsuccessful poll to the last poll.
    number: Option<u64>,
}

impl<P: Deref<Target = AsyncMutex> + Clone + Unpin> Future for Lock<P> {
    type Output = Guard<P>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Guard<P>> {
        let lock = &mut *self;
        let mut state = lock.mutex.state();
        let left = match lock.number {
            None if state.acquire() => None,
            None => {
                lock.number = Some(state.wait(context.waker()));
                return Poll::Pending;
            }
            Some(number) => match state.acquire_waited(number) {
                Some(left) => left,
                None => {
                    let replaced = state.rewait(number, context.waker());
                    drop(state);
                    drop(replaced);
                    return Poll::Pending;
                }
            },
        };
        lock.number = None;
        drop(state);
        drop(left);
        Poll::Ready(Guard { mutex: lock.mutex.clone() })
    }
}

impl<P: Deref<Target = AsyncMutex>> Drop for Lock<P> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let (next, _left) = self.mutex.state().leave(number);
        if let Some(waker) = next {
            waker.wake();
        }
    }
}

/// Holds the lock until it is dropped.
#[must_use = "the lock is free as soon as this is dropped"]
#[derive(Debug)]
pub(crate) struct Guard<P: Deref<Target = AsyncMutex>> {
    mutex: P,
}

/// A [`Guard`] that owns its share of the mutex.
pub(crate) type OwnedGuard = Guard<Arc<AsyncMutex>>;

impl<P: Deref<Target = AsyncMutex>> Drop for Guard<P> {
    fn drop(&mut self) {
        self.mutex.release();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    /// Counts how often it is woken.
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
            // Polled from the last to the first, yet only the first in the queue gets it.
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
    fn a_waiter_is_overtaken_only_so_often() {
        let mutex = AsyncMutex::default();
        let mut held = mutex.try_lock();
        let mut waiter = Task::new(mutex.lock());
        assert!(waiter.poll().is_none());
        for _ in 0..OVERTAKERS {
            drop(held.take());
            held = mutex.try_lock();
            assert!(held.is_some(), "the lock is free until the waiter's task runs");
            assert!(waiter.poll().is_none());
        }
        drop(held.take());
        assert!(mutex.try_lock().is_none(), "the lock is the waiter's now");
        let mut late = Task::new(mutex.lock());
        assert!(late.poll().is_none());
        assert!(waiter.poll().is_some());
    }

    #[test]
    fn a_waiter_that_is_dropped_when_it_was_woken_wakes_the_next() {
        let mutex = AsyncMutex::default();
        let held = mutex.try_lock();
        let (mut first, mut second) = (Task::new(mutex.lock()), Task::new(mutex.lock()));
        assert!(first.poll().is_none() && second.poll().is_none());
        drop(held);
        assert_eq!((first.rings(), second.rings()), (1, 0));
        drop(first);
        assert_eq!(second.rings(), 1);
        assert!(second.poll().is_some());
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

    #[test]
    fn an_owned_guard_keeps_the_mutex_alive() {
        let mutex = Arc::new(AsyncMutex::default());
        let weak = Arc::downgrade(&mutex);
        let guard = Task::new(mutex.lock_owned()).poll().unwrap();
        assert!(weak.upgrade().unwrap().try_lock().is_none());
        drop(guard);
        assert!(weak.upgrade().is_none());
    }
}

#[cfg(all(test, shuttle))]
mod interleavings {
    use std::pin::pin;

    use shuttle::future::block_on;
    use shuttle::thread::spawn;

    use super::*;

    /// Counts under the lock, with a switch between the two steps of counting.
    fn count(mutex: &AsyncMutex, counter: &Mutex<u32>) {
        let _guard = block_on(mutex.lock());
        let before = *counter.lock().unwrap();
        *counter.lock().unwrap() = before + 1;
    }

    /// Polls for the lock once and gives up, whatever came of it.
    fn give_up(mutex: &AsyncMutex) {
        let mut lock = pin!(mutex.lock());
        drop(lock.as_mut().poll(&mut Context::from_waker(Waker::noop())));
    }

    fn count_beside(other: fn(&AsyncMutex, &Mutex<u32>), counted: u32) {
        let shared = Arc::new((AsyncMutex::default(), Mutex::new(0)));
        let threads = [count, other].map(|run| {
            let shared = shared.clone();
            spawn(move || run(&shared.0, &shared.1))
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*shared.1.lock().unwrap(), counted);
        assert!(shared.0.try_lock().is_some());
    }

    #[test]
    fn the_lock_excludes_every_other_thread() {
        shuttle::check_dfs(|| count_beside(count, 2), Some(50_000));
    }

    #[test]
    fn a_waiter_that_gives_up_never_keeps_the_lock() {
        shuttle::check_dfs(|| count_beside(|mutex, _| give_up(mutex), 1), None);
    }

    #[test]
    fn waiters_that_give_up_keep_the_lock_from_no_thread() {
        let run = || {
            let shared = Arc::new((AsyncMutex::default(), Mutex::new(0)));
            let threads: Vec<_> = (0..4)
                .map(|thread| {
                    let shared = shared.clone();
                    spawn(move || if thread % 2 == 0 { count(&shared.0, &shared.1) } else { give_up(&shared.0) })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(*shared.1.lock().unwrap(), 2);
            assert!(shared.0.try_lock().is_some());
        };
        shuttle::check_random(run, 5_000);
        shuttle::check_pct(run, 5_000, 3);
    }
}
