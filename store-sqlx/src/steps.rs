//! A removal of many rows in bounded steps.

use tokio::time::Instant;

use crate::dialect::Dialect;
use crate::failure::Failure;

/// Progress of a removal in steps, each of which is kept when a later one fails.
///
/// One statement for a million rows would be undone by its time-out each time, and never make progress.
#[derive(Debug)]
pub struct Steps {
    limit: i64,
    until: Instant,
    removed: i64,
    done: bool,
}

impl Steps {
    /// Begins a removal whose steps find at most `limit` rows each, and none of which begins after `until`.
    pub fn new(limit: u32, until: Instant) -> Self {
        Self { limit: limit.into(), until, removed: 0, done: false }
    }

    /// Whether no row is left.
    pub const fn done(&self) -> bool {
        self.done
    }

    /// Notes the numbers of rows that a step found and removed. A row that was found may have been removed by another client.
    ///
    /// After the first step, the step that met a lock or a deadlock is to be repeated. Repeating the whole removal would lose the
    /// number of rows.
    ///
    /// # Errors
    /// Any other error of the step.
    pub fn note<D: Dialect>(&mut self, step: sqlx::Result<(i64, i64)>) -> sqlx::Result<()> {
        match step {
            Ok((found, removed)) => {
                self.removed += removed;
                self.done = found < self.limit;
                // The caller is told that time is over.
                if self.done || Instant::now() < self.until { Ok(()) } else { Err(sqlx::Error::PoolTimedOut) }
            }
            Err(error) => match D::failure(&error) {
                Failure::Locked(_) | Failure::Again(_) if self.removed > 0 && Instant::now() < self.until => Ok(()),
                _ => Err(error),
            },
        }
    }

    /// Returns the number of rows removed.
    pub fn removed(&self) -> u64 {
        u64::try_from(self.removed).unwrap_or_default()
    }
}
