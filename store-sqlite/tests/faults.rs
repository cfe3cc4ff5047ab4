//! Tests of full disks, locks of other processes, and files that are removed.

mod common;

use std::fs;

use common::{TestFile, begin, get, key, now, put, record};
use session_conformance::testing::all_unavailable;
use session_core::{ErrorKind, Outcome, Record, Store, seconds};
use session_store_sqlite::SqliteStore;

/// Creates sessions from number `first` on until a create fails. Returns the confirmed sessions.
async fn fill(store: &SqliteStore, first: u32) -> Vec<(u32, Record)> {
    let mut confirmed = Vec::new();
    for n in first.. {
        let record = record(&[n as u8; 2000]);
        match store.create(&now(), &key(n), &record).await {
            Ok(outcome) => assert_eq!(outcome, Outcome::Done),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains("full"), "{error}");
                return confirmed;
            }
        }
        confirmed.push((n, record));
    }
    unreachable!("the database is bounded")
}

#[tokio::test]
async fn on_a_full_disk_nothing_confirmed_is_lost_and_room_ends_the_outage() {
    let dir = TestFile::new();
    let store = dir.builder().max_page_count(60).open().await.unwrap();
    let confirmed = fill(&store, 0).await;
    assert!(confirmed.len() > 20);
    for (n, record) in &confirmed {
        assert_eq!(get(&store, *n).await.as_ref(), Some(record));
    }
    // In one batch with a write that does not fit, calls that need no room succeed.
    let foreign = dir.foreign();
    foreign.execute_batch("begin immediate").unwrap();
    let (call, large, first, second) = (now(), record(&[1; 100_000]), key(0), key(1));
    let (fresh, unknown) = (key(5000), key(5001));
    let delete = begin(store.delete(&call, &first, None)).await;
    let refused = begin(store.create(&call, &fresh, &large)).await;
    let delete_too = begin(store.delete(&call, &second, None)).await;
    let missing = begin(store.touch(&call, &unknown, large.version, call.now)).await;
    foreign.execute_batch("commit").unwrap();
    assert_eq!(delete.await.unwrap(), Outcome::Done);
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(delete_too.await.unwrap(), Outcome::Done);
    assert_eq!(missing.await.unwrap(), Outcome::Missing);
    for (n, record) in &confirmed[2..] {
        assert_eq!(get(&store, *n).await.as_ref(), Some(record));
    }
    for (n, _) in &confirmed[2..10] {
        assert_eq!(store.delete(&now(), &key(*n), None).await.unwrap(), Outcome::Done);
    }
    assert!(!fill(&store, 10_000).await.is_empty());
}

#[tokio::test]
async fn a_lock_of_another_process_is_waited_for() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let foreign = dir.foreign();
    foreign.execute_batch("begin immediate").unwrap();
    let (call, k, record) = (now(), key(1), record(b"x"));
    let create = begin(store.create(&call, &k, &record)).await;
    // Readers do not wait.
    assert_eq!(get(&store, 1).await, None);
    foreign.execute_batch("commit").unwrap();
    assert_eq!(create.await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn a_lock_that_outlasts_the_time_out_is_unavailable_and_nothing_was_written() {
    let dir = TestFile::new();
    let store = dir.builder().timeout(seconds(2)).open().await.unwrap();
    let old = record(b"old");
    put(&store, 1, &old).await;
    let foreign = dir.foreign();
    foreign.execute_batch("begin immediate").unwrap();
    let (call, k, new) = (now(), key(1), record(b"new"));
    let waiting = [
        begin(store.touch(&call, &k, old.version, old.expires_at)).await,
        begin(store.save(&call, &k, old.version, &new)).await,
        begin(store.delete(&call, &k, None)).await,
    ];
    for answer in waiting {
        let error = answer.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(!error.to_string().contains("locked"), "{error}");
    }
    foreign.execute_batch("commit").unwrap();
    // This call is behind them in the writer's queue, so everything they did is finished before it.
    assert_eq!(store.touch(&now(), &key(2), old.version, call.now).await.unwrap(), Outcome::Missing);
    assert_eq!(get(&store, 1).await.as_ref(), Some(&old));
    assert_eq!(store.save(&now(), &key(1), old.version, &record(b"newer")).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn opening_a_locked_database_is_unavailable_after_the_time_out() {
    let dir = TestFile::new();
    drop(dir.open().await);
    let foreign = dir.foreign();
    foreign.execute_batch("begin immediate").unwrap();
    let error = dir.builder().timeout(seconds(2)).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_goes_away_is_an_outage_and_its_return_ends_it() {
    let dir = TestFile::new();
    let directory = dir.directory.path().join("data");
    let aside = dir.directory.path().join("aside");
    fs::create_dir(&directory).unwrap();
    let store = SqliteStore::builder(directory.join("sessions.db")).open().await.unwrap();
    let known = record(b"known");
    put(&store, 1, &known).await;

    fs::rename(&directory, &aside).unwrap();
    all_unavailable(&store, &known).await;
    fs::create_dir(&directory).unwrap();
    all_unavailable(&store, &known).await;
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "nothing is made in the place of what is gone");
    fs::remove_dir(&directory).unwrap();
    fs::rename(&aside, &directory).unwrap();
    assert_eq!(get(&store, 1).await, Some(known.clone()));
    let newer = record(b"newer");
    assert_eq!(store.save(&now(), &key(1), known.version, &newer).await.unwrap(), Outcome::Done);
    drop(store);
    let store = SqliteStore::builder(directory.join("sessions.db")).open().await.unwrap();
    assert_eq!(get(&store, 1).await, Some(newer));
}

#[cfg(unix)]
#[tokio::test]
async fn a_deleted_file_is_an_outage_until_a_copy_is_restored() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let known = record(b"known");
    put(&store, 1, &known).await;
    let backup = dir.directory.path().join("backup.db");
    dir.foreign().execute("vacuum into ?1", [backup.to_str().unwrap()]).unwrap();
    for file in ["sessions.db", "sessions.db-wal", "sessions.db-shm"] {
        fs::remove_file(dir.directory.path().join(file)).unwrap();
    }
    all_unavailable(&store, &known).await;
    fs::copy(&backup, dir.path()).unwrap();
    assert_eq!(get(&store, 1).await, Some(known));
    put(&store, 2, &record(b"more")).await;
    drop(store);
    assert!(get(&dir.open().await, 2).await.is_some(), "it was written to the file that has the path");
}

#[tokio::test]
async fn a_dropped_table_is_an_error_until_it_is_back() {
    let dir = TestFile::new();
    let store = dir.open().await;
    put(&store, 1, &record(b"x")).await;
    dir.foreign().execute_batch("drop table sessions").unwrap();
    assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Config);
    dir.foreign().execute_batch(&SqliteStore::schema("sessions").unwrap()).unwrap();
    assert_eq!(get(&store, 1).await, None);
    put(&store, 1, &record(b"x")).await;
}
