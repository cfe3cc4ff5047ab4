//! Tests of full disks, files that are removed or replaced, and other processes that hold the file.

mod common;

use std::fs;

use common::{TestFile, begin, get, key, now, put, record};
use session_conformance::log::Log;
use session_conformance::testing::{all_unavailable, block_of};
use session_core::{ErrorKind, Outcome, Record, Store, Timestamp, seconds};
use session_store_redb::RedbStore;

/// Creates sessions from number `first` on until a create fails. Returns the confirmed sessions.
async fn fill(store: &RedbStore, first: u32) -> Vec<(u32, Record)> {
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
    unreachable!("the file is bounded")
}

#[tokio::test]
async fn on_a_full_disk_nothing_confirmed_is_lost_and_room_ends_the_outage() {
    let dir = TestFile::new();
    let store = dir.builder().max_len(400_000).open().await.unwrap();
    let confirmed = fill(&store, 0).await;
    assert!(confirmed.len() > 20, "{}", confirmed.len());
    for (n, record) in &confirmed {
        assert_eq!(get(&store, *n).await.as_ref(), Some(record));
    }
    // Of calls that are made at once, those that need no room succeed.
    let (call, large, first, second) = (now(), record(&[1; 300_000]), key(0), key(1));
    let (fresh, unknown) = (key(5000), key(5001));
    let delete = begin(store.delete(&call, &first, None)).await;
    let refused = begin(store.create(&call, &fresh, &large)).await;
    let delete_too = begin(store.delete(&call, &second, None)).await;
    let missing = begin(store.touch(&call, &unknown, large.version, call.now)).await;
    assert_eq!(delete.await.unwrap(), Outcome::Done);
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(delete_too.await.unwrap(), Outcome::Done);
    assert_eq!(missing.await.unwrap(), Outcome::Missing);
    for (n, record) in &confirmed[2..] {
        assert_eq!(get(&store, *n).await.as_ref(), Some(record));
    }
    for (n, _) in &confirmed[2..20] {
        assert_eq!(store.delete(&now(), &key(*n), None).await.unwrap(), Outcome::Done);
    }
    assert!(!fill(&store, 10_000).await.is_empty());
}

/// redb uses no file again that it has failed to write, so each failed write costs a check of the whole file.
#[tokio::test]
async fn on_a_full_disk_few_writes_are_tried() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    // The store's threads log, so this is the subscriber of all of them.
    let _ = tracing::subscriber::set_global_default(subscriber);
    let dir = TestFile::new();
    let store = dir.builder().max_len(400_000).open().await.unwrap();
    fill(&store, 0).await;
    let opened = |log: &Log| {
        let path = dir.path().display().to_string();
        log.text().lines().filter(|line| line.contains("reopened") && line.contains(&path)).count() as u64
    };
    let (call, large) = (now(), record(&[1; 300_000]));
    let (start, before) = (std::time::Instant::now(), opened(&log));
    for n in 0..300 {
        assert_eq!(store.create(&call, &key(5000), &large).await.unwrap_err().kind(), ErrorKind::Unavailable);
        if n % 3 == 0 {
            let touched = store.touch(&call, &key(0), large.version, call.now).await;
            assert!(matches!(touched, Ok(Outcome::Conflict)) || touched.is_err(), "{touched:?}");
        }
    }
    let most = start.elapsed().as_secs() + 2;
    assert!(opened(&log) - before <= most, "one attempt in a second: {} and at most {most}", opened(&log) - before);
}

#[tokio::test]
async fn on_a_full_disk_a_session_can_be_ended() {
    let dir = TestFile::new();
    let store = dir.builder().max_len(400_000).open().await.unwrap();
    let confirmed = fill(&store, 0).await;
    // The store has just found no room, so it refuses what would take more.
    let (number, stored) = &confirmed[0];
    let (longer, tombstone) = (record(&[1; 3000]), record(&[0; 40]));
    let refused = store.save(&now(), &key(*number), stored.version, &longer).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    let refused = store.touch(&now(), &key(*number), stored.version, Timestamp::MAX).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unavailable);
    assert_eq!(store.save(&now(), &key(*number), stored.version, &tombstone).await.unwrap(), Outcome::Done);
    assert_eq!(get(&store, *number).await, Some(tombstone));
}

#[cfg(unix)]
#[tokio::test]
async fn a_directory_that_goes_away_is_an_outage_and_its_return_ends_it() {
    let dir = TestFile::new();
    let directory = dir.directory.path().join("data");
    let aside = dir.directory.path().join("aside");
    fs::create_dir(&directory).unwrap();
    let store = RedbStore::builder(directory.join("sessions.redb")).open().await.unwrap();
    let known = record(b"known");
    put(&store, 1, &known).await;

    fs::rename(&directory, &aside).unwrap();
    until_noticed(&store).await;
    all_unavailable(&store, &known).await;
    fs::create_dir(&directory).unwrap();
    all_unavailable(&store, &known).await;
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 0, "nothing is made in the place of what is gone");
    fs::remove_dir(&directory).unwrap();
    fs::rename(&aside, &directory).unwrap();
    assert_eq!(get(&store, 1).await, Some(known.clone()));
    let newer = record(b"newer");
    assert_eq!(store.save(&now(), &key(1), known.version, &newer).await.unwrap(), Outcome::Done);
    store.close().await.unwrap();
    let store = RedbStore::builder(directory.join("sessions.redb")).open().await.unwrap();
    assert_eq!(get(&store, 1).await, Some(newer));
}

/// Loads until the store has looked for its file, which a load from memory does every 50 ms.
#[cfg(unix)]
async fn until_noticed(store: &RedbStore) {
    let start = std::time::Instant::now();
    while store.load(&now(), &key(1)).await.is_ok() {
        assert!(start.elapsed() < seconds(5), "a removed file is noticed");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn a_deleted_or_emptied_file_is_an_outage_until_a_copy_is_restored() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let known = record(b"known");
    put(&store, 1, &known).await;
    store.close().await.unwrap();
    let backup = dir.directory.path().join("backup.redb");
    fs::copy(dir.path(), &backup).unwrap();
    let store = dir.open().await;
    put(&store, 3, &record(b"after the backup")).await;

    fs::remove_file(dir.path()).unwrap();
    until_noticed(&store).await;
    all_unavailable(&store, &known).await;
    fs::write(dir.path(), "").unwrap();
    all_unavailable(&store, &known).await;
    assert_eq!(fs::metadata(dir.path()).unwrap().len(), 0, "no database is made in its place");
    fs::write(dir.path(), "dear ".repeat(2000)).unwrap();
    assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Corrupt);
    fs::copy(&backup, dir.path()).unwrap();
    assert_eq!(get(&store, 1).await, Some(known));
    assert_eq!(get(&store, 3).await, None, "it is not in the backup");
    put(&store, 2, &record(b"more")).await;
    store.close().await.unwrap();
    assert!(get(&dir.open().await, 2).await.is_some(), "it was written to the file that has the path");
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_moved_over_the_file_in_use_is_what_all_stores_use_next() {
    let dir = TestFile::new();
    let (one, two) = (dir.open().await, dir.builder().namespace("other").open().await.unwrap());
    put(&one, 1, &record(b"kept")).await;
    put(&two, 1, &record(b"kept")).await;
    one.close().await.unwrap();
    two.close().await.unwrap();
    let backup = dir.directory.path().join("backup.redb");
    fs::copy(dir.path(), &backup).unwrap();
    let (one, two) = (dir.open().await, dir.builder().namespace("other").open().await.unwrap());
    put(&one, 2, &record(b"lost")).await;
    put(&two, 2, &record(b"lost")).await;
    fs::rename(&backup, dir.path()).unwrap();
    // A write looks at once, and is confirmed only if it is in the file that has the path.
    put(&one, 3, &record(b"new")).await;
    for store in [&one, &two] {
        assert!(get(store, 1).await.is_some());
        assert_eq!(get(store, 2).await, None, "it is not in the backup");
    }
    assert_eq!(get(&two, 3).await, None);
    one.close().await.unwrap();
    two.close().await.unwrap();
    assert!(get(&dir.open().await, 3).await.is_some());
}

#[cfg(unix)]
#[tokio::test]
async fn a_file_without_the_namespace_in_the_place_of_the_file_is_config() {
    let (dir, other) = (TestFile::new(), TestFile::new());
    other.builder().namespace("other").open().await.unwrap().close().await.unwrap();
    let store = dir.open().await;
    fs::rename(other.path(), dir.path()).unwrap();
    let error = store.create(&now(), &key(1), &record(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("has no namespace `sessions`"), "{error}");
}

/// Runs the commands of the README's section on restoring, on this store instead of a service's.
#[cfg(unix)]
#[tokio::test]
async fn the_readmes_recipe_restores_a_backup() {
    let recipe = block_of(include_str!("../README.md"), "Backing up and restoring", "sh");
    let dir = TestFile::new();
    let folder = dir.directory.path().to_str().unwrap();
    let mut store = Some(dir.open().await);
    put(store.as_ref().unwrap(), 1, &record(b"kept")).await;
    let mut stops = 0;
    for line in recipe.lines().filter(|line| !line.is_empty()) {
        let command = line.split(" #").next().unwrap().trim().replace("/var/lib/shop", folder);
        match command.as_str() {
            "systemctl stop shop" => {
                stops += 1;
                store.take().unwrap().close().await.unwrap();
            }
            "systemctl start shop" => {
                let started = dir.open().await;
                if stops == 1 {
                    put(&started, 2, &record(b"lost")).await;
                }
                store = Some(started);
            }
            _ => assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success()),
        }
    }
    let store = store.expect("the recipe starts the service again");
    assert_eq!(stops, 2);
    assert!(get(&store, 1).await.is_some());
    assert_eq!(get(&store, 2).await, None, "it was stored after the backup");
}

#[tokio::test]
async fn compacting_gives_space_back_and_loses_nothing() {
    let dir = TestFile::new();
    let store = dir.open().await;
    for n in 0..600 {
        put(&store, n, &record(&[n as u8; 4000])).await;
    }
    for n in 10..600 {
        assert_eq!(store.delete(&now(), &key(n), None).await.unwrap(), Outcome::Done);
    }
    let before = fs::metadata(dir.path()).unwrap().len();
    let other = store.clone();
    let (moved, loaded) = tokio::join!(store.compact(), async {
        let mut loaded = 0;
        for n in (0..10).cycle().take(500) {
            assert!(get(&other, n).await.is_some());
            loaded += 1;
        }
        loaded
    });
    assert!(moved.unwrap());
    assert_eq!(loaded, 500, "calls wait for it");
    let after = fs::metadata(dir.path()).unwrap().len();
    assert!(after < before / 2, "{before} {after}");
    for n in 0..10 {
        assert!(get(&store, n).await.is_some());
    }
    put(&store, 1000, &record(b"new")).await;
    store.close().await.unwrap();
    assert_eq!(store.compact().await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(get(&dir.open().await, 1000).await.is_some());
}
