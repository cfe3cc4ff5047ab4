//! Execution of calls that need a shard's lock: many under one lock, and never on a thread that drives futures.

use std::sync::Arc;
use std::time::Instant;

use session_core::{Error, ErrorKind, Result};
use session_store_kit::batch::{Answers, PerRuntime, RoundTrip};
use tokio::sync::Semaphore;
use tokio::task;

use crate::error;
use crate::error::PANICKED;
use crate::folder::Folder;
use crate::lock::{self, Turn};
use crate::write::{self, Answer, Op};

/// One of the 256 shards of a namespace.
pub(crate) struct Shard {
    folder: Arc<Folder>,
    number: u8,
    turn: Turn,
    /// Limits the number of shards that a runtime writes to at once, because each takes one of its blocking threads.
    writers: PerRuntime<Semaphore>,
}

impl Shard {
    pub(crate) fn new(folder: Arc<Folder>, number: u8, writers: PerRuntime<Semaphore>) -> Self {
        let turn = Turn::new(folder.lock(number));
        Self { folder, number, turn, writers }
    }

    /// Executes the calls under the shard's lock.
    ///
    /// While the lock is held elsewhere, the wait takes no thread of the runtime and no writer permit.
    /// A shard that stays locked therefore does not delay the others.
    async fn under_lock(&self, ops: &[Op]) -> Result<Vec<Result<Answer>>> {
        if let Some(answers) = self.attempt(ops).await? {
            return Ok(answers);
        }
        let until = ops.iter().map(|op| op.until).max().unwrap_or_else(Instant::now);
        let (folder, number, ops) = (Arc::clone(&self.folder), self.number, ops.to_vec());
        self.turn.wait(until, move |held| write::run(&folder, number, held, &ops)).await
    }

    /// Executes the calls if the lock is free. Returns `None` if another process or store holds it.
    async fn attempt(&self, ops: &[Op]) -> Result<Option<Vec<Result<Answer>>>> {
        let permit = self.writers.get()?.acquire_owned().await;
        let (folder, number, path, ops) =
            (Arc::clone(&self.folder), self.number, self.turn.path().to_owned(), ops.to_vec());
        blocking(move || {
            let _permit = permit;
            let held = lock::take(&path).map_err(|error| error::in_use(&error))?;
            Ok(held.map(|held| write::run(&folder, number, &held, &ops)))
        })
        .await
    }
}

impl RoundTrip<Op> for Shard {
    async fn run(&self, ops: &[Op]) -> Answers<Op> {
        // The error applies to every call, so retrying each call separately would not help.
        let answers = self.under_lock(ops).await;
        Ok(answers.unwrap_or_else(|error| ops.iter().map(|_| Err(error.clone())).collect()))
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
