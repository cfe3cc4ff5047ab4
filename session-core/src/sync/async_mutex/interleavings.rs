use std::pin::pin;
use std::sync::Arc;

use shuttle::future::block_on;
use shuttle::thread::spawn;

use super::*;

/// Increments `counter` under the lock, with a possible thread switch between read and write.
fn count(mutex: &AsyncMutex, counter: &Mutex<u32>) {
    let _guard = block_on(mutex.lock());
    let before = *counter.lock().unwrap();
    *counter.lock().unwrap() = before + 1;
}

/// Polls for the lock once, then drops the future or the guard.
fn give_up(mutex: &AsyncMutex) {
    let mut lock = pin!(mutex.lock());
    drop(lock.as_mut().poll(&mut Context::from_waker(Waker::noop())));
}

fn count_beside(other: fn(&AsyncMutex, &Mutex<u32>), counted: u32) {
    let shared = Arc::new((AsyncMutex::default(), Mutex::new(0)));
    let threads = [count, other].map(|run| {
        let shared = shared.clone();
        spawn(move || run(&shared.0, &shared.1))
    });
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(*shared.1.lock().unwrap(), counted);
    assert!(shared.0.try_lock().is_some());
}

#[test]
fn the_lock_excludes_every_other_thread() {
    shuttle::check_dfs(|| count_beside(count, 2), Some(50_000));
}

#[test]
fn a_waiter_that_gives_up_never_keeps_the_lock() {
    shuttle::check_dfs(|| count_beside(|mutex, _| give_up(mutex), 1), None);
}

#[test]
fn waiters_that_give_up_keep_the_lock_from_no_thread() {
    let run = || {
        let shared = Arc::new((AsyncMutex::default(), Mutex::new(0)));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let shared = shared.clone();
                spawn(move || if thread % 2 == 0 { count(&shared.0, &shared.1) } else { give_up(&shared.0) })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(*shared.1.lock().unwrap(), 2);
        assert!(shared.0.try_lock().is_some());
    };
    shuttle::check_random(run, 5_000);
    shuttle::check_pct(run, 5_000, 3);
}
