//! Rows that other clients have locked: how long a statement waits for them, and when batches leave them out.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{Error, ErrorKind, Outcome, Result, StoreKey};
use session_store_kit::batch::{Answers, Undone};
use tokio::time::Instant;

use crate::outcome::Write;

/// Error of a write whose row stayed locked.
pub(crate) const LOCKED: Error =
    Error::fixed(ErrorKind::Unavailable, "the row of the session is locked by another client; try again");

/// Time for which batches leave out locked rows after they have met one.
const WARY: Duration = Duration::from_secs(10);

/// Treatment of locked rows by a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Locks {
    /// The batch waits for them, for as long as the server's limits allow.
    Wait,
    /// The batch waits for none, and leaves the calls for locked rows undone.
    Skip,
}

impl Locks {
    /// Returns the answers of a batch of writes from their outcomes. `there` holds the keys of existing rows that the batch
    /// could not lock.
    pub fn answers<W: Write>(items: &[W], outcomes: Vec<Result<Outcome>>, there: &HashSet<StoreKey>) -> Answers<W> {
        if there.is_empty() {
            return Ok(outcomes);
        }
        let answers = items.iter().zip(outcomes);
        let answers = answers.map(|(item, outcome)| (!there.contains(item.target())).then_some(outcome));
        Err(Undone::part(answers.collect(), LOCKED))
    }
}

/// Whether locked rows were met lately.
///
/// A statement that skips locked rows needs further ones to tell them from missing rows, so it is used only after a lock was met.
#[derive(Debug, Default)]
pub(crate) struct Wariness(Mutex<Option<Instant>>);

impl Wariness {
    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a locked row was met.
    pub(crate) fn met(&self) {
        *self.lock() = Some(Instant::now());
    }

    /// Returns how the next batch treats locked rows.
    pub(crate) fn locks(&self) -> Locks {
        let mut met = self.lock();
        if met.is_some_and(|met| met.elapsed() > WARY) {
            *met = None;
        }
        if met.is_some() { Locks::Skip } else { Locks::Wait }
    }
}

/// Limits that the server applies to the statements of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerLimits {
    /// Maximum wait for a lock.
    pub lock: Duration,
    /// Maximum time of a statement.
    pub statement: Duration,
}

impl ServerLimits {
    /// Returns the limits of a connection whose calls may take `timeout`.
    ///
    /// A wait for a lock is short, because all writes behind it wait as well. A call whose row stays locked is run again on its own,
    /// with the limits of [`alone`](Self::alone).
    pub fn usual(timeout: Duration) -> Self {
        Self { lock: timeout / 50, statement: timeout / 2 }
    }

    /// Returns the limits for a call that is run on its own with this much time left. It may wait for a lock almost that long, so
    /// that the server's refusal still reaches the caller.
    pub fn alone(left: Duration) -> Self {
        Self { lock: left / 8 * 7, statement: left / 8 * 7 }
    }

    /// Returns these limits, for calls with this much time left.
    #[must_use]
    pub fn within(self, left: Duration) -> Self {
        Self { lock: self.lock.min(left), statement: self.statement.min(left) }
    }

    /// Maximum time of a transaction, after which the server ends the connection. It is longer than that of a statement, after
    /// which the connection can still be used.
    ///
    /// It bounds the locks of a process that vanished from the network in the middle of a batch.
    pub fn transaction(&self) -> Duration {
        self.statement + self.statement / 4
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn batches_skip_locked_rows_for_a_while_after_they_have_met_one() {
        let wariness = Wariness::default();
        assert_eq!(wariness.locks(), Locks::Wait);
        wariness.met();
        advance(WARY / 2).await;
        assert_eq!(wariness.locks(), Locks::Skip);
        wariness.met();
        advance(WARY).await;
        assert_eq!(wariness.locks(), Locks::Skip);
        advance(Duration::from_secs(1)).await;
        assert_eq!(wariness.locks(), Locks::Wait);
    }

    #[test]
    fn what_a_lost_process_holds_is_free_before_other_calls_time_out() {
        for timeout in [Duration::from_millis(200), Duration::from_secs(5), Duration::from_secs(3600)] {
            let usual = ServerLimits::usual(timeout);
            assert!(usual.transaction() < ServerLimits::alone(timeout).lock);
            assert!(ServerLimits::alone(timeout).transaction() < timeout + timeout / 8);
        }
    }
}
