//! A fair lock that may be held across an await.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll, Waker};

use super::{Mutex, MutexGuard};

/// A lock that callers get in order of arrival. It protects no value of its own.
///
/// The order depends on no clock, so runs with the same schedule behave identically.
/// Wakers are foreign code, so they are woken and dropped outside the critical sections.
#[derive(Debug, Default)]
pub(crate) struct AsyncMutex {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether a guard exists, or the lock was handed to the waiter in `handed_to`.
    locked: bool,
    /// Number of the waiter that was handed the lock but has not been polled since.
    handed_to: Option<u64>,
    /// Numbers of the waiters in order of arrival, so they ascend.
    waiters: VecDeque<(u64, Waker)>,
    /// Number of the next waiter.
    next: u64,
}

impl State {
    /// Unlocks, or hands the lock to the first waiter, whose waker it returns.
    fn release(&mut self) -> Option<Waker> {
        let (number, waker) = self.waiters.pop_front().unzip();
        self.locked = number.is_some();
        self.handed_to = number;
        waker
    }

    /// Adds a waiter and returns its number.
    fn wait(&mut self, waker: &Waker) -> u64 {
        let number = self.next;
        self.next += 1;
        self.waiters.push_back((number, waker.clone()));
        number
    }

    /// Index of the waiter with `number`.
    fn place(&self, number: u64) -> Option<usize> {
        self.waiters.binary_search_by_key(&number, |(waiting, _)| *waiting).ok()
    }
}

impl AsyncMutex {
    /// Waits for the lock.
    pub(crate) fn lock(&self) -> Lock<'_> {
        Lock { mutex: self, number: None }
    }

    /// Takes the lock if it is free.
    pub(crate) fn try_lock(&self) -> Option<Guard<'_>> {
        let mut state = self.state();
        (!std::mem::replace(&mut state.locked, true)).then(|| Guard(self))
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

/// Future of a [`Guard`]. Dropping it leaves the queue. If the lock was already handed to it, the next waiter gets the lock.
#[must_use = "the lock is taken when this is polled"]
#[derive(Debug)]
pub(crate) struct Lock<'m> {
    mutex: &'m AsyncMutex,
    /// Number in the queue, from the first pending poll to the last poll.
    number: Option<u64>,
}

impl<'m> Future for Lock<'m> {
    type Output = Guard<'m>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Guard<'m>> {
        let mutex = self.mutex;
        let mut state = mutex.state();
        match self.number {
            None if !state.locked => state.locked = true,
            None => {
                self.number = Some(state.wait(context.waker()));
                return Poll::Pending;
            }
            Some(number) if state.handed_to == Some(number) => {
                state.handed_to = None;
                self.number = None;
            }
            Some(number) => {
                let replaced = state.place(number).map(|place| {
                    let waiting = &mut state.waiters[place].1;
                    std::mem::replace(waiting, context.waker().clone())
                });
                drop(state);
                drop(replaced);
                return Poll::Pending;
            }
        }
        Poll::Ready(Guard(mutex))
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut state = self.mutex.state();
        if state.handed_to == Some(number) {
            drop(state);
            self.mutex.release();
        } else {
            let left = state.place(number).and_then(|place| state.waiters.remove(place));
            drop(state);
            drop(left);
        }
    }
}

/// Holds the lock until it is dropped.
#[must_use = "the lock is free as soon as this is dropped"]
#[derive(Debug)]
pub(crate) struct Guard<'m>(&'m AsyncMutex);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.release();
    }
}

#[cfg(all(test, shuttle))]
mod interleavings;
#[cfg(all(test, not(shuttle)))]
mod tests;
