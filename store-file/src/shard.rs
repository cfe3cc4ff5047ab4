//! The calls that need a shard's lock, many under one lock, and none on a thread that drives futures.

use std::sync::Arc;
use std::time::Instant;

use session_core::{Error, ErrorKind, Result};
use store_batch::{Answers, PerRuntime, RoundTrip};
use tokio::sync::Semaphore;
use tokio::task;

use crate::error;
use crate::error::PANICKED;
use crate::folder::Folder;
use crate::lock::{self, Turn};
use crate::write::{self, Answer, Op};

/// One of the 256 parts of a namespace.
pub(crate) struct Shard {
    folder: Arc<Folder>,
    number: u8,
    turn: Turn,
    /// How many shards of the store a runtime may write to at once: each takes one of its threads meanwhile.
    writers: PerRuntime<Semaphore>,
}

impl Shard {
    pub(crate) fn new(folder: Arc<Folder>, number: u8, writers: PerRuntime<Semaphore>) -> Self {
        let turn = Turn::new(folder.lock(number));
        Self { folder, number, turn, writers }
    }

    /// Whoever waits for another process's lock keeps no thread of the runtime's and no place among the writers,
    /// so a shard that somebody does not let go of keeps up no other.
    async fn under_lock(&self, ops: &[Op]) -> Result<Vec<Result<Answer>>> {
        if let Some(answers) = self.attempt(ops).await? {
            return Ok(answers);
        }
        let until = ops.iter().map(|op| op.until).max().unwrap_or_else(Instant::now);
        let (folder, number, ops) = (Arc::clone(&self.folder), self.number, ops.to_vec());
        self.turn.wait(until, move |held| write::run(&folder, number, held, &ops)).await
    }

    /// `None` when another process or runtime has the lock.
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

impl RoundTrip for Shard {
    type Item = Op;

    async fn run(&self, ops: &[Op]) -> Answers<Op> {
        // An error here is everybody's, and there is nothing to be gained by doing each call alone.
        let answers = self.under_lock(ops).await;
        Ok(answers.unwrap_or_else(|error| ops.iter().map(|_| Err(error.clone())).collect()))
    }
}

/// Runs what reads or writes files on a thread for that.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(broken) if broken.is_panic() => Err(PANICKED),
        Err(_) => Err(Error::fixed(ErrorKind::Unavailable, "the runtime is shutting down")),
    }
}
