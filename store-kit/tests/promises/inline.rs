//! Inline calls: no difference can be seen, except that no task is spawned.

use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Wake, Waker};

use session_core::{ErrorKind, Result, seconds};
use session_store_kit::batch::{Answers, Batcher, Limits, RoundTrip, Trip};
use tokio::runtime::Handle;

use crate::wire::{Call, begin, busy, call, open};

fn limits() -> Limits {
    Limits::for_tasks(1).inline(true)
}

/// Returns the number of tasks that run batches. One more task waits for the end of the runtime.
fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks() - 1
}

#[tokio::test]
async fn a_call_that_is_alone_needs_no_task_until_another_one_comes() {
    let (batcher, mut trips, zero, trip) = busy(limits()).await;
    assert_eq!(tasks(), 0);
    let one = begin(&batcher, call(1)).await;
    assert_eq!(tasks(), 1);
    trip.succeed();
    trips.recv().await.unwrap().succeed();
    assert_eq!((zero.await.unwrap(), one.await.unwrap()), (0, 1));
    assert_eq!(tasks(), 0);
    let two = begin(&batcher, call(2)).await;
    trips.recv().await.unwrap().succeed();
    assert_eq!((tasks(), two.await.unwrap()), (0, 2));
}

#[tokio::test]
async fn a_caller_that_stops_polling_holds_up_no_other() {
    let (batcher, mut trips, zero, trip) = busy(limits()).await;
    let one = begin(&batcher, call(1)).await;
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [1]);
    trip.succeed();
    assert_eq!(one.await.unwrap(), 1);
    assert_eq!(zero.await.unwrap(), 0);
}

#[tokio::test]
async fn a_caller_that_sleeps_when_its_work_is_handed_over_hears_of_the_answer() {
    let (batcher, mut trips) = open(limits());
    let zero = tokio::spawn({
        let batcher = batcher.clone();
        async move { batcher.call(call(0)).await }
    });
    let trip = trips.recv().await.unwrap();
    let one = begin(&batcher, call(1)).await;
    trip.succeed();
    assert_eq!(zero.await.unwrap().unwrap(), 0);
    trips.recv().await.unwrap().succeed();
    assert_eq!(one.await.unwrap(), 1);
}

#[tokio::test]
async fn what_its_caller_drops_goes_on_to_its_end() {
    let (batcher, mut trips, zero, trip) = busy(limits()).await;
    drop(zero);
    let one = begin(&batcher, call(1)).await;
    assert!(trips.try_recv().is_err(), "the one round trip that may be in flight still is");
    trip.succeed();
    trips.recv().await.unwrap().succeed();
    assert_eq!(one.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_takes_longer_than_the_time_out_goes_on_to_its_end() {
    let (batcher, mut trips, zero, trip) = busy(limits().timeout(seconds(3))).await;
    assert_eq!(zero.await.unwrap_err().kind(), ErrorKind::Unavailable);
    let one = begin(&batcher, call(1)).await;
    assert!(trips.try_recv().is_err());
    trip.succeed();
    trips.recv().await.unwrap().succeed();
    assert_eq!(one.await.unwrap(), 1);
}

#[tokio::test]
async fn concurrent_calls_share_a_batch() {
    let (batcher, mut trips, zero, trip) = busy(limits()).await;
    let mut answers = vec![zero];
    for n in 1..=3 {
        answers.push(begin(&batcher, call(n)).await);
    }
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [1, 2, 3]);
    trip.succeed();
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap() as usize, n);
    }
    // The last batch held several calls, so these wait for each other.
    let mut answers = Vec::new();
    for n in 4..=6 {
        answers.push(begin(&batcher, call(n)).await);
    }
    assert_eq!(trips.recv().await.unwrap().numbers(), [4, 5, 6]);
}

/// A round trip for call 0 during which call 1 arrives.
#[derive(Default)]
struct Visited {
    batcher: OnceLock<Batcher<Visited, Call>>,
    /// Answer to call 1.
    second: OnceLock<Result<u32>>,
}

impl RoundTrip<Call> for Visited {
    async fn run(&self, items: &[Call], _trip: Trip) -> Answers<Call> {
        if items[0].n == 0 {
            let batcher = self.batcher.get().unwrap().clone();
            let one = begin(&batcher, call(1)).await;
            tokio::spawn(async move { batcher.round_trip().second.set(one.await).unwrap() });
            tokio::task::yield_now().await;
        }
        Ok(items.iter().map(|call| Ok(call.n)).collect())
    }
}

#[tokio::test]
async fn a_call_that_comes_while_the_caller_works_is_not_forgotten() {
    let batcher = Batcher::new(Visited::default(), limits());
    let visited = batcher.round_trip();
    visited.batcher.set(batcher.clone()).unwrap();
    let zero = begin(&batcher, call(0)).await;
    // Call 0 is not polled, and both calls are answered.
    while visited.second.get().is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(visited.second.get().unwrap().as_ref().unwrap(), &1);
    assert_eq!(zero.await.unwrap(), 0);
}

/// Counts how often it is woken.
#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Relaxed);
    }
}

#[tokio::test]
async fn a_caller_is_not_woken_by_its_own_work() {
    let (batcher, mut trips) = open(limits());
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut zero = pin!(batcher.call(call(0)));
    assert!(zero.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    trips.recv().await.unwrap().succeed();
    assert_eq!(count.0.load(Relaxed), 1);
    assert!(matches!(zero.as_mut().poll(&mut Context::from_waker(&waker)), Poll::Ready(Ok(0))));
    assert_eq!(count.0.load(Relaxed), 1);
}
