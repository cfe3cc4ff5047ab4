//! The queue of a session that many requests of this process write at once.
//!
//! The first conflict opens it; from then on writers go one after the other, each on top of what the one before it
//! stored, so a hot session costs one lost race per process and not one per request. The last to leave closes it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_lock::{Mutex as AsyncMutex, MutexGuardArc};

use crate::content::Content;
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
    latest: Arc<AsyncMutex<Latest>>,
    /// How many writers hold or await a turn; changed only under `Hot::queues`.
    writers: AtomicUsize,
    /// The store failed the last one: waiting in line would add up their time-outs.
    broken: AtomicBool,
}

/// A writer's place in a queue, and the right to write while it is not [broken](Queue::broken).
pub(crate) struct Turn {
    latest: Option<MutexGuardArc<Latest>>,
    place: Place,
}

/// A place in a queue; leaves it when dropped, wherever the wait or the write was dropped.
struct Place {
    hot: Arc<Hot>,
    key: StoreKey,
    queue: Arc<Queue>,
}

impl Hot {
    /// Waits for a turn if there is a queue.
    pub(crate) async fn join_if_hot(self: &Arc<Self>, key: &StoreKey) -> Option<Turn> {
        if self.open.load(Ordering::Acquire) == 0 {
            return None;
        }
        let place = self.place(key, false)?;
        Some(place.wait().await)
    }

    /// Waits for a turn, in a new queue if there is none.
    pub(crate) async fn join(self: &Arc<Self>, key: &StoreKey) -> Turn {
        match self.place(key, true) {
            Some(place) => place.wait().await,
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
    async fn wait(self) -> Turn {
        let latest = self.queue.latest.lock_arc().await;
        let latest = (!self.queue.broken.load(Ordering::Acquire)).then_some(latest);
        Turn { latest, place: self }
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
    /// What the writer before this one stored, if that is another version than `known`.
    pub(crate) fn newer_than(&self, known: Version) -> Option<(Version, Arc<Content>)> {
        self.latest.as_ref()?.stored.as_ref().filter(|(version, _)| *version != known).cloned()
    }

    /// Whether this writer is to look what is stored before it writes, so that other processes get a chance.
    pub(crate) fn looks_first(&mut self) -> bool {
        self.latest.as_mut().is_some_and(|latest| {
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
        if let Some(latest) = self.latest.as_deref_mut() {
            latest.stored = Some((version, content.clone()));
            latest.in_a_row += 1;
        }
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
        assert!(ready(hot.join_if_hot(&key)).flatten().is_none());
        let first = ready(hot.join(&key)).expect("nobody is before it");
        // Dropped while it waits, a writer leaves no trace.
        assert!(ready(hot.join_if_hot(&key)).is_none());
        drop(first);
        assert_eq!(hot.open.load(Ordering::SeqCst), 0);
        assert!(hot.queues.lock().unwrap().is_empty());
    }

    #[test]
    fn nobody_waits_in_line_for_a_store_that_is_down() {
        let hot = Arc::new(Hot::default());
        let key = StoreKey::derive("id", &SessionId::random());
        let first = ready(hot.join(&key)).expect("nobody is before it");
        let mut second = pin!(hot.join(&key));
        let mut third = pin!(hot.join(&key));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        first.broke();
        drop(first);
        let Poll::Ready(_second) = second.as_mut().poll(&mut context) else { panic!("still waiting") };
        assert!(third.as_mut().poll(&mut context).is_ready(), "waits though the one before it holds no turn");
    }
}
