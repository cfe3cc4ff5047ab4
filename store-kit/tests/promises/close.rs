//! Closing a batcher: calls inside end, and no further call begins.

use std::sync::mpsc;
use std::thread;

use session_core::{Result, seconds};
use session_store_kit::batch::{CLOSED, Limits};
use tokio::runtime;
use tokio::time::Instant;

use crate::wire::{begin, busy, call};

fn assert_refused(answer: Result<u32>) {
    assert_eq!(answer.unwrap_err().to_string(), CLOSED.to_string());
}

#[tokio::test]
async fn calls_that_wait_or_are_in_flight_are_answered_before_a_batcher_is_closed() {
    let (batcher, mut trips, zero, trip) = busy(Limits::for_tasks(1)).await;
    let one = begin(&batcher, call(1)).await;
    let closing = tokio::spawn(batcher.close().ended());
    assert_refused(batcher.call(call(2)).await);
    trip.succeed();
    let trip = trips.recv().await.unwrap();
    assert_eq!(trip.numbers(), [1]);
    // The first call is answered, and the second holds it up.
    assert_eq!(zero.await.unwrap(), 0);
    tokio::task::yield_now().await;
    assert!(!closing.is_finished());
    trip.succeed();
    assert_eq!(one.await.unwrap(), 1);
    closing.await.unwrap();
    batcher.close().ended().await;
    assert_refused(batcher.call(call(3)).await);
    assert!(trips.try_recv().is_err());
}

#[tokio::test]
async fn a_round_trip_whose_caller_has_gone_is_waited_for() {
    let (batcher, _trips, zero, trip) = busy(Limits::for_tasks(1)).await;
    drop(zero);
    let closing = tokio::spawn(batcher.close().ended());
    tokio::task::yield_now().await;
    assert!(!closing.is_finished());
    trip.succeed();
    closing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_never_polled_again_holds_closing_up_for_its_time_out_only() {
    let (batcher, _trips, zero, trip) = busy(Limits::for_tasks(1).timeout(seconds(3))).await;
    let begun = Instant::now();
    batcher.close().ended().await;
    assert_eq!(begun.elapsed(), seconds(3));
    drop((zero, trip));
}

#[test]
fn the_calls_of_every_runtime_are_waited_for() {
    let on = || runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (here, there) = (on(), on());
    let (batcher, _trips, zero, trip) = here.block_on(busy(Limits::for_tasks(1)));
    let (closed, told) = mpsc::channel();
    let other = batcher.clone();
    let closing = thread::spawn(move || {
        there.block_on(async {
            let closing = other.close();
            closed.send("begun").unwrap();
            closing.ended().await;
        });
        closed.send("ended").unwrap();
    });
    assert_eq!(told.recv(), Ok("begun"));
    here.block_on(async { assert_refused(batcher.call(call(1)).await) });
    assert!(told.try_recv().is_err());
    trip.succeed();
    assert_eq!(here.block_on(zero).unwrap(), 0);
    assert_eq!(told.recv(), Ok("ended"));
    closing.join().unwrap();
}
