//! Keys, records and calls for a store's own tests.
//!
//! ```
//! use session_conformance::fixtures::{get, put, record};
//! use session_store_memory::MemoryStore;
//!
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let store = MemoryStore::new();
//! put(&store, 1, &record(b"here")).await;
//! assert_eq!(get(&store, 1).await.unwrap().data, "here");
//! assert_eq!(get(&store, 2).await, None);
//! # }
//! ```

use std::future::{poll_fn, ready};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::Poll;

use session_core::{
    Bytes, Call, Clock as _, Outcome, Principal, Record, Result, Store, StoreKey, SystemClock, Version, hours,
};

/// Returns a call made now, by the system's clock.
pub fn now() -> Call {
    Call::new(SystemClock.now())
}

/// Returns key number `n`.
pub const fn key(n: u32) -> StoreKey {
    let [a, b, c, d] = n.to_le_bytes();
    let mut bytes = [7; StoreKey::LEN];
    (bytes[0], bytes[1], bytes[2], bytes[3]) = (a, b, c, d);
    StoreKey::from_bytes(bytes)
}

/// Returns an anonymous record with a random version that lives for an hour.
pub fn record(data: &[u8]) -> Record {
    record_with(Bytes::copy_from_slice(data))
}

fn record_with(data: Bytes) -> Record {
    let now = SystemClock.now();
    Record::new(Version::random(), now, now.plus(hours(1)), None, data)
}

/// Returns a record of `principal` with a random version and the data `{}` that lives for an hour.
///
/// ```
/// let record = session_conformance::fixtures::record_of("ann");
/// assert_eq!(record.principal.unwrap().as_str(), "ann");
/// ```
///
/// # Panics
/// If `principal` is no valid [`Principal`].
pub fn record_of(principal: &str) -> Record {
    let mut record = record(b"{}");
    record.principal = Some(Principal::new(principal).expect("a principal"));
    record
}

/// Creates `record` under [`key(n)`](key).
///
/// # Panics
/// If a session is stored there already, or the store fails.
pub async fn put(store: &impl Store, n: u32, record: &Record) {
    assert_eq!(store.create(&now(), &key(n), record).await.expect("a create"), Outcome::Done);
}

/// Loads the session under [`key(n)`](key).
///
/// # Panics
/// If the store fails.
pub async fn get(store: &impl Store, n: u32) -> Option<Record> {
    store.load(&now(), &key(n)).await.expect("a load")
}

/// Reads the session under [`key(1)`](key), which must be the only one and `principal`'s, in every way that a store has: by a load, by
/// loads in one batch, by a list, and by a scan.
///
/// ```
/// use session_conformance::fixtures::{put, read_in_every_way, record_of};
/// use session_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (store, record) = (MemoryStore::new(), record_of("ann"));
/// put(&store, 1, &record).await;
/// for found in read_in_every_way(&store, record.principal.as_ref().unwrap()).await {
///     assert_eq!(found.unwrap().as_ref(), Some(&record));
/// }
/// # }
/// ```
///
/// # Panics
/// If a session is found under [`key(2)`](key).
pub async fn read_in_every_way(store: &impl Store, principal: &Principal) -> Vec<Result<Option<Record>>> {
    let (call, one, other) = (now(), key(1), key(2));
    // The first one is sent at once, and the others are a batch.
    let (first, second, third, none) = tokio::join!(
        store.load(&call, &one),
        store.load(&call, &one),
        store.load(&call, &one),
        store.load(&call, &other)
    );
    assert!(!matches!(none, Ok(Some(_))));
    let listed = store.sessions_of(&call, principal, NonZeroU32::MIN).await;
    let scanned = store.scan(&call, None, NonZeroU32::MIN).await;
    vec![
        first,
        second,
        third,
        listed.map(|found| found.into_iter().next().map(|(_, record)| record)),
        scanned.map(|page| page.records.into_iter().next().map(|(_, record)| record)),
    ]
}

/// Stores the count 0 under [`key(0)`](key), for [`count_up`].
///
/// # Panics
/// If something is stored there already, or the store fails.
pub async fn put_count(store: &impl Store) {
    put(store, 0, &record(&0_u64.to_le_bytes())).await;
}

/// Increments the count under [`key(0)`](key) `times` times in each of `tasks` tasks. A conflict is retried.
///
/// ```
/// use std::sync::Arc;
///
/// use session_conformance::fixtures::{count, count_up, put_count};
/// use session_store_memory::MemoryStore;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let store = Arc::new(MemoryStore::new());
/// put_count(&store).await;
/// count_up(&store, 4, 25).await;
/// assert_eq!(count(&store).await, 100);
/// # }
/// ```
///
/// # Panics
/// If the store fails, or the count is gone.
pub async fn count_up(store: &(impl Store + Clone), tasks: u32, times: u32) {
    let one_task = |store| async move {
        for _ in 0..times {
            increment(&store, &key(0)).await;
        }
    };
    let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(one_task(store.clone()))).collect();
    for task in tasks {
        task.await.expect("a task that counts");
    }
}

/// Increments the count at the start of the data under `key`. A conflict is retried. The rest of the data stays.
pub(crate) async fn increment(store: &(impl Store + ?Sized), key: &StoreKey) {
    loop {
        let old = store.load(&now(), key).await.expect("a load").expect("a count");
        let mut data = old.data.to_vec();
        data[..8].copy_from_slice(&(number(&old) + 1).to_le_bytes());
        let mut new = record_with(data.into());
        new.expires_at = new.expires_at.max(old.expires_at);
        match store.save(&now(), key, old.version, &new).await.expect("a save") {
            Outcome::Done => return,
            Outcome::Conflict => {}
            other => panic!("the save of a count answered {other:?}"),
        }
    }
}

/// Returns the count under [`key(0)`](key).
///
/// # Panics
/// If the store fails, or the count is gone.
pub async fn count(store: &impl Store) -> u64 {
    number(&get(store, 0).await.expect("a count"))
}

/// Returns the count at the start of the record's data.
pub(crate) fn number(record: &Record) -> u64 {
    u64::from_le_bytes(*record.data.first_chunk().expect("eight bytes"))
}

/// A future that has been polled once.
pub type Begun<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Polls a future once, so that calls are queued in the order in which they are begun.
///
/// ```
/// use session_conformance::fixtures::begin;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// let (send, receive) = tokio::sync::oneshot::channel();
/// let waiting = begin(receive).await;
/// send.send(7).unwrap();
/// assert_eq!(waiting.await, Ok(7));
/// # }
/// ```
pub async fn begin<'a, T: Send + 'a>(future: impl Future<Output = T> + Send + 'a) -> Begun<'a, T> {
    let mut future: Begun<'a, T> = Box::pin(future);
    match poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await {
        Poll::Ready(answer) => Box::pin(ready(answer)),
        Poll::Pending => future,
    }
}
