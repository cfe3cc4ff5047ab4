//! Count of the commits in flight, for a shutdown that waits for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Counts commits that run in tasks of their own. Clones share one count.
#[derive(Clone, Default)]
pub(crate) struct Drain(Arc<Inner>);

#[derive(Default)]
struct Inner {
    running: AtomicUsize,
    none: Notify,
}

/// Commit that counts until this is dropped.
pub(crate) struct Running(Drain);

impl Drain {
    pub(crate) fn enter(&self) -> Running {
        self.0.running.fetch_add(1, Ordering::SeqCst);
        Running(self.clone())
    }

    /// Waits until no commit is running.
    pub(crate) async fn drained(&self) {
        loop {
            // Registered before the count is read, so that no notification is missed.
            let mut none = std::pin::pin!(self.0.none.notified());
            none.as_mut().enable();
            if self.0.running.load(Ordering::SeqCst) == 0 {
                return;
            }
            none.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let inner = &*self.0.0;
        if inner.running.fetch_sub(1, Ordering::SeqCst) == 1 {
            inner.none.notify_waiters();
        }
    }
}
