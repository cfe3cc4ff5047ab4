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

/// Loads the records under the keys from [`FREE`] on and, if `writes`, changes them.
async fn use_all(store: &impl Store, records: &mut [Record], writes: bool) {
    let call = now();
    for (n, stored) in (FREE..).zip(records) {
        let loaded = store.load(&call, &key(n)).await.unwrap();
        let loaded = loaded.expect("nothing has removed it");
        assert_eq!((&loaded.data, loaded.version), (&stored.data, stored.version));
        if writes {
            let saved = record(b"saved");
            assert_eq!(store.save(&call, &key(n), stored.version, &saved).await.unwrap(), Outcome::Done);
            let later = saved.expires_at.plus(hours(1));
            assert_eq!(store.touch(&call, &key(n), saved.version, later).await.unwrap(), Outcome::Done);
            let other = key(2 * FREE + n);
            assert_eq!(store.create(&call, &other, &saved).await.unwrap(), Outcome::Done);
            assert_eq!(store.delete(&call, &other, Some(saved.version)).await.unwrap(), Outcome::Done);
            *stored = saved;
        }
    }
}

/// Checks that a store serves other calls while saves wait for locks, and carries out these saves once the locks are gone.
///
/// `locked` are records under the keys from 0 on whose saves must wait until `release` has run. `free` are those under the keys
/// from [`FREE`] on. They can be loaded meanwhile and, if `writes`, also be changed: at once, and again when `set_aside` has found that
/// the saves wait in the database by themselves.
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
    set_aside: impl Future<Output = ()>,
    release: impl Future<Output = ()>,
) {
    let call = now();
    let keys: Vec<_> = (0..).map(key).take(locked.len()).collect();
    let newer: Vec<_> = locked.iter().map(|_| record(b"newer")).collect();
    let mut waiting = Vec::new();
    for ((key, before), after) in keys.iter().zip(locked).zip(&newer) {
        waiting.push(begin(store.save(&call, key, before.version, after)).await);
    }
    let mut free = free.to_vec();
    use_all(store, &mut free, writes).await;
    set_aside.await;
    use_all(store, &mut free, writes).await;
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
