//! Work that calls share: its future runs in a task of its own, so no call depends on another one's being polled.

use std::sync::{Mutex, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use session_core::Result;

use crate::error;

/// Result of the work.
type Work<T> = Shared<BoxFuture<'static, Result<T>>>;

/// Piece of work of which at most one is under way.
pub(crate) struct SharedWork<T: Clone>(Mutex<Option<Work<T>>>);

impl<T: Clone + Send + Sync + 'static> SharedWork<T> {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// Waits for the work that is under way, or begins it.
    pub(crate) async fn join(&self, begin: impl FnOnce() -> BoxFuture<'static, Result<T>>) -> Result<T> {
        let work = {
            let mut work = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match work.as_ref().filter(|work| work.peek().is_none()) {
                Some(work) => work.clone(),
                None => {
                    let task = tokio::spawn(begin());
                    let result = async move { task.await.unwrap_or_else(|_| Err(error::STOPPED)) };
                    work.insert(result.boxed().shared()).clone()
                }
            }
        };
        work.await
    }
}
