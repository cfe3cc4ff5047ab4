//! Waits for a server that starts at the same time as the application.

use std::future::Future;
use std::time::Duration;

use session_core::{ErrorKind, Result};
use tokio::time::{Instant, sleep};

/// First pause between two attempts. Each pause is twice as long as the one before.
const FIRST: Duration = Duration::from_millis(100);
/// Longest pause between two attempts.
const LONGEST: Duration = Duration::from_secs(1);

/// Opens a store with `open`, again and again while its server is [`Unavailable`](ErrorKind::Unavailable), until `wait` is over.
///
/// Returns the last attempt's error. With a `wait` of zero there is one attempt. An attempt that is in flight when the time is
/// over is not cut short.
///
/// ```
/// use std::cell::Cell;
///
/// use session_core::{Error, ErrorKind, seconds};
/// use session_store_kit::waiting;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let attempts = Cell::new(0);
/// let open = || async {
///     attempts.set(attempts.get() + 1);
///     if attempts.get() < 3 { Err(Error::from(ErrorKind::Unavailable)) } else { Ok("a store") }
/// };
/// assert_eq!(waiting(seconds(30), open).await.unwrap(), "a store");
/// # }
/// ```
///
/// # Errors
/// Those of `open`. Any but [`Unavailable`](ErrorKind::Unavailable) are returned at once.
///
/// # Panics
/// Outside a tokio runtime with time enabled, if it has to wait.
pub async fn waiting<T, F>(wait: Duration, open: impl Fn() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    if wait.is_zero() {
        return open().await;
    }
    let (end, mut pause) = (Instant::now() + wait, FIRST);
    loop {
        let error = match open().await {
            Err(error) if error.kind() == ErrorKind::Unavailable => error,
            opened => return opened,
        };
        if Instant::now() + pause > end {
            return Err(error);
        }
        tracing::info!(%error, "the session store is not ready yet and is opened again");
        // sleep: a server that does not run cannot tell when it will.
        sleep(pause).await;
        pause = (2 * pause).min(LONGEST);
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use session_core::{Error, seconds};

    use super::*;

    /// Opens after `unready` attempts that fail with `kind`. Returns the outcome, the number of attempts, and the time taken.
    async fn open(wait: Duration, unready: u32, kind: ErrorKind) -> (Result<()>, u32, Duration) {
        let (attempts, begun) = (Cell::new(0), Instant::now());
        let opened = waiting(wait, || async {
            attempts.set(attempts.get() + 1);
            if attempts.get() > unready { Ok(()) } else { Err(Error::from(kind)) }
        });
        (opened.await, attempts.get(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_not_ready_is_tried_until_the_time_is_over() {
        let (opened, attempts, took) = open(seconds(30), 4, ErrorKind::Unavailable).await;
        assert!(opened.is_ok());
        assert_eq!((attempts, took.as_millis()), (5, 100 + 200 + 400 + 800));
        let (opened, attempts, took) = open(seconds(3), u32::MAX, ErrorKind::Unavailable).await;
        assert_eq!(opened.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!((attempts, took.as_millis()), (6, 100 + 200 + 400 + 800 + 1000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_mistake_is_not_waited_for_and_no_wait_is_one_attempt() {
        for kind in [ErrorKind::Config, ErrorKind::Other, ErrorKind::Corrupt] {
            let (opened, attempts, _) = open(seconds(30), u32::MAX, kind).await;
            assert_eq!((opened.unwrap_err().kind(), attempts), (kind, 1));
        }
        let (opened, attempts, _) = open(Duration::ZERO, u32::MAX, ErrorKind::Unavailable).await;
        assert_eq!((opened.unwrap_err().kind(), attempts), (ErrorKind::Unavailable, 1));
    }
}
