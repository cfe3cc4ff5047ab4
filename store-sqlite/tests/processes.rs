//! Tests with several store instances and several processes on one file.
//!
//! The other processes run this test program again in a part of its own.

mod common;

use std::env::set_current_dir;
use std::fs::{copy as copy_file, create_dir, read_dir};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Child;

use common::{TestFile, begin, get, key, now, put, record};
use session_conformance::testing::{
    self, all_unavailable, count_among_instances, count_among_processes, count_up_as_part,
};
use session_core::{Outcome, Store};
use session_store_sqlite::SqliteStore;

fn start(part: &str, dir: &TestFile) -> Child {
    testing::start("part_of_another_process", part, &dir.path())
}

/// Runs a part when the tests below start it in another process. Passes otherwise.
#[tokio::test]
async fn part_of_another_process() {
    let Some((part, path)) = testing::part() else { return };
    if part == "moves" {
        return moves(path.parent().unwrap()).await;
    }
    let store = SqliteStore::builder(path).open().await.unwrap();
    match part.as_str() {
        "counts" => count_up_as_part(&store).await,
        "creates" => {
            for n in 0.. {
                put(&store, n, &record(b"confirmed")).await;
                println!("\nconfirmed {n}");
            }
        }
        other => panic!("no part {other}"),
    }
}

#[tokio::test]
async fn processes_lose_no_update_of_one_another() {
    let dir = TestFile::new();
    count_among_processes(&dir.open().await, || start("counts", &dir)).await;
}

#[tokio::test]
async fn a_closed_store_leaves_one_file_that_can_be_copied_and_no_thread() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let clone = store.clone();
    put(&store, 1, &record(b"kept")).await;
    let (call, k, too) = (now(), key(2), record(b"too"));
    let last = begin(store.create(&call, &k, &too)).await;
    store.close().await.unwrap();
    assert_eq!(last.await.unwrap(), Outcome::Done, "it was in flight");
    for beside in ["sessions.db-wal", "sessions.db-shm"] {
        assert!(!dir.directory.path().join(beside).exists(), "{beside}");
    }
    all_unavailable(&clone, &record(b"any")).await;
    clone.close().await.unwrap();
    let copy = dir.directory.path().join("copy.db");
    copy_file(dir.path(), &copy).unwrap();
    let copy = SqliteStore::builder(copy).create(false).open().await.unwrap();
    assert!(get(&copy, 1).await.is_some() && get(&copy, 2).await.is_some());
}

#[tokio::test]
async fn a_closed_store_in_memory_is_unavailable() {
    let store = SqliteStore::in_memory().open().await.unwrap();
    put(&store, 1, &record(b"x")).await;
    store.close().await.unwrap();
    all_unavailable(&store, &record(b"any")).await;
}

#[tokio::test]
async fn instances_in_one_process_lose_no_update_of_one_another() {
    let dir = TestFile::new();
    count_among_instances(dir.open().await, dir.open().await).await;
}

#[tokio::test]
async fn what_a_killed_process_confirmed_is_there() {
    let dir = TestFile::new();
    let mut other = start("creates", &dir);
    let mut confirmed = 0;
    for line in BufReader::new(other.stdout.take().unwrap()).lines() {
        if let Some(n) = line.unwrap().strip_prefix("confirmed ") {
            confirmed = n.parse().unwrap();
        }
        if confirmed == 200 {
            other.kill().unwrap();
        }
    }
    other.wait().unwrap();
    assert!(confirmed >= 200);
    let store = dir.open().await;
    for n in 0..=confirmed {
        assert!(get(&store, n).await.is_some(), "{n} of {confirmed}");
    }
}

/// Opens the store by a relative path, and changes the working directory before each next step.
async fn moves(directory: &Path) {
    set_current_dir(directory).unwrap();
    let store = SqliteStore::connect("sqlite://sessions.db").await.unwrap();
    put(&store, 1, &record(b"first")).await;
    let elsewhere = directory.join("elsewhere");
    create_dir(&elsewhere).unwrap();
    set_current_dir(&elsewhere).unwrap();
    put(&store, 2, &record(b"second")).await;
    set_current_dir("/").unwrap();
    assert!(get(&store, 1).await.is_some() && get(&store, 2).await.is_some());
    assert_eq!(read_dir(elsewhere).unwrap().count(), 0);
}

#[tokio::test]
async fn a_relative_path_means_the_same_file_after_the_process_has_changed_its_working_directory() {
    let dir = TestFile::new();
    let output = start("moves", &dir).wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    let store = dir.open().await;
    assert!(get(&store, 1).await.is_some() && get(&store, 2).await.is_some());
}
