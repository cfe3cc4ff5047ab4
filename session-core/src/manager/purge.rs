//! Removal of expired records.

use std::future::ready;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use super::Manager;
use crate::Result;

/// Maximum number of records removed in one transaction. A short transaction does not delay requests.
const STEP: NonZeroU32 = NonZeroU32::new(1_000).expect("not zero");

/// Maximum pause between two rounds.
const LONGEST_PAUSE: Duration = crate::days(365);

impl Manager {
    /// Removes expired records in short steps. Returns how many were removed.
    ///
    /// ```
    /// # use session_core::{Manager, Result};
    /// async fn clean_up(manager: &Manager) -> Result<()> {
    ///     let removed = manager.purge().await?;
    ///     println!("{removed} expired sessions removed");
    ///     Ok(())
    /// }
    /// # pollster::block_on(clean_up(&Manager::new(session_core::NullStore))).unwrap();
    /// ```
    ///
    /// # Errors
    /// Errors of the store. Records that were removed before the error stay removed.
    pub async fn purge(&self) -> Result<u64> {
        self.purge_pausing(&|_| ready(())).await
    }

    /// Removes expired records, and pauses after each step for as long as the step took.
    ///
    /// Without pauses a purge would block all other writers of a store that has one writer at a time.
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

    /// Removes expired records about once per `every`. The future never ends, so spawn it as a task.
    ///
    /// The first round starts after a random part of `every`, and each pause varies by a tenth, so that processes started
    /// together do not purge together. Within a round, each step is followed by a pause as long as the step.
    /// An error is logged, and the next round runs as usual.
    ///
    /// `sleep` is a function of the runtime, such as `tokio::time::sleep`, because this crate has no runtime.
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
        // The products below must fit into a `Duration`.
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
