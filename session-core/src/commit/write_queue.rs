//! Queues of writers, one for each key that several tasks of this process write at once.
//!
//! A queue holds what its writers share, and knows nothing of it.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use crate::StoreKey;
use crate::sync::atomic::{AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

/// All queues of one manager.
pub(crate) struct WriteQueues<T> {
    queues: Mutex<HashMap<StoreKey, Queue<T>>>,
    /// How many there are, so that the usual case (none) takes no lock.
    open: AtomicUsize,
}

struct Queue<T> {
    shared: Arc<Mutex<T>>,
    writers: usize,
}

/// A writer's place in a queue. The last writer that leaves, by dropping its slot, closes the queue.
pub(crate) struct Slot<T> {
    queues: Arc<WriteQueues<T>>,
    key: StoreKey,
    shared: Arc<Mutex<T>>,
}

impl<T> Default for WriteQueues<T> {
    fn default() -> Self {
        Self { queues: Mutex::default(), open: AtomicUsize::new(0) }
    }
}

impl<T: Default> WriteQueues<T> {
    /// Enters the queue of `key`, if there is one.
    pub(crate) fn enter_if_open(self: &Arc<Self>, key: &StoreKey) -> Option<Slot<T>> {
        if self.open.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut queues = self.queues();
        let queue = queues.get_mut(key)?;
        queue.writers += 1;
        Some(self.slot(key, queue))
    }

    /// Enters the queue of `key`, and opens it if there is none.
    pub(crate) fn enter(self: &Arc<Self>, key: &StoreKey) -> Slot<T> {
        let mut queues = self.queues();
        let queue = queues.entry(*key).or_insert_with(|| {
            self.open.fetch_add(1, Ordering::Release);
            Queue { shared: Arc::default(), writers: 0 }
        });
        queue.writers += 1;
        self.slot(key, queue)
    }

    fn slot(self: &Arc<Self>, key: &StoreKey, queue: &Queue<T>) -> Slot<T> {
        Slot { queues: self.clone(), key: *key, shared: queue.shared.clone() }
    }
}

impl<T> WriteQueues<T> {
    fn queues(&self) -> MutexGuard<'_, HashMap<StoreKey, Queue<T>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Slot<T> {
    /// What the queue's writers share. Never held across an await or while foreign code runs.
    pub(crate) fn shared(&self) -> MutexGuard<'_, T> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        let mut queues = self.queues.queues();
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.writers -= 1;
            if queue.writers == 0 {
                queues.remove(&self.key);
                self.queues.open.fetch_sub(1, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SessionId;

    #[test]
    fn the_last_writer_that_leaves_closes_the_queue() {
        let queues = Arc::<WriteQueues<u32>>::default();
        let key = StoreKey::derive("id", &SessionId::random());
        assert!(queues.enter_if_open(&key).is_none());
        let first = queues.enter(&key);
        let second = queues.enter_if_open(&key).expect("it is open");
        *first.shared() = 7;
        drop(first);
        assert_eq!(*second.shared(), 7);
        drop(second);
        assert!(queues.enter_if_open(&key).is_none());
        assert_eq!(queues.open.load(Ordering::SeqCst), 0);
        assert_eq!(*queues.enter(&key).shared(), 0);
    }
}
