//! Tests of the effect of each operation on the files.

mod common;

use std::fs;
use std::num::NonZeroU32;

use common::{MANY, TestFolder, begin, get, key, now, put, record, record_of};
use session_core::{
    Call, ErrorKind, Outcome, Principal, Record, Store, StoreKey, Timestamp, Version, hours, minutes, seconds,
};
use session_store_file::FileStore;

#[tokio::test]
async fn data_beyond_the_limit_is_refused_and_nothing_changes() {
    let dir = TestFolder::new();
    let store = dir.builder().max_len(Some(100)).open().await.unwrap();
    let (fits, too_large) = (record(&[1; 100]), record(&[1; 101]));
    put(&store, 1, &fits).await;
    assert_eq!(store.create(&now(), &key(2), &too_large).await.unwrap_err().kind(), ErrorKind::TooLarge);
    let error = store.save(&now(), &key(1), fits.version, &too_large).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(get(&store, 1).await, Some(fits));
    assert_eq!(get(&store, 2).await, None);
}

#[tokio::test]
async fn without_a_limit_data_of_any_length_goes_in_and_a_limit_set_later_takes_no_memory() {
    let dir = TestFolder::new();
    let store = dir.builder().max_len(None).open().await.unwrap();
    assert_eq!(store.capabilities().max_data_len, None);
    let large = record(&vec![7; 20 << 20]);
    put(&store, 1, &large).await;
    assert_eq!(get(&store, 1).await, Some(large));
    let bounded = dir.open().await;
    assert_eq!(bounded.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    // Operations that need only the head still work.
    assert_eq!(bounded.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
}

fn past() -> Call {
    Call::new(now().now.minus(hours(2)))
}

/// Creates records that expired an hour ago, and one that expires in an hour.
async fn with_expired(store: &FileStore, expired: u32) {
    for n in 0..expired {
        let mut record = record_of("ann");
        record.expires_at = past().now.plus(hours(1));
        assert_eq!(store.create(&past(), &key(n), &record).await.unwrap(), Outcome::Done);
    }
    put(store, 1000, &record_of("ann")).await;
}

async fn purge_all(store: &FileStore, call: &Call, limit: NonZeroU32) -> u32 {
    let mut removed = 0;
    loop {
        let purged = store.purge(call, limit).await.unwrap();
        assert!(purged.removed <= limit.get());
        removed += purged.removed;
        if !purged.more {
            return removed;
        }
    }
}

#[tokio::test]
async fn a_purge_goes_by_both_clocks_keeps_to_its_limit_and_takes_entries_along() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    with_expired(&store, 20).await;
    assert_eq!(purge_all(&store, &past(), MANY).await, 0);
    let late = Call::new(Timestamp::MAX);
    let seven = NonZeroU32::new(7).unwrap();
    let purged = store.purge(&late, seven).await.unwrap();
    assert_eq!((purged.removed, purged.more), (7, true));
    assert_eq!(purge_all(&store, &late, seven).await, 13);
    assert_eq!(purge_all(&store, &late, seven).await, 0);
    assert!(get(&store, 1000).await.is_some());
    assert_eq!((dir.files("records").len(), dir.entries().len()), (1, 1));
}

#[tokio::test]
async fn a_purge_by_a_later_clock_finds_what_the_one_before_it_passed_over() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    with_expired(&store, 20).await;
    // The first purge uses the right clock and stops half-way. The second uses an earlier clock, and the third the right one.
    assert_eq!(store.purge(&now(), NonZeroU32::new(5).unwrap()).await.unwrap().removed, 5);
    assert_eq!(purge_all(&store, &past(), MANY).await, 0);
    assert_eq!(purge_all(&store, &now(), MANY).await, 15);
}

#[tokio::test]
async fn a_pass_continued_by_a_later_clock_finds_what_has_expired_since_it_began() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    // In the order of the pass: a record that is live by the first purge's clock, and two that have expired by it.
    for (n, lives_for) in [(0, minutes(90)), (1, hours(1)), (2, hours(1))] {
        let mut record = record_of("ann");
        record.expires_at = past().now.plus(lives_for);
        assert_eq!(store.create(&past(), &key(n), &record).await.unwrap(), Outcome::Done);
    }
    let first = Call::new(past().now.plus(minutes(70)));
    let purged = store.purge(&first, NonZeroU32::MIN).await.unwrap();
    assert_eq!((purged.removed, purged.more), (1, true));
    // The pass goes on behind the record that has expired meanwhile, so its end is not the end of the work.
    let purged = store.purge(&now(), MANY).await.unwrap();
    assert_eq!((purged.removed, purged.more), (1, true));
    let purged = store.purge(&now(), MANY).await.unwrap();
    assert_eq!((purged.removed, purged.more), (1, false));
    assert!(dir.files("records").is_empty());
}

#[tokio::test]
async fn sessions_that_expire_during_each_pass_do_not_keep_a_purge_going() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    // One record expires each minute. A purge removes one at a time, and its clock goes on by a minute each time.
    for n in 0..90 {
        let mut record = record_of("ann");
        record.expires_at = past().now.plus(minutes(90 - u64::from(n)));
        assert_eq!(store.create(&past(), &key(n), &record).await.unwrap(), Outcome::Done);
    }
    let mut calls = 0;
    for minute in 10.. {
        let call = Call::new(past().now.plus(minutes(minute)));
        calls += 1;
        if !store.purge(&call, NonZeroU32::MIN).await.unwrap().more {
            break;
        }
    }
    assert!(calls < 40, "{calls} calls");
}

#[tokio::test]
async fn a_purge_sees_more_files_than_it_looks_at_with_one_call() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    with_expired(&store, 5).await;
    let (sample, shard) = (fs::read(dir.record(1000)).unwrap(), dir.shard(255));
    fs::create_dir(&shard).unwrap();
    // The contents belong to another key, so these files are undecodable and left alone.
    for n in 0..5000_u32 {
        fs::write(shard.join(format!("ff{n:062x}")), &sample).unwrap();
    }
    let mut last = record(b"x");
    last.expires_at = past().now.plus(hours(1));
    let mut bytes = [0xff; 32];
    bytes[31] = 0;
    let behind = StoreKey::from_bytes(bytes);
    assert_eq!(store.create(&past(), &behind, &last).await.unwrap(), Outcome::Done);
    let first = store.purge(&now(), MANY).await.unwrap();
    assert_eq!((first.removed, first.more), (5, true));
    assert_eq!(purge_all(&store, &now(), MANY).await, 1);
    assert_eq!(fs::read_dir(shard).unwrap().count(), 5000);
}

#[tokio::test]
async fn a_purge_mends_what_a_crash_left_and_leaves_what_is_not_ours() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    put(&store, 1, &record_of("ann")).await;
    put(&store, 2, &record_of("ann")).await;
    let ann = Principal::new("ann").unwrap();
    // A record without its entry, as after a loss of power, an entry without its record, and half a record.
    let entries = dir.entries();
    fs::remove_file(&entries[0]).unwrap();
    let orphan = entries[1].with_file_name(entries[1].file_name().unwrap().to_str().unwrap().replace("07", "08"));
    assert!(!entries.contains(&orphan));
    fs::write(&orphan, "").unwrap();
    dir.half_written(3);
    let foreign = [dir.shard(3).join("README"), dir.shard(3).join("0".repeat(63)), entries[0].with_file_name("x-y")];
    for path in &foreign {
        fs::write(path, "not ours").unwrap();
    }
    assert_eq!(store.sessions_of(&now(), &ann, MANY).await.unwrap().len(), 1);
    assert_eq!(purge_all(&store, &now(), MANY).await, 0);
    assert_eq!(store.sessions_of(&now(), &ann, MANY).await.unwrap().len(), 2);
    assert!(!fs::exists(orphan).unwrap() && !dir.shard(3).join("new").exists());
    assert!(foreign.iter().all(|path| path.exists()));
}

#[tokio::test]
async fn a_purge_spares_what_is_half_written_by_the_living() {
    let dir = TestFolder::new();
    let store = dir.builder().timeout(seconds(2)).open().await.unwrap();
    dir.half_written(3);
    let writer = dir.locked(3);
    assert_eq!(store.purge(&now(), MANY).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(dir.shard(3).join("new").exists());
    drop(writer);
    assert_eq!(purge_all(&store, &now(), MANY).await, 0);
    assert!(!dir.shard(3).join("new").exists());
}

#[tokio::test]
async fn a_locked_shard_does_not_keep_purges_from_the_others() {
    let dir = TestFolder::new();
    let store = dir.builder().timeout(seconds(2)).open().await.unwrap();
    with_expired(&store, 20).await;
    let _writer = dir.locked(0);
    assert_eq!(store.purge(&now(), MANY).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(dir.files("records").len(), 2, "the one that is locked, and the live one");
}

#[tokio::test]
async fn what_a_locked_shard_kept_from_a_purge_is_found_by_the_rest_of_its_round() {
    let dir = TestFolder::new();
    let store = dir.builder().timeout(seconds(2)).open().await.unwrap();
    with_expired(&store, 20).await;
    let writer = dir.locked(0);
    let five = NonZeroU32::new(5).unwrap();
    assert_eq!(store.purge(&now(), five).await.unwrap_err().kind(), ErrorKind::Unavailable);
    drop(writer);
    assert_eq!(purge_all(&store, &now(), five).await, 16);
    assert_eq!(dir.files("records").len(), 1, "the live one");
}

#[tokio::test]
async fn the_index_has_an_entry_for_each_session_with_a_principal_and_no_other() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    let mut last = record(b"");
    put(&store, 1, &last).await;
    for (who, entries) in [(None, 0), (Some("ann"), 1), (Some("ann"), 1), (Some("bob"), 1), (None, 0), (Some("ann"), 1)]
    {
        let mut next = record(b"");
        next.principal = who.map(|who| Principal::new(who).unwrap());
        assert_eq!(store.save(&now(), &key(1), last.version, &next).await.unwrap(), Outcome::Done);
        let touched = store.touch(&now(), &key(1), next.version, next.expires_at.plus(minutes(1))).await;
        assert_eq!(touched.unwrap(), Outcome::Done);
        assert_eq!(dir.entries().len(), entries, "{who:?}");
        last = next;
    }
    assert_eq!(store.delete(&now(), &key(1), Some(last.version)).await.unwrap(), Outcome::Done);
    assert_eq!(dir.entries().len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_scan_misses_nothing_while_everything_is_being_saved() {
    let dir = TestFolder::new();
    let (store, other) = (dir.open().await, dir.open().await);
    // All in one folder, so that files in it are replaced all the time.
    let keys: Vec<_> = (0..40).map(|n| key(n << 8)).collect();
    let mut records = Vec::new();
    for key in &keys {
        let record = record(&[1; 500]);
        assert_eq!(store.create(&now(), key, &record).await.unwrap(), Outcome::Done);
        records.push(record);
    }
    let (ended, end) = tokio::sync::oneshot::channel();
    let saved = keys.clone();
    let saving = tokio::spawn(async move {
        let mut end = end;
        while end.try_recv() == Err(tokio::sync::oneshot::error::TryRecvError::Empty) {
            for (key, last) in saved.iter().zip(&mut records) {
                let next = record(&[2; 500]);
                assert_eq!(other.save(&now(), key, last.version, &next).await.unwrap(), Outcome::Done);
                *last = next;
            }
        }
    });
    for _ in 0..20 {
        let (mut next, mut seen) = (None, Vec::new());
        loop {
            let page = store.scan(&now(), next, NonZeroU32::new(7).unwrap()).await.unwrap();
            assert!(page.records.len() <= 7);
            seen.extend(page.records.into_iter().map(|(key, _)| key));
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        seen.dedup();
        assert_eq!(seen.len(), 40);
    }
    ended.send(()).unwrap();
    saving.await.unwrap();
}

/// Damages the file of session `n` in one of several ways, numbered by `kind`.
fn damage(dir: &TestFolder, n: u32, kind: usize) {
    let path = dir.record(n);
    let mut file = fs::read(&path).unwrap();
    match kind {
        0 => file.clear(),
        1 => file.truncate(file.len() - 1),
        2 => file.push(0),
        3 => file[20] ^= 1,
        4 => *file.last_mut().unwrap() ^= 0x80,
        5 => file = b"<html>".to_vec(),
        6 => file = fs::read(dir.record(100)).unwrap(),
        _ => {
            fs::remove_file(&path).unwrap();
            return fs::create_dir(&path).unwrap();
        }
    }
    fs::write(path, file).unwrap();
}

#[tokio::test]
async fn what_no_store_of_ours_wrote_is_corrupt_and_alone() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    put(&store, 100, &record_of("ann")).await;
    for n in 0..8 {
        put(&store, n, &record_of("ann")).await;
        damage(&dir, n, n as usize);
        let kind = |error: session_core::Error| error.kind();
        assert_eq!(store.load(&now(), &key(n)).await.map_err(kind), Err(ErrorKind::Corrupt), "{n}");
        if n != 4 {
            // Kind 4 leaves the head intact, and these operations need only the head.
            let save = store.save(&now(), &key(n), Version::random(), &record(b"y")).await;
            assert_eq!(save.map_err(kind), Err(ErrorKind::Corrupt), "{n}");
            let create = store.create(&now(), &key(n), &record(b"y")).await;
            assert_eq!(create.map_err(kind), Err(ErrorKind::Corrupt), "{n}");
            let delete = store.delete(&now(), &key(n), Some(Version::random())).await;
            assert_eq!(delete.map_err(kind), Err(ErrorKind::Corrupt), "{n}");
        }
    }
    let ann = Principal::new("ann").unwrap();
    assert_eq!(store.scan(&now(), None, MANY).await.unwrap().records.len(), 1);
    assert_eq!(store.sessions_of(&now(), &ann, MANY).await.unwrap().len(), 1);
    assert_eq!(purge_all(&store, &now(), MANY).await, 0);
    assert!((0..8).all(|n| dir.record(n).exists()), "they remain for inspection");
    for n in 0..7 {
        assert_eq!(store.delete(&now(), &key(n), None).await.unwrap(), Outcome::Done);
        put(&store, n, &record(b"again")).await;
    }
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap(), 1);
}

#[tokio::test]
async fn what_cannot_be_read_is_removed_with_its_principals_other_sessions() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    for n in 0..3 {
        put(&store, n, &record_of("ann")).await;
    }
    fs::write(dir.record(1), b"garbage").unwrap();
    let ann = Principal::new("ann").unwrap();
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap(), 3);
    assert!((0..3).all(|n| !dir.record(n).exists()));
}

#[tokio::test]
async fn a_file_as_long_as_no_memory_is_corrupt_and_not_read() {
    let dir = TestFolder::new();
    let store = dir.builder().max_len(None).open().await.unwrap();
    put(&store, 1, &record(b"x")).await;
    let file = fs::File::options().write(true).open(dir.record(1)).unwrap();
    file.set_len(1 << 42).unwrap();
    assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Corrupt);
}

#[tokio::test]
async fn a_full_queue_is_waited_for_within_the_time_out() {
    let dir = TestFolder::new();
    let store = dir.builder().queue(1).timeout(seconds(2)).open().await.unwrap();
    let (call, one, two, new) = (now(), key(1), key(2), record(b"x"));
    let writer = dir.locked(1);
    let first = begin(store.create(&call, &one, &new)).await;
    // The queue is full, although this call's shard is free.
    let error = store.create(&call, &two, &new).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(get(&store, 2).await, None, "loads have a queue of their own");
    assert_eq!(first.await.unwrap_err().kind(), ErrorKind::Unavailable);
    drop(writer);
    put(&store, 2, &new).await;
}

#[tokio::test]
async fn many_sessions_are_all_written_and_found() {
    let dir = TestFolder::new();
    let store = dir.open().await;
    let keys: Vec<StoreKey> = (0..600).map(key).collect();
    let records: Vec<Record> = keys.iter().map(|_| record_of("ann")).collect();
    let call = now();
    let creates = keys.iter().zip(&records).map(|(key, record)| store.create(&call, key, record));
    for created in futures_util::future::join_all(creates).await {
        assert_eq!(created.unwrap(), Outcome::Done);
    }
    let ann = Principal::new("ann").unwrap();
    assert_eq!(store.sessions_of(&call, &ann, MANY).await.unwrap().len(), 600);
    assert_eq!(store.delete_all(&call, &ann, Some(&keys[7])).await.unwrap(), 599);
}
