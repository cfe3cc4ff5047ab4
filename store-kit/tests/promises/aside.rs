//! Calls that their batch could not run: each runs on its own, few at a time, and the others do not wait for them.

use session_core::{ErrorKind, seconds};
use session_store_kit::batch::{Limits, Undone};
use tokio::task::yield_now;

use crate::wire::{Answer, FAILED, Trip, begin, busy, call};

/// Leaves the calls with these numbers undone, and answers the others.
fn leave(trip: Trip, undone: &[u32]) {
    let answers = trip.calls.iter().map(|call| (!undone.contains(&call.n)).then_some(Ok(call.n))).collect();
    trip.answer.send(Err(Undone::part(answers, FAILED))).unwrap();
}

/// Takes the round trips that are under way now.
async fn under_way(trips: &mut tokio::sync::mpsc::UnboundedReceiver<Trip>) -> Vec<Trip> {
    // Each of the few tasks gets its turn.
    for _ in 0..20 {
        yield_now().await;
    }
    std::iter::from_fn(|| trips.try_recv().ok()).collect()
}

fn numbers(trips: &[Trip]) -> Vec<Vec<u32>> {
    trips.iter().map(Trip::numbers).collect()
}

async fn begin_all(batcher: &session_store_kit::batch::Batcher<crate::wire::Wire, crate::wire::Call>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for n in 1..=6 {
        answers.push(begin(batcher, call(n)).await);
    }
    answers
}

#[tokio::test]
async fn only_what_had_no_effect_is_run_again() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1)).await;
    let answers = begin_all(&batcher).await;
    trip.succeed();
    leave(trips.recv().await.unwrap(), &[2, 5]);
    let alone = under_way(&mut trips).await;
    assert_eq!(numbers(&alone), [[2], [5]]);
    for trip in alone {
        assert!(trip.circumstances.alone);
        trip.succeed();
    }
    for (answer, n) in answers.into_iter().zip(1..) {
        assert_eq!(answer.await.unwrap(), n);
    }
    assert!(under_way(&mut trips).await.is_empty());
}

#[tokio::test]
async fn few_run_alone_and_batches_go_on() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).alone(2)).await;
    let waiting = begin_all(&batcher).await;
    trip.succeed();
    trips.recv().await.unwrap().fail();
    let mut alone = under_way(&mut trips).await;
    assert_eq!(numbers(&alone), [[1], [2]], "two at a time");
    // They wait for a lock. Other calls are sent all the same, in batches.
    for _ in 0..2 {
        let others = (begin(&batcher, call(7)).await, begin(&batcher, call(8)).await);
        let trip = trips.recv().await.unwrap();
        assert_eq!((trip.numbers(), trip.circumstances.alone), (vec![7, 8], false));
        trip.succeed();
        assert_eq!((others.0.await.unwrap(), others.1.await.unwrap()), (7, 8));
    }
    assert!(under_way(&mut trips).await.is_empty());
    for next in [vec![3], vec![4], vec![5], vec![6]] {
        alone.remove(0).succeed();
        let mut more = under_way(&mut trips).await;
        assert_eq!(numbers(&more), [next]);
        alone.append(&mut more);
    }
    alone.into_iter().for_each(Trip::succeed);
    for (answer, n) in waiting.into_iter().zip(1..) {
        assert_eq!(answer.await.unwrap(), n);
    }
}

#[tokio::test]
async fn a_call_that_was_alone_in_its_batch_can_be_set_aside_once() {
    let (batcher, mut trips, zero, trip) = busy(Limits::for_tasks(1)).await;
    leave(trip, &[0]);
    let trip = trips.recv().await.unwrap();
    assert_eq!((trip.numbers(), trip.circumstances.alone), (vec![0], true));
    let one = begin(&batcher, call(1)).await;
    trips.recv().await.unwrap().succeed();
    assert_eq!(one.await.unwrap(), 1);
    leave(trip, &[0]);
    assert_eq!(zero.await.unwrap_err().to_string(), "the session store is unavailable: the batch failed");
    assert!(under_way(&mut trips).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_its_caller_has_given_up_is_not_sent() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).alone(1).timeout(seconds(3))).await;
    let mut answers = begin_all(&batcher).await;
    trip.succeed();
    trips.recv().await.unwrap().fail();
    let first = trips.recv().await.unwrap();
    assert_eq!(first.numbers(), [1]);
    drop(answers.remove(1));
    first.succeed();
    let third = trips.recv().await.unwrap();
    assert_eq!(third.numbers(), [3], "the caller of 2 has gone away");
    for answer in answers.into_iter().skip(1) {
        assert_eq!(answer.await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    third.succeed();
    assert!(under_way(&mut trips).await.is_empty(), "the others have timed out");
}
