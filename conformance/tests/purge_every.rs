//! Tests of the sweep, which removes all expired sessions in steps with pauses.

use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::FutureExt as _;
use session_core::{
    Bytes, Call, Clock as _, Manager, Outcome, Record, SessionId, Store as _, StoreKey, SystemClock, Version, hours,
    minutes, seconds,
};
use session_store_memory::MemoryStore;

const EVERY: Duration = minutes(10);

/// Creates a store with this number of expired sessions and a live one.
fn littered(expired: usize) -> (MemoryStore, StoreKey) {
    let store = MemoryStore::new();
    let now = SystemClock.now();
    let past = now.minus(hours(2));
    let create = |created_at, lives: Duration| {
        let key = StoreKey::derive("id", &SessionId::random());
        let record = Record::new(Version::random(), created_at, created_at.plus(lives), None, Bytes::new());
        let created = pollster::block_on(store.create(&Call::new(created_at), &key, &record));
        assert_eq!(created.unwrap(), Outcome::Done);
        key
    };
    for _ in 0..expired {
        create(past, seconds(1));
    }
    let living = create(now, hours(1));
    (store, living)
}

/// Sweeps until the `pauses`th sleep. Returns the length of each sleep.
fn sweep(store: &MemoryStore, pauses: usize) -> Vec<Duration> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let sleep = {
        let asked = Arc::clone(&asked);
        move |pause| {
            let mut asked = asked.lock().unwrap();
            asked.push(pause);
            if asked.len() < pauses { ready(()).left_future() } else { pending().right_future() }
        }
    };
    let mut sweeping = Box::pin(Manager::new(store.clone()).purge_every(EVERY, sleep));
    // The store also yields between its shards.
    while asked.lock().unwrap().len() < pauses {
        let ended: Poll<Infallible> = sweeping.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(ended.is_pending());
    }
    drop(sweeping);
    Arc::into_inner(asked).unwrap().into_inner().unwrap()
}

#[test]
fn a_round_removes_all_that_has_expired_with_a_pause_after_each_step() {
    let (store, living) = littered(2_500);
    let asked = sweep(&store, 4);
    let [before, first, second, between] = asked[..] else { panic!("{asked:?}") };
    assert!(before <= EVERY);
    assert!(first < EVERY / 2 && second < EVERY / 2, "a pause is as long as a step takes: {asked:?}");
    assert!((EVERY.mul_f64(0.9)..=EVERY.mul_f64(1.1)).contains(&between));
    assert_eq!(store.len(), 1);
    let left = pollster::block_on(store.load(&Call::new(SystemClock.now()), &living)).unwrap();
    assert!(left.is_some(), "what lives stays");
}

#[test]
fn a_purge_that_is_asked_for_does_not_pause() {
    let (store, _) = littered(2_500);
    assert_eq!(pollster::block_on(Manager::new(store.clone()).purge()).unwrap(), 2_500);
    assert_eq!(store.len(), 1);
}
