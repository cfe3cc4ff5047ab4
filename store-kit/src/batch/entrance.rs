//! Count of the calls in flight, for closing a store.

use std::sync::atomic::{AtomicBool, Ordering};

use session_core::{Error, ErrorKind, Result};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Error of a call to a store that was closed: [`ErrorKind::Unavailable`].
pub const CLOSED: Error = Error::fixed(ErrorKind::Unavailable, "the store was closed; open it again");

/// Lets calls into a store until it is closed, and then waits for those that are inside.
///
/// ```
/// use session_store_kit::batch::Entrance;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> session_core::Result<()> {
/// let entrance = Entrance::default();
/// let pass = entrance.enter()?;
/// drop(pass);
/// entrance.close().await;
/// assert!(entrance.enter().is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Entrance {
    closed: AtomicBool,
    inside: watch::Sender<()>,
}

/// Held as long as a call or a thread needs what the store holds.
#[derive(Clone, Debug)]
pub struct Pass(#[expect(dead_code, reason = "it is counted")] watch::Receiver<()>);

impl Default for Entrance {
    fn default() -> Self {
        Self { closed: AtomicBool::new(false), inside: watch::channel(()).0 }
    }
}

impl Entrance {
    /// Lets a call in.
    ///
    /// # Errors
    /// [`CLOSED`] after [`close`](Self::close) has begun.
    pub fn enter(&self) -> Result<Pass> {
        // Counted before the look, so that either this call sees that the store is closed or `close` waits for it.
        let pass = Pass(self.inside.subscribe());
        if self.closed.load(Ordering::SeqCst) { Err(CLOSED) } else { Ok(pass) }
    }

    /// Lets no further call in, and waits until every [`Pass`] is dropped.
    pub async fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        self.inside.closed().await;
    }

    /// Like [`close`](Self::close), but waits no longer than `until`. A future that is never polled again keeps its pass for ever.
    pub async fn close_by(&self, until: Instant) {
        // What is still inside then ends by itself.
        let _ = timeout_at(until, self.close()).await;
    }
}
