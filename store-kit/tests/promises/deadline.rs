//! One deadline for a call, from its first moment to its last.

use session_core::{ErrorKind, seconds};
use session_store_kit::batch::Limits;
use tokio::time::{Instant, advance};

use crate::wire::{begin, busy, call};

#[tokio::test(start_paused = true)]
async fn waiting_and_a_second_run_take_of_the_same_time() {
    let begun = Instant::now();
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).timeout(seconds(8))).await;
    assert_eq!(trip.circumstances.deadline, begun + seconds(8));
    advance(seconds(1)).await;
    let one = begin(&batcher, call(1)).await;
    advance(seconds(1)).await;
    let two = begin(&batcher, call(2)).await;
    advance(seconds(1)).await;
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [1, 2]);
    assert_eq!(trip.circumstances.deadline, begun + seconds(9), "that of the first");
    advance(seconds(3)).await;
    trip.fail();
    for (n, end) in [(1, 9), (2, 10)] {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), [n]);
        assert_eq!(trip.circumstances.deadline, begun + seconds(end), "each has its own again");
        if n == 2 {
            trip.succeed();
        } else {
            // Without an answer.
            std::mem::forget(trip);
        }
    }
    assert_eq!(two.await.unwrap(), 2);
    assert_eq!(one.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(Instant::now(), begun + seconds(9));
}

#[tokio::test(start_paused = true)]
async fn no_call_loses_more_than_half_of_its_time_to_an_older_one() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).timeout(seconds(8))).await;
    let mut answers = vec![begin(&batcher, call(1)).await];
    advance(seconds(4)).await;
    answers.push(begin(&batcher, call(2)).await);
    advance(seconds(3)).await;
    answers.push(begin(&batcher, call(3)).await);
    trip.succeed();
    // They have 1, 5 and 8 seconds left.
    for expected in [vec![1], vec![2, 3]] {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), expected);
        trip.succeed();
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_for_room_counts() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).queue(1).timeout(seconds(8))).await;
    let begun = Instant::now();
    let _one = begin(&batcher, call(1)).await;
    let two = tokio::spawn(begin(&batcher, call(2)).await);
    advance(seconds(5)).await;
    trip.succeed();
    trips.recv().await.unwrap().succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!((trip.numbers(), trip.circumstances.deadline), (vec![2], begun + seconds(8)));
    trip.succeed();
    assert_eq!(two.await.unwrap().unwrap(), 2);
}
