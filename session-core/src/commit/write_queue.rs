//! Queues of writers, one for each key that several tasks of this process write concurrently.
//!
//! A queue holds a value that its writers share. The type of that value is left to the user of the queue.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, PoisonError};

use crate::StoreKey;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// Maximum number of queues without a writer.
///
/// After a joint write, all of its clients may soon send their next requests. If these found no queue, each would save on its own,
/// and all but one would conflict.
const IDLE: usize = 64;

/// Queues of one manager.
pub(crate) struct WriteQueues<T> {
    queues: Mutex<Queues<T>>,
    /// Number of queues, so that the usual case (none) takes no lock.
    open: AtomicUsize,
    max_idle: usize,
}

struct Queues<T> {
    by_key: HashMap<StoreKey, Queue<T>>,
    /// Keys of the queues without a writer, longest idle first.
    idle: VecDeque<StoreKey>,
}

struct Queue<T> {
    shared: Arc<Mutex<T>>,
    writers: usize,
    /// Whether the queue had several writers at once since it was opened or last idle.
    contended: bool,
}

/// A writer's place in a queue. Dropping it leaves the queue.
///
/// When the last writer leaves, the shared value is dropped. The queue stays open, as an idle one, if it had several writers at once.
pub(crate) struct Slot<T: Default> {
    queues: Arc<WriteQueues<T>>,
    key: StoreKey,
    shared: Arc<Mutex<T>>,
}

impl<T: Default> WriteQueues<T> {
    /// Makes the queues of a manager. `keeps_idle` says whether queues without a writer stay open.
    pub(crate) fn new(keeps_idle: bool) -> Self {
        let queues = Queues { by_key: HashMap::new(), idle: VecDeque::new() };
        Self { queues: Mutex::new(queues), open: AtomicUsize::new(0), max_idle: if keeps_idle { IDLE } else { 0 } }
    }

    /// Enters the queue of `key` if it is open.
    pub(crate) fn enter_if_open(self: &Arc<Self>, key: &StoreKey) -> Option<Slot<T>> {
        if self.open.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut queues = self.queues();
        queues.by_key.contains_key(key).then(|| self.slot(key, &mut queues))
    }

    /// Enters the queue of `key`, and opens it first if needed.
    pub(crate) fn enter(self: &Arc<Self>, key: &StoreKey) -> Slot<T> {
        self.slot(key, &mut self.queues())
    }

    fn slot(self: &Arc<Self>, key: &StoreKey, queues: &mut Queues<T>) -> Slot<T> {
        let Queues { by_key, idle } = queues;
        let queue = by_key.entry(*key).or_insert_with(|| {
            self.open.fetch_add(1, Ordering::Release);
            Queue { shared: Arc::default(), writers: 0, contended: false }
        });
        if queue.writers == 0 {
            idle.retain(|other| other != key);
        }
        queue.contended |= queue.writers > 0;
        queue.writers += 1;
        Slot { queues: self.clone(), key: *key, shared: queue.shared.clone() }
    }

    fn leave(&self, key: &StoreKey) {
        let mut queues = self.queues();
        let Queues { by_key, idle } = &mut *queues;
        let Some(queue) = by_key.get_mut(key) else { return };
        queue.writers -= 1;
        if queue.writers > 0 {
            return;
        }
        queue.shared = Arc::default();
        let stays = std::mem::take(&mut queue.contended);
        idle.push_back(*key);
        let closed = if !stays {
            idle.pop_back()
        } else if idle.len() > self.max_idle {
            idle.pop_front()
        } else {
            None
        };
        if let Some(closed) = closed {
            by_key.remove(&closed);
            self.open.fetch_sub(1, Ordering::Release);
        }
    }
}

impl<T> WriteQueues<T> {
    fn queues(&self) -> MutexGuard<'_, Queues<T>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Slot<T> {
    /// Locks the value that the queue's writers share. The lock is never held across an await or while foreign code runs.
    pub(crate) fn shared(&self) -> MutexGuard<'_, T> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Default> Drop for Slot<T> {
    fn drop(&mut self) {
        self.queues.leave(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionId;

    fn key() -> StoreKey {
        StoreKey::derive("id", &SessionId::random())
    }

    #[test]
    fn the_last_writer_that_leaves_drops_what_was_shared() {
        for keeps_idle in [true, false] {
            let queues = Arc::new(WriteQueues::<u32>::new(keeps_idle));
            let key = key();
            assert!(queues.enter_if_open(&key).is_none());
            let first = queues.enter(&key);
            let second = queues.enter_if_open(&key).expect("it is open");
            *first.shared() = 7;
            drop(first);
            assert_eq!(*second.shared(), 7);
            drop(second);
            assert_eq!(queues.enter_if_open(&key).is_some(), keeps_idle, "several writers were there");
            assert_eq!(*queues.enter(&key).shared(), 0);
        }
    }

    #[test]
    fn a_writer_that_is_alone_closes_the_queue() {
        let queues = Arc::new(WriteQueues::<u32>::new(true));
        let key = key();
        drop((queues.enter(&key), queues.enter(&key)));
        drop(queues.enter_if_open(&key).expect("it is idle"));
        assert!(queues.enter_if_open(&key).is_none());
        assert_eq!(queues.open.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn idle_queues_have_a_bound() {
        let queues = Arc::new(WriteQueues::<u32>::new(true));
        let keys: Vec<_> = (0..IDLE + 2).map(|_| key()).collect();
        for key in &keys {
            drop((queues.enter(key), queues.enter(key)));
        }
        assert_eq!(queues.open.load(Ordering::SeqCst), IDLE);
        let open = keys.iter().filter(|key| queues.enter_if_open(key).is_some()).count();
        assert_eq!(open, IDLE);
        assert!(queues.queues().idle.is_empty(), "each was alone");
    }
}
