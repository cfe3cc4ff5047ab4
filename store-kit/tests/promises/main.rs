//! Each promise of the README. Channels put the events in order.

mod aside;
mod close;
mod deadline;
mod inline;
mod lanes;
mod pacing;
mod wire;

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use session_core::{ErrorKind, seconds};
use session_store_kit::batch::{Answers, Batcher, Limits, RoundTrip, Trip};

use wire::{Call, begin, busy, call, keyed, open};

#[tokio::test]
async fn a_second_item_of_a_key_waits_for_the_next_batch_in_order() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1)).await;
    let mut answers = Vec::new();
    for (n, key) in [(1, 7), (2, 7), (3, 8), (4, 7), (5, 8)] {
        answers.push(begin(&batcher, keyed(n, key)).await);
    }
    trip.succeed();
    for expected in [vec![1, 3], vec![2, 5], vec![4]] {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), expected);
        trip.succeed();
    }
}

#[tokio::test]
async fn a_batch_is_bounded_by_count() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).items(2)).await;
    let mut answers = Vec::new();
    for n in 1..=5 {
        answers.push(begin(&batcher, call(n)).await);
    }
    trip.succeed();
    for expected in [vec![1, 2], vec![3, 4], vec![5]] {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), expected);
        trip.succeed();
    }
}

#[tokio::test]
async fn a_batch_is_bounded_by_bytes_and_what_is_longer_goes_alone() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).bytes(10)).await;
    let mut answers = Vec::new();
    for (n, len) in [(1, 6), (2, 4), (3, 1), (4, 50), (5, 9)] {
        answers.push(begin(&batcher, Call { n, key: None, len }).await);
    }
    trip.succeed();
    for expected in [vec![1, 2], vec![3], vec![4], vec![5]] {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), expected);
        trip.succeed();
    }
}

#[tokio::test]
async fn a_failed_batch_is_run_again_one_by_one() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1)).await;
    let good = begin(&batcher, call(1)).await;
    let bad = begin(&batcher, call(2)).await;
    let also_good = begin(&batcher, call(3)).await;
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [1, 2, 3]);
    trip.fail();
    for n in 1..=3 {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), [n]);
        assert!(trip.circumstances.alone);
        if n == 2 { trip.fail() } else { trip.succeed() }
    }
    assert_eq!(good.await.unwrap(), 1);
    assert_eq!(bad.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(also_good.await.unwrap(), 3);
}

#[tokio::test]
async fn one_of_a_failed_batch_that_waits_does_not_use_up_the_others_time() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1)).await;
    let stuck = begin(&batcher, call(1)).await;
    let free = begin(&batcher, call(2)).await;
    trip.succeed();
    trips.recv().await.unwrap().fail();
    let waiting = trips.recv().await.unwrap();
    assert_eq!(waiting.numbers(), [1]);
    trips.recv().await.unwrap().succeed();
    assert_eq!(free.await.unwrap(), 2);
    waiting.fail();
    assert_eq!(stuck.await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn a_failed_batch_of_one_is_not_run_again() {
    let (_batcher, mut trips, zero, trip) = busy(Limits::for_tasks(1)).await;
    trip.fail();
    assert_eq!(zero.await.unwrap_err().to_string(), "the session store is unavailable: the batch failed");
    assert!(trips.try_recv().is_err());
}

#[tokio::test]
async fn an_items_own_error_is_its_own() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1)).await;
    let good = begin(&batcher, call(1)).await;
    let bad = begin(&batcher, call(2)).await;
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    trip.answer.send(Ok(vec![Ok(1), Err(ErrorKind::Corrupt.into())])).unwrap();
    assert_eq!(good.await.unwrap(), 1);
    assert_eq!(bad.await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(trips.try_recv().is_err());
}

#[tokio::test]
async fn a_dropped_call_is_withdrawn_while_it_waits_and_goes_on_when_it_has_left() {
    let (batcher, mut trips, zero, trip) = busy(Limits::for_tasks(1)).await;
    let one = begin(&batcher, call(1)).await;
    let two = begin(&batcher, call(2)).await;
    drop(zero); // under way
    drop(one); // waiting
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [2]);
    trip.succeed();
    assert_eq!(two.await.unwrap(), 2);
}

#[tokio::test]
async fn callers_that_drop_their_futures_in_a_batch_cost_the_others_nothing() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1)).await;
    let mut answers = Vec::new();
    for n in 1..=4 {
        answers.push(Some(begin(&batcher, call(n)).await));
    }
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    answers[0] = None;
    answers[2] = None;
    trip.fail();
    // The callers of 1 and 3 have gone away, so only the others are run again.
    for n in [2, 4] {
        let trip = trips.recv().await.unwrap();
        assert_eq!(trip.numbers(), [n]);
        trip.succeed();
    }
    for (n, answer) in answers.into_iter().enumerate().filter_map(|(i, answer)| Some((i + 1, answer?))) {
        assert_eq!(answer.await.unwrap() as usize, n);
    }
}

#[tokio::test(start_paused = true)]
async fn the_time_out_covers_the_round_trip_and_leaves_it_running() {
    let (batcher, mut trips, zero, trip) = busy(Limits::for_tasks(1).timeout(seconds(3))).await;
    let started = tokio::time::Instant::now();
    assert_eq!(zero.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(started.elapsed(), seconds(3));
    // The round trip is not dropped half-way: it can still be answered, and the next call waits for it.
    let one = begin(&batcher, call(1)).await;
    assert!(trips.try_recv().is_err());
    trip.succeed();
    trips.recv().await.unwrap().succeed();
    assert_eq!(one.await.unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_out_covers_the_waiting() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).timeout(seconds(3))).await;
    let one = begin(&batcher, call(1)).await;
    assert_eq!(one.await.unwrap_err().kind(), ErrorKind::Unavailable);
    let two = begin(&batcher, call(2)).await;
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [2], "what timed out is not sent any more");
    trip.succeed();
    assert_eq!(two.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_makes_calls_wait_and_then_unavailable() {
    let (batcher, mut trips, _zero, trip) = busy(Limits::for_tasks(1).queue(2).timeout(seconds(3))).await;
    let mut answers = Vec::new();
    for n in 1..=3 {
        answers.push(begin(&batcher, call(n)).await);
    }
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [1, 2], "the third found no room");
    let third = answers.pop().unwrap();
    let third = tokio::spawn(third);
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [3]);

    let mut waiting = Vec::new();
    for n in 4..=6 {
        waiting.push(begin(&batcher, call(n)).await);
    }
    for answer in waiting.into_iter().rev() {
        assert_eq!(answer.await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    trip.answer.send(Ok(vec![Ok(3)])).unwrap();
    assert_eq!(third.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable, "it had timed out too");
    // The whole queue is free again.
    let seventh = tokio::spawn(begin(&batcher, call(7)).await);
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [7]);
    let mut answers = Vec::new();
    for n in 8..=9 {
        answers.push(begin(&batcher, call(n)).await);
    }
    trip.succeed();
    assert_eq!(seventh.await.unwrap().unwrap(), 7);
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [8, 9]);
}

#[tokio::test]
async fn a_wrong_number_of_answers_is_an_error_for_all() {
    let (_batcher, _trips, zero, trip) = busy(Limits::for_tasks(1)).await;
    trip.answer.send(Ok(vec![Ok(1), Ok(2)])).unwrap();
    assert_eq!(zero.await.unwrap_err().kind(), ErrorKind::Other);
}

#[test]
fn a_batcher_outlives_the_runtime_that_it_was_used_in() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for inline in [false, true] {
        let (batcher, mut trips) = open(Limits::for_tasks(1).inline(inline));
        let mut one = None;
        runtime().block_on(async {
            one = Some(begin(&batcher, call(1)).await);
            drop(trips.recv().await.unwrap().calls);
        });
        drop(one);
        runtime().block_on(async {
            let two = begin(&batcher, call(2)).await;
            trips.recv().await.unwrap().succeed();
            assert_eq!(two.await.unwrap(), 2);
        });
    }
}

#[test]
fn a_runtime_that_does_not_run_holds_up_no_other() {
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    for inline in [false, true] {
        let (batcher, mut trips) = open(Limits::for_tasks(1).queue(1).inline(inline));
        let (idle, other) = (runtime(), runtime());
        // One call is in flight, one waits in the queue, one waits for room.
        let _stopped = idle.block_on(async {
            let zero = begin(&batcher, call(0)).await;
            let trip = trips.recv().await.unwrap();
            (zero, trip, begin(&batcher, call(1)).await, begin(&batcher, call(2)).await)
        });
        other.block_on(async {
            let three = begin(&batcher, call(3)).await;
            trips.recv().await.unwrap().succeed();
            assert_eq!(three.await.unwrap(), 3);
        });
    }
}

/// A round trip that panics for odd numbers, half-way. Counts how often it runs.
#[derive(Default)]
struct Fragile {
    runs: AtomicUsize,
}

impl RoundTrip<Call> for Fragile {
    async fn run(&self, items: &[Call], _trip: Trip) -> Answers<Call> {
        self.runs.fetch_add(1, Relaxed);
        tokio::task::yield_now().await;
        assert!(items.iter().all(|call| call.n % 2 == 0));
        Ok(items.iter().map(|call| Ok(call.n)).collect())
    }
}

#[tokio::test]
async fn what_panicked_is_not_run_again_and_the_calls_behind_it_are_served() {
    for inline in [false, true] {
        let batcher = Batcher::new(Fragile::default(), Limits::for_tasks(1).inline(inline));
        let (zero, one) = (begin(&batcher, call(0)).await, begin(&batcher, call(1)).await);
        assert_eq!(zero.await.map_err(|error| error.kind()), if inline { Ok(0) } else { Err(ErrorKind::Other) });
        assert_eq!(one.await.unwrap_err().kind(), ErrorKind::Other);
        assert_eq!(batcher.call(call(3)).await.unwrap_err().kind(), ErrorKind::Other, "alone");
        assert_eq!(batcher.call(call(4)).await.unwrap(), 4);
        assert_eq!(batcher.round_trip().runs.load(Relaxed), if inline { 4 } else { 3 });
    }
}
