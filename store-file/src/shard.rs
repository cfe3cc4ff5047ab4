//! Execution of calls that need a shard's lock: many under one lock, and never on a thread that drives futures.

use std::sync::Arc;
use std::time::Instant;

use session_core::{Error, ErrorKind, Result};
use session_store_kit::batch::{Answers, PerRuntime, RoundTrip, Trip};
use tokio::sync::Semaphore;
use tokio::task;

use crate::error::{self, PANICKED};
use crate::folder::Folder;
use crate::lock::{self, LockQueue};
use crate::operations::{self, Reply, Request};

/// One of the 256 shards of a namespace.
pub(crate) struct Shard {
    folder: Arc<Folder>,
    number: u8,
    lock: LockQueue,
    /// Limits the number of shards that a runtime writes to at once, because each takes one of its blocking threads.
    writers: PerRuntime<Semaphore>,
}

impl Shard {
    pub(crate) fn new(folder: Arc<Folder>, number: u8, writers: PerRuntime<Semaphore>) -> Self {
        let lock = LockQueue::new(folder.lock(number));
        Self { folder, number, lock, writers }
    }

    /// Executes the calls under the shard's lock.
    ///
    /// While the lock is held elsewhere, the wait takes no thread of the runtime and no writer permit.
    /// A shard that stays locked therefore does not delay the others.
    async fn under_lock(&self, requests: &[Request]) -> Result<Vec<Result<Reply>>> {
        if let Some(replies) = self.attempt(requests).await? {
            return Ok(replies);
        }
        let deadline = requests.iter().map(|request| request.deadline).max().unwrap_or_else(Instant::now);
        let (folder, number, requests) = (Arc::clone(&self.folder), self.number, requests.to_vec());
        self.lock.wait(deadline, move |guard| operations::run(&folder, number, guard, &requests)).await
    }

    /// Executes the calls if the lock is free. Returns `None` if another process or store holds it.
    async fn attempt(&self, requests: &[Request]) -> Result<Option<Vec<Result<Reply>>>> {
        let permit = self.writers.get()?.acquire_owned().await;
        let (folder, number, path, requests) =
            (Arc::clone(&self.folder), self.number, self.lock.path().to_owned(), requests.to_vec());
        blocking(move || {
            let _permit = permit;
            let guard = lock::take(&path).map_err(|error| error::in_use(&error))?;
            Ok(guard.map(|guard| operations::run(&folder, number, &guard, &requests)))
        })
        .await
    }
}

impl RoundTrip<Request> for Shard {
    async fn run(&self, requests: &[Request], _trip: Trip) -> Answers<Request> {
        // The error applies to every call, so retrying each call separately would not help.
        let replies = self.under_lock(requests).await;
        Ok(replies.unwrap_or_else(|error| requests.iter().map(|_| Err(error.clone())).collect()))
    }
}

/// Runs work that reads or writes files on a blocking thread.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(broken) if broken.is_panic() => Err(PANICKED),
        Err(_) => Err(Error::fixed(ErrorKind::Unavailable, "the runtime is shutting down")),
    }
}
