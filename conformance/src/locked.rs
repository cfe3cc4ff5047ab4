//! Checks of a store while another client holds locks in its database, for the tests of stores whose calls wait for locks.

use std::future::poll_fn;
use std::task::Poll;

use session_core::{Outcome, Record, Store, hours};

use crate::fixtures::{begin, key, now, put, record};

/// Number of the first record that [`others_are_served`] calls free.
pub const FREE: u32 = 1_000;

/// Stores `count` records under the keys from `first` on, and returns them.
pub async fn put_all(store: &impl Store, first: u32, count: u32) -> Vec<Record> {
    let mut records = Vec::new();
    for n in first..first + count {
        let record = record(format!("record {n}").as_bytes());
        put(store, n, &record).await;
        records.push(record);
    }
    records
}

/// Checks that a store serves other calls while saves wait for locks, and carries out these saves once the locks are gone.
///
/// `locked` are records under the keys from 0 on whose saves must wait until `release` has run. `free` are those under the keys
/// from [`FREE`] on. They can be loaded meanwhile and, if `writes`, also be changed.
///
/// The time-out of the store must be longer than the test takes: a save that is answered before `release` fails the test.
///
/// # Panics
/// If a call has another outcome.
pub async fn others_are_served(
    store: &impl Store,
    locked: &[Record],
    free: &[Record],
    writes: bool,
    release: impl Future<Output = ()>,
) {
    let call = now();
    let keys: Vec<_> = (0..).map(key).take(locked.len()).collect();
    let newer: Vec<_> = locked.iter().map(|_| record(b"newer")).collect();
    let mut waiting = Vec::new();
    for ((key, before), after) in keys.iter().zip(locked).zip(&newer) {
        waiting.push(begin(store.save(&call, key, before.version, after)).await);
    }
    for (n, mut stored) in (FREE..).zip(free.iter().cloned()) {
        assert_eq!(store.load(&call, &key(n)).await.unwrap().as_ref(), Some(&stored));
        if writes {
            let saved = record(b"saved");
            assert_eq!(store.save(&call, &key(n), stored.version, &saved).await.unwrap(), Outcome::Done);
            stored = saved;
            let later = stored.expires_at.plus(hours(1));
            assert_eq!(store.touch(&call, &key(n), stored.version, later).await.unwrap(), Outcome::Done);
            let other = key(2 * FREE + n);
            assert_eq!(store.create(&call, &other, &stored).await.unwrap(), Outcome::Done);
            assert_eq!(store.delete(&call, &other, Some(stored.version)).await.unwrap(), Outcome::Done);
        }
    }
    for save in &mut waiting {
        let answered = poll_fn(|cx| Poll::Ready(save.as_mut().poll(cx).is_ready())).await;
        assert!(!answered, "a save of a locked record was answered before the lock was released");
    }
    release.await;
    for save in waiting {
        assert_eq!(save.await.unwrap(), Outcome::Done);
    }
    for (key, newer) in keys.iter().zip(newer) {
        assert_eq!(store.load(&call, key).await.unwrap(), Some(newer));
    }
}
