//! Tests of the results of calls in a batch, and of the rows that they leave.

mod common;

use std::num::NonZeroU32;

use common::{MANY, TestFile, begin, get, key, now, put, record, record_of};
use session_core::{Call, ErrorKind, Outcome, Principal, Store, Timestamp, Version, hours};
use session_store_sqlite::SqliteStore;

#[tokio::test]
async fn calls_of_one_transaction_see_one_another_and_each_gets_its_own_answer() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let (first, second, third) = (record(b"1"), record(b"2"), record(b"3"));
    let foreign = dir.foreign();
    // Another connection holds the lock, so these calls wait and are executed in one batch.
    foreign.execute_batch("begin immediate").unwrap();
    let (call, k) = (now(), key(1));
    let expected = [
        (begin(store.create(&call, &k, &first)).await, Outcome::Done),
        (begin(store.create(&call, &k, &second)).await, Outcome::Exists),
        (begin(store.create(&call, &k, &first)).await, Outcome::Done),
        (begin(store.save(&call, &k, second.version, &third)).await, Outcome::Conflict),
        (begin(store.save(&call, &k, first.version, &second)).await, Outcome::Done),
        (begin(store.save(&call, &k, first.version, &second)).await, Outcome::Done),
        (begin(store.save(&call, &k, first.version, &third)).await, Outcome::Conflict),
        (begin(store.touch(&call, &k, first.version, second.expires_at)).await, Outcome::Conflict),
        (begin(store.touch(&call, &k, second.version, call.now)).await, Outcome::Done),
        (begin(store.delete(&call, &k, Some(first.version))).await, Outcome::Conflict),
        (begin(store.delete(&call, &k, Some(second.version))).await, Outcome::Done),
        (begin(store.save(&call, &k, second.version, &third)).await, Outcome::Missing),
        (begin(store.touch(&call, &k, second.version, call.now)).await, Outcome::Missing),
        (begin(store.delete(&call, &k, None)).await, Outcome::Missing),
        (begin(store.create(&call, &k, &third)).await, Outcome::Done),
    ];
    foreign.execute_batch("commit").unwrap();
    for (nth, (answer, outcome)) in expected.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), outcome, "the {nth}th");
    }
    assert_eq!(get(&store, 1).await, Some(third));
}

#[tokio::test]
async fn each_load_of_a_batch_has_its_own_now() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let stored = record(b"x");
    put(&store, 1, &stored).await;
    let (before, after) = (Call::new(stored.created_at), Call::new(stored.expires_at));
    let k = key(1);
    let mut loads = Vec::new();
    for n in 0..100 {
        loads.push(begin(store.load(if n % 2 == 0 { &before } else { &after }, &k)).await);
    }
    for (n, load) in loads.into_iter().enumerate() {
        assert_eq!(load.await.unwrap().is_some(), n % 2 == 0);
    }
}

#[tokio::test]
async fn dropped_calls_leave_old_or_new_and_affect_no_other_call() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let old = record(b"old");
    put(&store, 1, &old).await;
    let new = record(b"new");
    for _ in 0..50 {
        let (call, k, other) = (now(), key(1), key(2));
        let dropped = begin(store.save(&call, &k, old.version, &new)).await;
        let kept = begin(store.load(&call, &k)).await;
        let unknown = begin(store.touch(&call, &other, old.version, call.now)).await;
        drop(dropped);
        let found = kept.await.unwrap().unwrap();
        assert!(found == old || found == new);
        assert_eq!(unknown.await.unwrap(), Outcome::Missing);
    }
}

/// Creates two records that expired an hour ago and one that expires in an hour.
async fn with_expired(store: &SqliteStore) {
    let past = Call::new(now().now.minus(hours(2)));
    for n in 1..=2 {
        let mut expired = record_of("ann");
        expired.expires_at = past.now.plus(hours(1));
        assert_eq!(store.create(&past, &key(n), &expired).await.unwrap(), Outcome::Done);
    }
    put(store, 3, &record_of("ann")).await;
}

#[tokio::test]
async fn a_purge_goes_by_both_clocks_and_keeps_to_its_limit() {
    let dir = TestFile::new();
    let store = dir.open().await;
    with_expired(&store).await;
    let early = Call::new(now().now.minus(hours(2)));
    assert_eq!(store.purge(&early, MANY).await.unwrap().removed, 0);
    let late = Call::new(Timestamp::MAX);
    let one = NonZeroU32::new(1).unwrap();
    let purged = store.purge(&late, one).await.unwrap();
    assert_eq!((purged.removed, purged.more), (1, true));
    let purged = store.purge(&late, one).await.unwrap();
    assert_eq!((purged.removed, purged.more), (1, false));
    assert_eq!(store.purge(&late, one).await.unwrap().removed, 0);
    assert!(get(&store, 3).await.is_some());
}

#[tokio::test]
async fn a_purge_finds_sessions_whose_expiry_has_moved_since() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let past = Call::new(now().now.minus(hours(2)));
    let mut first = record(b"1");
    first.expires_at = past.now.plus(hours(1));
    let mut second = record(b"2");
    second.expires_at = now().now.plus(hours(1));
    for n in 1..=2 {
        assert_eq!(store.create(&past, &key(n), &first).await.unwrap(), Outcome::Done);
    }
    // A save extends one record, a touch the other. Both are live now, although their `purge_at` has passed.
    assert_eq!(store.save(&past, &key(1), first.version, &second).await.unwrap(), Outcome::Done);
    assert_eq!(store.touch(&past, &key(2), first.version, second.expires_at).await.unwrap(), Outcome::Done);
    let due = |at: Timestamp| -> i64 {
        let count = "select count(*) from sessions where purge_at <= ?1";
        dir.foreign().query_row(count, [at.as_millis()], |row| row.get(0)).unwrap()
    };
    assert_eq!(due(now().now), 2, "saves and touches leave it to the purge");
    let purged = store.purge(&now(), MANY).await.unwrap();
    assert_eq!((purged.removed, purged.more), (0, false));
    assert_eq!(due(now().now), 0, "which looks at each once");
    assert!(get(&store, 1).await.is_some() && get(&store, 2).await.is_some());

    // A save that shortens the expiry also moves `purge_at` to the earlier time.
    let mut third = record(b"3");
    third.expires_at = now().now.minus(hours(1));
    assert_eq!(store.save(&now(), &key(1), second.version, &third).await.unwrap(), Outcome::Done);
    assert_eq!(store.purge(&now(), MANY).await.unwrap().removed, 1);
    assert!(get(&store, 2).await.is_some());
}

#[tokio::test]
async fn principals_are_compared_byte_for_byte_and_indexed() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let names = ["ann", "Ann", "ann ", "an", "ann%", "a_n", "a*", "'ann'", "änn", "1", "1.0"];
    for (n, name) in names.iter().enumerate() {
        put(&store, n as u32, &record_of(name)).await;
    }
    for (n, name) in names.iter().enumerate() {
        let listed = store.sessions_of(&now(), &Principal::new(name).unwrap(), MANY).await.unwrap();
        assert_eq!(listed.len(), 1, "{name}");
        assert_eq!(listed[0].0, key(n as u32));
    }
    let plan: String = dir
        .foreign()
        .query_row("explain query plan select key from sessions where principal = 'a' and expires_at > 1", [], |row| {
            row.get(3)
        })
        .unwrap();
    assert!(plan.contains("sessions.principal"), "{plan}");
}

#[tokio::test]
async fn a_scan_pages_through_everything() {
    let store = SqliteStore::in_memory().open().await.unwrap();
    for n in 0..25 {
        put(&store, n, &record(b"x")).await;
    }
    let (mut next, mut seen) = (None, Vec::new());
    loop {
        let page = store.scan(&now(), next, NonZeroU32::new(10).unwrap()).await.unwrap();
        assert!(page.records.len() <= 10);
        seen.extend(page.records.into_iter().map(|(key, _)| key));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    seen.dedup();
    assert_eq!(seen.len(), 25);
}

#[tokio::test]
async fn what_no_store_of_ours_wrote_is_corrupt_and_alone() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let foreign = dir.foreign();
    let damages = [
        "version = -1",
        "expires_at = 9223372036854775807",
        "created_at = -1",
        "principal = cast(x'ff' as text)",
        "principal = ''",
    ];
    for (n, damage) in (0..).zip(damages) {
        put(&store, n, &record_of("ann")).await;
        let sql = format!("update sessions set {damage} where key = ?1");
        assert_eq!(foreign.execute(&sql, [key(n).as_bytes()]).unwrap(), 1);
    }
    put(&store, 100, &record(b"sound")).await;
    let (call, sound) = (now(), key(100));
    let keys: Vec<_> = (0..damages.len() as u32).map(key).collect();
    let mut loads = Vec::new();
    for key in &keys {
        loads.push(begin(store.load(&call, key)).await);
    }
    let load = begin(store.load(&call, &sound)).await;
    for (load, damage) in loads.into_iter().zip(damages) {
        assert_eq!(load.await.unwrap_err().kind(), ErrorKind::Corrupt, "{damage}");
    }
    assert!(load.await.unwrap().is_some());
    let error = store.save(&call, &keys[0], Version::random(), &record(b"y")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(store.delete(&call, &keys[1], None).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_of_lists_and_is_removed_with_the_others() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let foreign = dir.foreign();
    let ann = Principal::new("ann").unwrap();
    for n in 0..6 {
        put(&store, n, &record_of("ann")).await;
    }
    let spoil = |n: u32, damage: &str| {
        let sql = format!("update sessions set {damage} where key = ?1");
        assert_eq!(foreign.execute(&sql, [key(n).as_bytes()]).unwrap(), 1);
    };
    spoil(0, "version = -1");
    spoil(1, "created_at = -1");
    spoil(2, "key = x'00'");
    for limit in 1..=6 {
        let sound = limit.min(3) as usize;
        let limit = NonZeroU32::new(limit).unwrap();
        assert_eq!(store.sessions_of(&now(), &ann, limit).await.unwrap().len(), sound, "{limit}");
        let (mut seen, mut page) = (0, store.scan(&now(), None, limit).await.unwrap());
        loop {
            seen += page.records.len();
            let Some(next) = page.next else { break };
            page = store.scan(&now(), Some(next), limit).await.unwrap();
        }
        assert_eq!(seen, 3, "{limit}");
    }
    assert_eq!(store.delete(&now(), &key(0), None).await.unwrap(), Outcome::Done);
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap(), 5);
    let left: i64 = foreign.query_row("select count(*) from sessions", [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
}
