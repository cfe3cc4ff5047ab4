//! Calls of one moment share a batch, and no call waits for a timer.

use session_store_kit::batch::Limits;

use crate::wire::{begin, busy, call, open};

#[tokio::test]
async fn a_lone_call_goes_out_at_once_and_alone() {
    let (batcher, mut trips) = open(Limits::for_tasks(4));
    let answer = begin(&batcher, call(1)).await;
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [1]);
    trip.succeed();
    assert_eq!(answer.await.unwrap(), 1);
}

#[tokio::test]
async fn calls_of_one_moment_go_together() {
    let (batcher, mut trips) = open(Limits::for_tasks(4));
    let mut answers = Vec::new();
    for n in 0..4 {
        answers.push(begin(&batcher, call(n)).await);
    }
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [0, 1, 2, 3]);
    trip.succeed();
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap() as usize, n);
    }
}

#[tokio::test]
async fn where_calls_come_one_by_one_none_waits_for_another() {
    let (batcher, mut trips) = open(Limits::for_tasks(1));
    for n in 0..3 {
        let one = begin(&batcher, call(10 * n)).await;
        let two = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.call(call(10 * n + 1)).await }
        });
        for number in [10 * n, 10 * n + 1] {
            let trip = trips.recv().await.unwrap();
            assert_eq!(trip.numbers(), [number]);
            trip.succeed();
        }
        assert_eq!((one.await.unwrap(), two.await.unwrap().unwrap()), (10 * n, 10 * n + 1));
    }
}

#[tokio::test]
async fn callers_that_were_answered_together_call_together_again() {
    let (batcher, mut trips) = open(Limits::for_tasks(1));
    let callers: Vec<_> = (0..4)
        .map(|n| {
            let batcher = batcher.clone();
            tokio::spawn(async move {
                for round in 0..3 {
                    assert_eq!(batcher.call(call(10 * round + n)).await.unwrap(), 10 * round + n);
                }
            })
        })
        .collect();
    for round in 0..3 {
        let trip = trips.recv().await.unwrap();
        let mut numbers = trip.numbers();
        numbers.sort_unstable();
        assert_eq!(numbers, [0, 1, 2, 3].map(|n| 10 * round + n));
        trip.succeed();
    }
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn as_many_round_trips_as_allowed_are_in_flight() {
    let (batcher, mut trips) = open(Limits::for_tasks(2));
    let mut answers = vec![begin(&batcher, call(0)).await];
    let first = trips.recv().await.unwrap();
    answers.push(begin(&batcher, call(1)).await);
    let second = trips.recv().await.unwrap();
    for n in 2..4 {
        answers.push(begin(&batcher, call(n)).await);
    }
    assert_eq!((first.numbers(), second.numbers()), (vec![0], vec![1]));
    assert!(trips.try_recv().is_err());
    second.succeed();
    let third = trips.recv().await.unwrap();
    assert_eq!(third.numbers(), [2, 3]);
    first.succeed();
    third.succeed();
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap() as usize, n);
    }
}

#[tokio::test]
async fn a_full_batch_waits_for_none_of_those_in_flight() {
    let (batcher, mut trips) = open(Limits::for_tasks(1).full(2).bytes(3));
    let mut answers = vec![begin(&batcher, call(0)).await];
    let first = trips.recv().await.unwrap();
    for n in 1..=2 {
        answers.push(begin(&batcher, call(n)).await);
    }
    tokio::task::yield_now().await;
    assert!(trips.try_recv().is_err(), "there is room for a third");
    answers.push(begin(&batcher, call(3)).await);
    let second = trips.recv().await.unwrap();
    assert_eq!(second.numbers(), [1, 2, 3]);
    for n in 4..=7 {
        answers.push(begin(&batcher, call(n)).await);
    }
    tokio::task::yield_now().await;
    assert!(trips.try_recv().is_err(), "two are under way");
    second.succeed();
    let third = trips.recv().await.unwrap();
    assert_eq!(third.numbers(), [4, 5, 6]);
    third.succeed();
    // The calls that wait now do not fill a batch, so they are left to the round trip in flight.
    for n in 1..=6 {
        assert_eq!(answers.remove(1).await.unwrap(), n);
    }
    assert!(trips.try_recv().is_err());
    first.succeed();
    trips.recv().await.unwrap().succeed();
    assert_eq!((answers.remove(0).await.unwrap(), answers.remove(0).await.unwrap()), (0, 7));
}

#[tokio::test]
async fn what_arrives_meanwhile_forms_the_next_batch() {
    let (batcher, mut trips, zero, trip) = busy(Limits::for_tasks(1)).await;
    let mut answers = vec![zero];
    for n in 1..=5 {
        answers.push(begin(&batcher, call(n)).await);
    }
    assert!(trips.try_recv().is_err());
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [1, 2, 3, 4, 5]);
    trip.succeed();
    for (n, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap() as usize, n);
    }
}
