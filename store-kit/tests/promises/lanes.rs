//! A key with many calls takes one place of each batch, and no more.

use session_store_kit::batch::Limits;

use crate::wire::{begin, busy, keyed};

#[tokio::test]
async fn a_key_with_many_calls_makes_no_other_key_wait() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).items(3)).await;
    let mut answers = Vec::new();
    for n in 0..1_000 {
        answers.push(begin(&batcher, keyed(n, 1)).await);
        // A task that never yields is not served by tokio's semaphores in the end.
        tokio::task::yield_now().await;
    }
    for (n, key) in [(1_000, 2), (1_001, 3), (1_002, 4), (1_003, 2)] {
        answers.push(begin(&batcher, keyed(n, key)).await);
    }
    trip.succeed();
    for expected in [vec![0, 1_000, 1_001], vec![1_002, 1, 1_003], vec![2], vec![3]] {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), expected);
        trip.succeed();
    }
}

#[tokio::test]
async fn calls_of_one_key_do_not_fill_a_batch() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).full(2).items(3)).await;
    let mut answers = Vec::new();
    for n in 1..=4 {
        answers.push(begin(&batcher, keyed(n, 1)).await);
    }
    tokio::task::yield_now().await;
    assert!(trips.try_recv().is_err(), "the next batch would hold one call");
    trip.succeed();
    for n in 1..=4 {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), [n]);
        trip.succeed();
    }
}

#[tokio::test]
async fn the_calls_of_a_key_close_up_when_a_caller_goes_away() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1)).await;
    let mut answers = Vec::new();
    for n in 1..=5 {
        answers.push(Some(begin(&batcher, keyed(n, 1)).await));
    }
    let other = begin(&batcher, keyed(6, 2)).await;
    for gone in [0, 1, 3] {
        answers[gone] = None;
    }
    trip.succeed();
    for expected in [vec![3, 6], vec![5]] {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), expected);
        trip.succeed();
    }
    assert_eq!(other.await.unwrap(), 6);
    drop(answers);
    // The key is free again.
    let seven = begin(&batcher, keyed(7, 1)).await;
    trips.recv().await.unwrap().succeed();
    assert_eq!(seven.await.unwrap(), 7);
}
