//! Tests of the results of calls in a batch, and of the tables that they leave.

mod common;

use std::num::NonZeroU32;

use common::{MANY, TestFile, begin, get, key, now, put, record, record_of};
use redb::{ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition};
use session_core::{Call, ErrorKind, Outcome, Principal, Store, Timestamp, Version, hours};
use session_store_redb::RedbStore;

const RECORDS: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("session.records");
const PRINCIPALS: TableDefinition<'_, &[u8], ()> = TableDefinition::new("session.principals");
const EXPIRIES: TableDefinition<'_, &[u8], ()> = TableDefinition::new("session.expiries");

/// Returns the lengths of the tables: records, principals, expiries. No store may have the file open.
fn lengths(dir: &TestFile) -> [u64; 3] {
    let database = redb::Database::open(dir.path()).unwrap();
    let reader = database.begin_read().unwrap();
    [
        reader.open_table(RECORDS).unwrap().len().unwrap(),
        reader.open_table(PRINCIPALS).unwrap().len().unwrap(),
        reader.open_table(EXPIRIES).unwrap().len().unwrap(),
    ]
}

#[tokio::test]
async fn calls_of_one_transaction_see_one_another_and_each_gets_its_own_answer() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let (first, second, third) = (record(b"1"), record(b"2"), record(b"3"));
    // The writer takes the first call, and then the others in one batch.
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
    for (nth, (answer, outcome)) in expected.into_iter().enumerate() {
        assert_eq!(answer.await.unwrap(), outcome, "the {nth}th");
    }
    assert_eq!(get(&store, 1).await, Some(third));
}

#[tokio::test]
async fn a_load_has_its_own_now_in_memory_and_on_threads() {
    for cache in [64, 1] {
        let dir = TestFile::new();
        let store = dir.builder().cache(cache).open().await.unwrap();
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
}

#[tokio::test]
async fn a_file_that_outgrows_the_cache_is_read_by_threads() {
    let dir = TestFile::new();
    let store = dir.builder().cache(17).open().await.unwrap();
    let large = |n: u32| record(&vec![n as u8; 40_000]);
    for n in 0..100 {
        put(&store, n, &large(n)).await;
        assert_eq!(get(&store, n / 2).await.unwrap().data.len(), 40_000);
    }
    assert!(std::fs::metadata(dir.path()).unwrap().len() > 2 << 20);
    for n in 0..100 {
        assert_eq!(get(&store, n).await.unwrap().data, large(n).data);
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
async fn with_expired(store: &RedbStore) {
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
    store.close().await.unwrap();
    assert_eq!(lengths(&dir), [1, 1, 1]);
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
    // A save extends one record, a touch the other. Both are live now, although their entries are due.
    assert_eq!(store.save(&past, &key(1), first.version, &second).await.unwrap(), Outcome::Done);
    assert_eq!(store.touch(&past, &key(2), first.version, second.expires_at).await.unwrap(), Outcome::Done);
    // The purge looks at each once.
    let one = NonZeroU32::new(1).unwrap();
    let looks: Vec<_> = [store.purge(&now(), one).await.unwrap(), store.purge(&now(), one).await.unwrap()]
        .map(|purged| (purged.removed, purged.more))
        .into();
    assert_eq!(looks, [(0, true), (0, false)]);
    assert!(get(&store, 1).await.is_some() && get(&store, 2).await.is_some());

    // A save that shortens the expiry moves the entry to the earlier time.
    let mut third = record(b"3");
    third.expires_at = now().now.minus(hours(1));
    assert_eq!(store.save(&now(), &key(1), second.version, &third).await.unwrap(), Outcome::Done);
    assert_eq!(store.purge(&now(), MANY).await.unwrap().removed, 1);
    assert!(get(&store, 2).await.is_some());
    store.close().await.unwrap();
    assert_eq!(lengths(&dir), [1, 0, 1]);
}

#[tokio::test]
async fn principals_are_compared_byte_for_byte_and_leave_nothing_behind() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let names = ["ann", "Ann", "ann ", "an", "ann%", "a_n", "a*", "'ann'", "änn", "1", "1.0", "ann\u{1}", "\u{1}"];
    let mut stored = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let record = record_of(name);
        put(&store, n as u32, &record).await;
        stored.push(record);
    }
    for (n, name) in names.iter().enumerate() {
        let listed = store.sessions_of(&now(), &Principal::new(name).unwrap(), MANY).await.unwrap();
        assert_eq!(listed.len(), 1, "{name}");
        assert_eq!(listed[0].0, key(n as u32));
    }
    // One changes hands, one becomes anonymous, one is deleted.
    let (bob, anonymous) = (record_of("bob"), record(b"{}"));
    assert_eq!(store.save(&now(), &key(0), stored[0].version, &bob).await.unwrap(), Outcome::Done);
    assert_eq!(store.save(&now(), &key(1), stored[1].version, &anonymous).await.unwrap(), Outcome::Done);
    assert_eq!(store.delete(&now(), &key(2), None).await.unwrap(), Outcome::Done);
    for (name, count) in [("ann", 0), ("bob", 1), ("Ann", 0), ("ann ", 0)] {
        let listed = store.sessions_of(&now(), &Principal::new(name).unwrap(), MANY).await.unwrap();
        assert_eq!(listed.len(), count, "{name}");
    }
    store.close().await.unwrap();
    let left = names.len() as u64 - 1;
    assert_eq!(lengths(&dir), [left, left - 1, left]);
}

#[tokio::test]
async fn a_scan_pages_through_everything() {
    let dir = TestFile::new();
    let store = dir.open().await;
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

/// Changes the stored value of key number `n`. No store may have the file open.
fn spoil(dir: &TestFile, n: u32, damage: impl Fn(&mut Vec<u8>)) {
    dir.foreign(|transaction| {
        let mut records = transaction.open_table(RECORDS).unwrap();
        let at = [b"sessions\0".as_slice(), key(n).as_bytes()].concat();
        let mut value = records.get(&*at).unwrap().unwrap().value().to_vec();
        damage(&mut value);
        records.insert(&*at, &*value).unwrap();
    });
}

#[tokio::test]
async fn what_no_store_of_ours_wrote_is_corrupt_and_alone() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let damages: [fn(&mut Vec<u8>); 5] = [
        |value| value[7] = 0xff,
        |value| value[15] = 0xff,
        |value| value[16..24].fill(0x7f),
        |value| value[33] = 0xff,
        |value| value.truncate(34),
    ];
    for n in 0..5 {
        put(&store, n, &record_of("ann")).await;
    }
    put(&store, 100, &record(b"sound")).await;
    store.close().await.unwrap();
    for (n, damage) in (0..).zip(damages) {
        spoil(&dir, n, damage);
    }
    let store = dir.open().await;
    let call = now();
    for n in 0..5 {
        assert_eq!(store.load(&call, &key(n)).await.unwrap_err().kind(), ErrorKind::Corrupt, "{n}");
    }
    assert!(get(&store, 100).await.is_some());
    let error = store.save(&call, &key(0), Version::random(), &record(b"y")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert_eq!(store.create(&call, &key(0), &record(b"y")).await.unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(store.delete(&call, &key(0), None).await.unwrap(), Outcome::Done);
    put(&store, 0, &record(b"new")).await;
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_of_lists_and_is_removed_with_the_others() {
    let dir = TestFile::new();
    let ann = Principal::new("ann").unwrap();
    let store = dir.open().await;
    for n in 0..6 {
        put(&store, n, &record_of("ann")).await;
    }
    store.close().await.unwrap();
    spoil(&dir, 0, |value| value[7] = 0xff);
    spoil(&dir, 1, |value| value.truncate(10));
    spoil(&dir, 2, |value| value.clear());
    let store = dir.open().await;
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
    // What the heads that could not be read would have named is removed when it is due.
    let mut expired = record(b"x");
    expired.expires_at = now().now.minus(hours(1));
    let past = Call::new(now().now.minus(hours(2)));
    assert_eq!(store.create(&past, &key(9), &expired).await.unwrap(), Outcome::Done);
    assert_eq!(store.purge(&now(), MANY).await.unwrap().removed, 1);
    store.close().await.unwrap();
    assert_eq!(lengths(&dir), [0, 0, 3]);
}

#[tokio::test]
async fn a_purge_removes_what_cannot_be_read_and_what_belongs_to_nothing() {
    let dir = TestFile::new();
    let store = dir.open().await;
    with_expired(&store).await;
    store.close().await.unwrap();
    spoil(&dir, 1, |value| value.truncate(10));
    dir.foreign(|transaction| {
        let orphan = [b"sessions\0".as_slice(), &[0; 8], key(77).as_bytes()].concat();
        transaction.open_table(EXPIRIES).unwrap().insert(&*orphan, ()).unwrap();
    });
    let store = dir.open().await;
    let purged = store.purge(&now(), MANY).await.unwrap();
    assert_eq!((purged.removed, purged.more), (2, false));
    assert!(get(&store, 3).await.is_some());
    // Its entry among the principals could not be found, and lists do not show it.
    let ann = Principal::new("ann").unwrap();
    assert_eq!(store.sessions_of(&now(), &ann, MANY).await.unwrap().len(), 1);
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap(), 1);
    store.close().await.unwrap();
    assert_eq!(lengths(&dir), [0, 0, 0]);
}
