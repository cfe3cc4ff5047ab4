//! Promises that differ when threads run the batches.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;

use session_core::{ErrorKind, Result, StoreKey, seconds};
use session_store_kit::batch::{Answers, Item, Limits, Undone, Worker, Workers};
use tokio::sync::mpsc as queue;
use tokio::time;

struct Call(u32);

impl Item for Call {
    type Output = u32;

    fn key(&self) -> Option<StoreKey> {
        None
    }

    /// Whether both numbers are below 100, or both are not.
    fn goes_with(&self, other: &Self) -> bool {
        (self.0 < 100) == (other.0 < 100)
    }

    fn len(&self) -> usize {
        4
    }
}

/// A worker that reports each batch to the test, waits for permission to run it, and panics for 13. Of a batch with 77, it carries out only 1.
struct Gated {
    seen: queue::UnboundedSender<Vec<u32>>,
    leave: mpsc::Receiver<()>,
}

impl Worker for Gated {
    type Item = Call;

    fn run(&mut self, items: &[Call]) -> Answers<Call> {
        let numbers: Vec<_> = items.iter().map(|call| call.0).collect();
        self.seen.send(numbers.clone()).unwrap();
        self.leave.recv().unwrap();
        assert!(!numbers.contains(&13));
        if numbers.contains(&77) {
            let answer = |n| (n == 1).then_some(Ok(n));
            return Err(Undone::part(numbers.into_iter().map(answer).collect(), ErrorKind::Unavailable.into()));
        }
        Ok(numbers.into_iter().map(Ok).collect())
    }
}

fn start(limits: Limits) -> (Workers<Call>, queue::UnboundedReceiver<Vec<u32>>, mpsc::Sender<()>) {
    let (seen, batches) = queue::unbounded_channel();
    let (go, leave) = mpsc::channel();
    (Workers::start("test", [Gated { seen, leave }], limits).unwrap(), batches, go)
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<u32>> + Send + 'a>>;

/// Polls a call once, so that it is queued or in flight on return. Calls keep the order in which they were begun.
async fn begin(workers: &Workers<Call>, n: u32) -> Answer<'_> {
    let mut answer: Answer<'_> = Box::pin(workers.call(Call(n)));
    poll_fn(|cx| {
        assert!(answer.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    answer
}

/// Makes a call as soon as a thread looks for work.
async fn offer(workers: &Workers<Call>, n: u32) -> Answer<'_> {
    loop {
        if let Ok(answer) = workers.try_call(Call(n)) {
            return Box::pin(answer);
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn what_arrives_while_the_thread_is_busy_forms_the_next_batch() {
    let (workers, mut batches, go) = start(Limits::for_threads());
    let zero = begin(&workers, 0).await;
    assert_eq!(batches.recv().await.unwrap(), [0]);
    let one = begin(&workers, 1).await;
    let two = begin(&workers, 2).await;
    go.send(()).unwrap();
    assert_eq!(batches.recv().await.unwrap(), [1, 2]);
    go.send(()).unwrap();
    assert_eq!((zero.await.unwrap(), one.await.unwrap(), two.await.unwrap()), (0, 1, 2));
}

#[tokio::test]
async fn a_batch_ends_before_what_does_not_go_with_it() {
    let (workers, mut batches, go) = start(Limits::for_threads());
    let mut calls = vec![begin(&workers, 0).await];
    assert_eq!(batches.recv().await.unwrap(), [0]);
    for n in [1, 2, 100, 101, 3] {
        calls.push(begin(&workers, n).await);
    }
    for expected in [vec![1, 2], vec![100, 101], vec![3]] {
        go.send(()).unwrap();
        assert_eq!(batches.recv().await.unwrap(), expected);
    }
    go.send(()).unwrap();
    for (call, n) in calls.into_iter().zip([0, 1, 2, 100, 101, 3]) {
        assert_eq!(call.await.unwrap(), n);
    }
}

#[tokio::test]
async fn a_thread_that_rests_takes_the_next_call_and_ends_with_its_handle() {
    let (workers, mut batches, go) = start(Limits::for_threads().rest(Duration::from_secs(3600)));
    for n in 1..=3 {
        let call = offer(&workers, n).await;
        assert_eq!(batches.recv().await.unwrap(), [n]);
        assert!(workers.is_busy());
        assert_eq!(workers.try_call(Call(9)).map(drop).unwrap_err().0, 9, "no thread looks for work");
        go.send(()).unwrap();
        assert_eq!(call.await.unwrap(), n);
        assert!(!workers.is_busy());
    }
    let four = offer(&workers, 4).await;
    assert!(workers.try_call(Call(9)).is_err(), "another call is before it");
    go.send(()).unwrap();
    assert_eq!(four.await.unwrap(), 4);
    assert_eq!(batches.recv().await.unwrap(), [4]);
    drop(workers);
    assert_eq!(batches.recv().await, None, "the worker was dropped with its thread");
}

#[tokio::test]
async fn what_panicked_is_not_run_again_and_the_thread_goes_on() {
    let (workers, mut batches, go) = start(Limits::for_threads());
    let _zero = begin(&workers, 0).await;
    assert_eq!(batches.recv().await.unwrap(), [0]);
    let one = begin(&workers, 1).await;
    let thirteen = begin(&workers, 13).await;
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    assert_eq!(batches.recv().await.unwrap(), [1, 13]);
    // The worker may have carried out call 1 before it panicked.
    assert_eq!(one.await.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(thirteen.await.unwrap_err().kind(), ErrorKind::Other);
    assert_eq!(workers.call(Call(2)).await.unwrap(), 2);
    assert_eq!(batches.recv().await.unwrap(), [2]);
}

#[tokio::test]
async fn an_undone_call_runs_on_its_own_within_its_deadline() {
    let (workers, mut batches, go) = start(Limits::for_threads());
    let _zero = begin(&workers, 0).await;
    assert_eq!(batches.recv().await.unwrap(), [0]);
    let one = begin(&workers, 1).await;
    let refused = begin(&workers, 77).await;
    let gone = begin(&workers, 3).await;
    go.send(()).unwrap();
    assert_eq!(batches.recv().await.unwrap(), [1, 77, 3]);
    drop(gone);
    for _ in 0..3 {
        go.send(()).unwrap();
    }
    // Only the call that was undone runs again, and not if its caller has gone away.
    assert_eq!(batches.recv().await.unwrap(), [77]);
    assert_eq!(one.await.unwrap(), 1);
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(workers.call(Call(2)).await.unwrap(), 2);
    assert_eq!(batches.recv().await.unwrap(), [2]);
}

#[tokio::test]
async fn a_blocked_thread_is_unavailable_within_the_time_out() {
    let (workers, mut batches, go) = start(Limits::for_threads().timeout(seconds(60)));
    let zero = begin(&workers, 0).await;
    assert_eq!(batches.recv().await.unwrap(), [0]);
    let one = begin(&workers, 1).await;
    // The thread runs in real time. The clock is paused, and jumps to the time-out, only while the test expects nothing of it.
    time::pause();
    assert_eq!(zero.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(one.await.unwrap_err().kind(), ErrorKind::Unavailable);
    time::resume();
    let two = begin(&workers, 2).await;
    go.send(()).unwrap();
    assert_eq!(batches.recv().await.unwrap(), [2]);
    go.send(()).unwrap();
    assert_eq!(two.await.unwrap(), 2);
}

#[tokio::test]
async fn the_thread_runs_what_waits_and_ends_with_its_handle() {
    let (workers, mut batches, go) = start(Limits::for_threads());
    let zero = begin(&workers, 0).await;
    assert_eq!(batches.recv().await.unwrap(), [0]);
    drop(zero);
    drop(workers);
    go.send(()).unwrap();
    assert_eq!(batches.recv().await, None, "the worker was dropped with its thread");
}
