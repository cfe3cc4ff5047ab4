//! A helper that drops futures.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

/// Polls `future` at most `most` times, and then drops it. Returns `None` if it was not ready by then.
pub(super) async fn poll_at_most<F: Future>(most: Option<usize>, future: F) -> Option<F::Output> {
    let Some(mut left) = most else { return Some(future.await) };
    let mut future = pin!(future);
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}
