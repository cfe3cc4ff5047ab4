//! The removal of expired sessions, round after round.

use std::future::ready;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::Manager;
use crate::Result;

/// Records removed in one transaction: short enough that requests do not notice.
const STEP: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");

/// A longer pause is the same as none at all.
const LONGEST_PAUSE: Duration = crate::days(365);

impl Manager {
    /// Removes what has expired, in short steps, and answers how much.
    ///
    /// # Errors
    /// Those of the store. What was removed before stays removed.
    pub async fn purge(&self) -> Result<u64> {
        self.purge_pausing(&|_| ready(())).await
    }

    /// Gives others a turn after each step, for as long as the step took: a store with one writer has nothing left for them otherwise.
    async fn purge_pausing<F: Future<Output = ()>>(&self, pause: &(impl Fn(Duration) -> F + Sync)) -> Result<u64> {
        let mut removed = 0;
        loop {
            let begun = Instant::now();
            let purged = self.env.store().purge(&self.env.call(), STEP).await?;
            removed += u64::from(purged.removed);
            if !purged.more {
                return Ok(removed);
            }
            pause(begun.elapsed()).await;
        }
    }

    /// Removes what has expired, about once per `every`, for ever: for a task of its own.
    ///
    /// The first round comes after a random part of `every`, and each pause varies by a tenth, so that processes started
    /// together do not sweep together. Within a round, each step is followed by a pause as long as the step.
    /// An error is logged and the next round tried.
    ///
    /// `sleep` is the runtime's, such as `tokio::time::sleep`, since this crate has no runtime.
    ///
    /// ```
    /// # use session_core::{Manager, minutes};
    /// # async fn tokio_sleep(_: std::time::Duration) {}
    /// # fn spawn(_: impl Future<Output = std::convert::Infallible> + Send + 'static) {}
    /// # fn start(manager: Manager) {
    /// spawn(manager.purge_every(minutes(5), tokio_sleep));
    /// # }
    /// ```
    pub fn purge_every<S, F>(
        &self,
        every: Duration,
        sleep: S,
    ) -> impl Future<Output = std::convert::Infallible> + Send + 'static
    where
        S: Fn(Duration) -> F + Send + Sync + 'static,
        F: Future<Output = ()> + Send,
    {
        let manager = self.clone();
        // What is multiplied below must not exceed what a duration holds.
        let every = every.min(LONGEST_PAUSE);
        async move {
            sleep(every.mul_f64(rand::random::<f64>())).await;
            loop {
                match manager.purge_pausing(&sleep).await {
                    Ok(removed) => tracing::debug!(name = %manager.name(), removed, "expired sessions removed"),
                    Err(error) => {
                        tracing::error!(name = %manager.name(), %error, "expired sessions could not be removed")
                    }
                }
                sleep(every.mul_f64(0.9 + 0.2 * rand::random::<f64>())).await;
            }
        }
    }
}
