//! Commits that outlive their clients.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use session_http::{CommitReport, Exchange};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::drain::Drain;

/// Commit that only the end of the runtime can stop.
pub(crate) enum DetachedCommit {
    /// Polled by the response future: not polled yet, or there is no runtime for a task.
    Here(Pin<Box<dyn Future<Output = CommitReport> + Send>>, Drain),
    Detached(JoinHandle<CommitReport>),
}

impl DetachedCommit {
    pub(crate) fn new(exchange: Exchange, drain: &Drain) -> Self {
        Self::Here(Box::pin(commit(exchange)), drain.clone())
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CommitReport> {
        if let Self::Here(commit, drain) = self {
            // Most commits finish at their first poll and need no task.
            if let Poll::Ready(committed) = commit.as_mut().poll(cx) {
                return Poll::Ready(committed);
            }
            let Ok(runtime) = Handle::try_current() else { return Poll::Pending };
            let waiting = std::mem::replace(commit, Box::pin(std::future::pending()));
            let running = drain.enter();
            *self = Self::Detached(runtime.spawn(async move {
                let _running = running;
                waiting.await
            }));
        }
        let Self::Detached(task) = self else { return Poll::Pending };
        match ready!(Pin::new(task).poll(cx)) {
            Ok(committed) => Poll::Ready(committed),
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            // Only a runtime that shuts down cancels the task, and it polls no more futures after that.
            Err(_) => Poll::Pending,
        }
    }
}

async fn commit(exchange: Exchange) -> CommitReport {
    let committed = exchange.commit().await;
    if let Some(error) = &committed.error {
        // The client may have gone, so this event may be the only trace of the error.
        exchange.abandon_because(&format!("a request could not be committed ({error})"));
    }
    committed
}

/// Exchange of a handler that runs. It is abandoned if the handler's future is dropped or panics.
///
/// A logout is carried out nevertheless, in a task of its own. `None` if an outer layer commits.
pub(crate) struct Uncommitted {
    exchange: Option<Exchange>,
    drain: Drain,
}

impl Uncommitted {
    pub(crate) fn new(exchange: Option<Exchange>, drain: &Drain) -> Self {
        Self { exchange, drain: drain.clone() }
    }

    /// Returns the exchange of a handler that has answered. The caller commits it.
    pub(crate) fn take(&mut self) -> Option<Exchange> {
        self.exchange.take()
    }
}

impl Drop for Uncommitted {
    fn drop(&mut self) {
        let Some(exchange) = self.exchange.take() else { return };
        exchange.abandon_because("a handler panicked, or was dropped before it answered");
        if exchange.has_ends()
            && let Ok(runtime) = Handle::try_current()
        {
            let running = self.drain.enter();
            runtime.spawn(async move {
                let _running = running;
                commit(exchange).await
            });
        }
    }
}
