//! Reads that are repeated until there is a proof that the leader which answered leads.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::FutureExt as _;
use futures_util::future::join;
use session_core::Result;
use session_store_kit::TIMED_OUT;
use tokio::time::{Instant, timeout};

use crate::api::{Content, Expected};
use crate::local::Local;

/// Seconds after which the server removes the last probe.
const PROBE_LIVES: i64 = 600;

impl Local {
    /// Runs a read until there is a proof that the leader which answered it leads. The caller limits the time.
    pub(crate) async fn believed<T, F: Future<Output = Result<T>>>(
        self: &Arc<Self>,
        read: impl Fn() -> F,
    ) -> Result<T> {
        if !self.at.replicated {
            return read().await;
        }
        loop {
            let now = Instant::now();
            let timed = async { (read().await, Instant::now()) };
            let (answer, came) = if self.proof.is_mine(now) || !self.proof.covers(now) {
                let ((answer, came), proved) = join(timed, self.prove()).await;
                // A proof that could not be renewed may still count.
                if let Err(error) = proved
                    && !self.proof.covers(came)
                {
                    return Err(error);
                }
                (answer, came)
            } else {
                timed.await
            };
            let answer = answer?;
            if self.proof.covers(came) {
                return Ok(answer);
            }
        }
    }

    /// Writes the probe. Calls that need one at the same time share it.
    async fn prove(self: &Arc<Self>) -> Result<()> {
        let local = Arc::clone(self);
        let probe = move || {
            async move {
                let (subject, content) = (local.at.subjects.probe(), Content::Value(Bytes::from_static(&[1])));
                let writing = local.put(&subject, content, Expected::Any, Some(PROBE_LIVES));
                timeout(local.at.timeout, writing).await.unwrap_or(Err(TIMED_OUT)).map(drop)
            }
            .boxed()
        };
        self.proof.probing.join(probe).await
    }
}
