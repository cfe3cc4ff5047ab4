//! Tests with several store instances, and with processes that are killed.
//!
//! The other processes run this test program again in a part of its own.

mod common;

use std::env::set_current_dir;
use std::fs::{copy as copy_file, create_dir, read_dir};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::Child;
use std::time::Instant;

use common::{TestFile, begin, get, key, now, put, record};
use session_conformance::testing::{self, all_unavailable, count_among_instances};
use session_core::{ErrorKind, Outcome, Store, seconds};
use session_store_redb::{Durability, RedbStore};

/// Tasks of a process that counts, each with a count of its own.
const TASKS: u32 = 4;

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
    let store = RedbStore::builder(path).open().await.unwrap();
    match part.as_str() {
        "counts" => {
            let tasks: Vec<_> = (0..TASKS).map(|task| tokio::spawn(count(store.clone(), task))).collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
        "holds" => {
            println!("\nholds");
            std::io::stdin().read_line(&mut String::new()).unwrap();
            store.close().await.unwrap();
        }
        other => panic!("no part {other}"),
    }
}

/// Counts for ever, and prints each count that was confirmed.
async fn count(store: RedbStore, task: u32) {
    let mut stored = match get(&store, task).await {
        Some(stored) => stored,
        None => {
            let first = record(&0_u64.to_le_bytes());
            put(&store, task, &first).await;
            first
        }
    };
    loop {
        let next = record(&(number(&stored.data) + 1).to_le_bytes());
        let saved = store.save(&now(), &key(task), stored.version, &next).await.unwrap();
        assert_eq!(saved, Outcome::Done);
        println!("\nconfirmed {task} {}", number(&next.data));
        stored = next;
    }
}

fn number(data: &[u8]) -> u64 {
    u64::from_le_bytes(*data.first_chunk().unwrap())
}

#[tokio::test]
async fn what_killed_processes_confirmed_is_there() {
    let dir = TestFile::new();
    let mut confirmed = [0; TASKS as usize];
    for killed in 1..=3 {
        let mut other = start("counts", &dir);
        for line in BufReader::new(other.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            let Some(counted) = line.strip_prefix("confirmed ") else { continue };
            let (task, number) = counted.split_once(' ').unwrap();
            confirmed[task.parse::<usize>().unwrap()] = number.parse().unwrap();
            if confirmed.iter().all(|count| *count >= killed * 100) {
                other.kill().unwrap();
            }
        }
        other.wait().unwrap();
        let store = dir.open().await;
        for task in 0..TASKS {
            let stored = number(&get(&store, task).await.unwrap().data);
            let confirmed = confirmed[task as usize];
            // The last save may have been stored without having been reported.
            assert!(stored == confirmed || stored == confirmed + 1, "{task}: {stored} after {confirmed}");
        }
        store.close().await.unwrap();
    }
    assert!(confirmed.iter().all(|count| *count >= 300));
}

#[tokio::test]
async fn a_file_that_another_process_has_open_is_an_error_within_the_time_out_and_free_when_it_ends() {
    let dir = TestFile::new();
    let mut other = start("holds", &dir);
    let mut lines = BufReader::new(other.stdout.take().unwrap()).lines();
    while lines.next().unwrap().unwrap() != "holds" {}
    let begun = Instant::now();
    let error = dir.builder().timeout(seconds(1)).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("another process has the database open"), "{error}");
    assert!(begun.elapsed() < seconds(2), "{:?}", begun.elapsed());
    // One that starts while the other ends waits for it.
    let opening = tokio::spawn(dir.builder().open());
    writeln!(other.stdin.take().unwrap(), "end").unwrap();
    put(&opening.await.unwrap().unwrap(), 1, &record(b"x")).await;
    drop(lines);
    other.wait().unwrap();
}

#[tokio::test]
async fn a_closed_store_leaves_a_file_that_can_be_copied_and_no_thread() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let clone = store.clone();
    put(&store, 1, &record(b"kept")).await;
    let (call, k, too) = (now(), key(2), record(b"too"));
    let last = begin(store.create(&call, &k, &too)).await;
    store.close().await.unwrap();
    assert_eq!(last.await.unwrap(), Outcome::Done, "it was in flight");
    all_unavailable(&clone, &record(b"any")).await;
    clone.close().await.unwrap();
    // The lock is given back.
    drop(redb::Database::open(dir.path()).unwrap());
    let copy = dir.directory.path().join("copy.redb");
    copy_file(dir.path(), &copy).unwrap();
    let copy = RedbStore::builder(copy).create(false).open().await.unwrap();
    assert!(get(&copy, 1).await.is_some() && get(&copy, 2).await.is_some());
}

#[tokio::test]
async fn a_closed_store_is_closed_while_another_of_its_file_goes_on() {
    let dir = TestFile::new();
    let (one, two) = (dir.open().await, dir.open().await);
    let known = record(b"known");
    put(&one, 1, &known).await;
    one.close().await.unwrap();
    all_unavailable(&one, &known).await;
    assert_eq!(get(&two, 1).await, Some(known));
}

/// What a copy of the file in use holds is what a process that is killed now would leave.
#[tokio::test]
async fn what_a_closed_store_has_delayed_is_on_the_disk_while_another_keeps_the_file_open() {
    let dir = TestFile::new();
    let delayed = dir.builder().durability(Durability::Delayed).open().await.unwrap();
    let other = dir.builder().namespace("other").open().await.unwrap();
    put(&delayed, 1, &record(b"kept")).await;
    delayed.close().await.unwrap();
    let copy = dir.directory.path().join("copy.redb");
    copy_file(dir.path(), &copy).unwrap();
    let copy = RedbStore::builder(copy).create(false).open().await.unwrap();
    assert!(get(&copy, 1).await.is_some());
    drop(other);
}

#[tokio::test]
async fn instances_in_one_process_lose_no_update_of_one_another() {
    let dir = TestFile::new();
    count_among_instances(dir.open().await, dir.open().await).await;
}

/// Opens the store by a relative path, and changes the working directory before each next step.
async fn moves(directory: &Path) {
    set_current_dir(directory).unwrap();
    let store = RedbStore::connect("redb://sessions.redb").await.unwrap();
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
