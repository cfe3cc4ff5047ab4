//! The queue of a session that many requests of this process write at once.
//!
//! The first conflict opens it; from then on writers go one after the other, each on top of what the one before it
//! stored, so a hot session costs one lost race per process and not one per request. The last to leave closes it.
//!
//! Whoever has the turn stores the work of those who wait behind it together with its own, so that a hundred requests at once
//! cost two or three saves and not a hundred, one after the other.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, PoisonError};
use std::task::Poll;

use crate::commit::ride::{Rider, Told};
use crate::content::Content;
use crate::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use crate::sync::{AsyncMutex, Mutex, MutexGuard, OwnedGuard};
use crate::{StoreKey, Version};

/// How many writers in a row take over the record of the one before them, until one looks first.
///
/// Whoever takes a record over needs no look and so is always faster than another process, which has to look after every
/// lost race. Without a look now and then a long queue here would keep the other process's queue from ever getting through.
const IN_A_ROW: u32 = 8;

/// What the writer before this one left.
#[derive(Default)]
struct Latest {
    stored: Option<(Version, Arc<Content>)>,
    /// How many have stored on top of each other since one looked.
    in_a_row: u32,
}

/// All queues of one manager.
#[derive(Default)]
pub(crate) struct Hot {
    queues: Mutex<HashMap<StoreKey, Arc<Queue>>>,
    /// How many there are, so that the usual case (none) takes no lock.
    open: AtomicUsize,
}

#[derive(Default)]
struct Queue {
    /// The right to write.
    turn: Arc<AsyncMutex>,
    /// Used by the writer that holds `turn` only.
    latest: Mutex<Latest>,
    /// How many writers hold or await a turn; changed only under `Hot::queues`.
    writers: AtomicUsize,
    /// The store failed the last one: waiting in line would add up their time-outs.
    broken: AtomicBool,
    /// Those of them who wait and would let another store their work, in their order.
    riders: Mutex<Vec<Arc<Rider>>>,
}

impl Queue {
    fn riders(&self) -> MutexGuard<'_, Vec<Arc<Rider>>> {
        self.riders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of waiting in a queue.
pub(crate) enum Joined {
    Turn(Turn),
    /// Somebody else sent the work along with their own.
    Rode(Told),
}

/// A rider's entry in the queue; leaves it when dropped.
struct Seat {
    queue: Arc<Queue>,
    rider: Arc<Rider>,
}

impl Seat {
    fn take(queue: &Arc<Queue>, rider: Rider) -> Self {
        let seat = Self { queue: queue.clone(), rider: Arc::new(rider) };
        seat.queue.riders().push(seat.rider.clone());
        seat
    }

    /// Whether it was still there. If not, somebody has taken it along.
    fn leave(&self) -> bool {
        let mut riders = self.queue.riders();
        let place = riders.iter().position(|rider| Arc::ptr_eq(rider, &self.rider));
        place.map(|place| riders.remove(place)).is_some()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A writer's place in a queue, and the right to write while it is not [broken](Queue::broken).
pub(crate) struct Turn {
    guard: Option<OwnedGuard>,
    place: Place,
}

/// A place in a queue; leaves it when dropped, wherever the wait or the write was dropped.
struct Place {
    hot: Arc<Hot>,
    key: StoreKey,
    queue: Arc<Queue>,
}

impl Hot {
    /// Waits for a turn, or for somebody who takes the rider along, if there is a queue.
    pub(crate) async fn join_if_hot(
        self: &Arc<Self>,
        key: &StoreKey,
        rider: impl FnOnce() -> Option<Rider>,
    ) -> Option<Joined> {
        if self.open.load(Ordering::Acquire) == 0 {
            return None;
        }
        let place = self.place(key, false)?;
        Some(place.wait(rider()).await)
    }

    /// The same, in a new queue if there is none.
    pub(crate) async fn join(self: &Arc<Self>, key: &StoreKey, rider: Option<Rider>) -> Joined {
        match self.place(key, true) {
            Some(place) => place.wait(rider).await,
            None => unreachable!("a queue is opened when there is none"),
        }
    }

    fn place(self: &Arc<Self>, key: &StoreKey, open: bool) -> Option<Place> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let queue = match queues.get(key) {
            Some(queue) => queue.clone(),
            None if open => {
                self.open.fetch_add(1, Ordering::Release);
                queues.entry(*key).or_default().clone()
            }
            None => return None,
        };
        queue.writers.fetch_add(1, Ordering::Relaxed);
        Some(Place { hot: self.clone(), key: *key, queue })
    }
}

impl Place {
    async fn wait(self, rider: Option<Rider>) -> Joined {
        let seat = rider.map(|rider| Seat::take(&self.queue, rider));
        let mut turn = pin!(self.queue.turn.clone().lock_owned());
        let came = poll_fn(|context| match seat.as_ref().and_then(|seat| seat.rider.told(context.waker())) {
            Some(told) => Poll::Ready(Err(told)),
            None => turn.as_mut().poll(context).map(Ok),
        });
        let guard = match came.await {
            Ok(guard) => guard,
            Err(told) => return Joined::Rode(told),
        };
        if let Some(seat) = seat
            && !seat.leave()
        {
            // Whoever took it along has told it before the turn was free.
            return Joined::Rode(seat.rider.told_already());
        }
        let guard = (!self.queue.broken.load(Ordering::Acquire)).then_some(guard);
        Joined::Turn(Turn { guard, place: self })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut queues = self.hot.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if self.queue.writers.fetch_sub(1, Ordering::Relaxed) == 1 {
            queues.remove(&self.key);
            self.hot.open.fetch_sub(1, Ordering::Release);
        }
    }
}

impl Turn {
    fn latest(&self) -> Option<MutexGuard<'_, Latest>> {
        self.guard.as_ref().map(|_| self.place.queue.latest())
    }

    /// What the writer before this one stored, if that is another version than `known`.
    pub(crate) fn newer_than(&self, known: Version) -> Option<(Version, Arc<Content>)> {
        self.latest()?.stored.as_ref().filter(|(version, _)| *version != known).cloned()
    }

    /// Whether this writer is to look what is stored before it writes, so that other processes get a chance.
    pub(crate) fn looks_first(&mut self) -> bool {
        self.latest().is_some_and(|mut latest| {
            let looks = latest.in_a_row >= IN_A_ROW;
            if looks {
                latest.in_a_row = 0;
            }
            looks
        })
    }

    /// Hands `content` on to the next.
    pub(crate) fn stored(&mut self, version: Version, content: &Arc<Content>) {
        self.place.queue.broken.store(false, Ordering::Release);
        if let Some(mut latest) = self.latest() {
            latest.stored = Some((version, content.clone()));
            latest.in_a_row += 1;
        }
    }

    /// Those who wait behind this writer and could be taken along, in their order.
    pub(crate) fn waiting(&self) -> Vec<Arc<Rider>> {
        self.guard.as_ref().map(|_| self.place.queue.riders().clone()).unwrap_or_default()
    }

    /// Takes `riders` along, all of them, unless one has left meanwhile.
    ///
    /// `note` is called for each before it could leave: from then on its session knows of the save that it is part of.
    pub(crate) fn take_along(&self, riders: &[Arc<Rider>], note: impl FnMut(&Arc<Rider>)) -> bool {
        let mut waiting = self.place.queue.riders();
        let is_taken = |rider: &Arc<Rider>| riders.iter().any(|taken| Arc::ptr_eq(taken, rider));
        if waiting.iter().filter(|rider| is_taken(rider)).count() != riders.len() {
            return false;
        }
        waiting.retain(|rider| !is_taken(rider));
        riders.iter().for_each(note);
        true
    }

    /// Lets all who wait go on at once.
    pub(crate) fn broke(&self) {
        self.place.queue.broken.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::SessionId;

    fn ready<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn the_last_to_leave_closes_the_queue() {
        let hot = Arc::new(Hot::default());
        let key = StoreKey::derive("id", &SessionId::random());
        assert!(ready(hot.join_if_hot(&key, || None)).flatten().is_none());
        let first = ready(hot.join(&key, None)).expect("nobody is before it");
        // Dropped while it waits, a writer leaves no trace.
        assert!(ready(hot.join_if_hot(&key, || None)).is_none());
        drop(first);
        assert_eq!(hot.open.load(Ordering::SeqCst), 0);
        assert!(hot.queues.lock().unwrap().is_empty());
    }

    #[test]
    fn nobody_waits_in_line_for_a_store_that_is_down() {
        let hot = Arc::new(Hot::default());
        let key = StoreKey::derive("id", &SessionId::random());
        let Some(Joined::Turn(first)) = ready(hot.join(&key, None)) else { panic!("nobody is before it") };
        let mut second = pin!(hot.join(&key, None));
        let mut third = pin!(hot.join(&key, None));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        first.broke();
        drop(first);
        let Poll::Ready(_second) = second.as_mut().poll(&mut context) else { panic!("still waiting") };
        assert!(third.as_mut().poll(&mut context).is_ready(), "waits though the one before it holds no turn");
    }
}
