//! Tests of files that are replaced or removed while a store, or two processes, use them.
//!
//! The other processes run this test program again in a part of its own.
#![cfg(unix)]

mod common;

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout};

use common::{TestFile, get, key, now, put, record};
use session_conformance::testing::{self, block_of};
use session_core::{ErrorKind, Outcome, Record, Store};
use session_store_sqlite::SqliteStore;

/// Creates the sessions of `range`, each of a few hundred bytes, and checks that each is confirmed.
async fn fill(store: &SqliteStore, range: std::ops::Range<u32>) -> Vec<(u32, Record)> {
    let mut confirmed = Vec::new();
    for n in range {
        let record = record(&[n as u8; 300]);
        put(store, n, &record).await;
        confirmed.push((n, record));
    }
    confirmed
}

async fn all_there(store: &SqliteStore, records: &[(u32, Record)]) {
    for (n, record) in records {
        assert_eq!(get(store, *n).await.as_ref(), Some(record), "{n}");
    }
}

fn is_sound(dir: &TestFile) {
    let sound: String = dir.foreign().query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

/// Makes a backup of the sessions confirmed so far.
fn back_up(dir: &TestFile) -> std::path::PathBuf {
    let backup = dir.directory.path().join("backup.db");
    dir.foreign().execute("vacuum into ?1", [backup.to_str().unwrap()]).unwrap();
    backup
}

#[tokio::test]
async fn a_backup_moved_over_the_file_in_use_is_read_without_the_old_log() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let kept = fill(&store, 0..200).await;
    let backup = back_up(&dir);
    let lost = fill(&store, 1000..1200).await;
    for (n, record) in &kept[100..] {
        assert_eq!(store.delete(&now(), &key(*n), Some(record.version)).await.unwrap(), Outcome::Done);
    }
    fs::rename(&backup, dir.path()).unwrap();
    all_there(&store, &kept).await;
    for (n, _) in lost {
        assert_eq!(get(&store, n).await, None, "it is not in the backup");
    }
    assert!(dir.path().with_extension("db-wal.old").exists(), "it holds confirmed sessions of the old file");
    let newer = fill(&store, 2000..2200).await;
    all_there(&store, &newer).await;
    drop(store);
    let store = dir.open().await;
    all_there(&store, &kept).await;
    all_there(&store, &newer).await;
    is_sound(&dir);
}

#[tokio::test]
async fn a_backup_moved_over_the_file_of_an_ended_process_is_read_without_the_old_log() {
    let dir = TestFile::new();
    let mut other = Other::start("serves", &dir);
    other.does("create 0 200");
    let backup = back_up(&dir);
    other.does("create 1000 1200");
    other.process.kill().unwrap();
    other.process.wait().unwrap();
    assert!(fs::metadata(dir.path().with_extension("db-wal")).unwrap().len() > 0, "the killed process left its log");
    fs::rename(&backup, dir.path()).unwrap();
    let store = dir.open().await;
    let newer = fill(&store, 2000..2100).await;
    for n in 0..200 {
        assert!(get(&store, n).await.is_some(), "{n}");
    }
    for n in 1000..1200 {
        assert_eq!(get(&store, n).await, None, "it is not in the backup");
    }
    drop(store);
    all_there(&dir.open().await, &newer).await;
    is_sound(&dir);
}

#[tokio::test]
async fn two_processes_follow_a_file_that_is_replaced() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let kept = fill(&store, 0..200).await;
    let mut other = Other::start("serves", &dir);
    other.does("create 5000 5100");
    let backup = back_up(&dir);
    fill(&store, 1000..1200).await;
    other.does("create 6000 6100");
    fs::rename(&backup, dir.path()).unwrap();
    // This process follows first. The other one still has the old file and the old log open.
    let mut newer = fill(&store, 2000..2200).await;
    all_there(&store, &kept).await;
    other.does("create 7000 7100");
    newer.extend(fill(&store, 2200..2300).await);
    other.does("exists 0 200");
    other.does("exists 2000 2300");
    for n in 7000..7100 {
        assert!(get(&store, n).await.is_some(), "{n}");
    }
    // The end of one process must not remove the log of the other.
    other.ends();
    newer.extend(fill(&store, 2300..2400).await);
    drop(store);
    let store = dir.open().await;
    all_there(&store, &kept).await;
    all_there(&store, &newer).await;
    for n in (5000..5100).chain(7000..7100) {
        assert!(get(&store, n).await.is_some(), "{n}");
    }
    assert_eq!(get(&store, 6000).await, None);
    is_sound(&dir);
}

#[tokio::test]
async fn a_log_that_is_removed_loses_nothing() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let kept = fill(&store, 0..200).await;
    fs::remove_file(dir.path().with_extension("db-wal")).unwrap();
    all_there(&store, &kept).await;
    let newer = fill(&store, 1000..1100).await;
    drop(store);
    let store = dir.open().await;
    all_there(&store, &kept).await;
    all_there(&store, &newer).await;
    is_sound(&dir);
}

#[tokio::test]
async fn a_log_that_is_removed_while_another_process_uses_it_is_an_outage_until_that_one_closes_it() {
    let dir = TestFile::new();
    let store = dir.open().await;
    let kept = fill(&store, 0..200).await;
    let mut other = Other::start("serves", &dir);
    other.does("create 5000 5100");
    fs::remove_file(dir.path().with_extension("db-wal")).unwrap();
    let error = store.create(&now(), &key(9), &record(b"x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains("sessions.db-shm"), "{error}");
    // Its next call finds out, and as the last one it folds the log in.
    other.does("exists 5000 5100");
    all_there(&store, &kept).await;
    let newer = fill(&store, 1000..1100).await;
    other.ends();
    drop(store);
    let store = dir.open().await;
    all_there(&store, &kept).await;
    all_there(&store, &newer).await;
    is_sound(&dir);
}

/// Runs the commands of the README's section on restoring, on this store instead of a service's.
#[tokio::test]
async fn the_readmes_recipe_restores_a_backup() {
    let recipe = block_of(include_str!("../README.md"), "Backing up and restoring", "sh");
    let dir = TestFile::new();
    let folder = dir.directory.path().to_str().unwrap();
    let mut store = Some(dir.open().await);
    let kept = fill(store.as_ref().unwrap(), 0..200).await;
    let mut backed_up = false;
    for line in recipe.lines().filter(|line| !line.is_empty()) {
        let command = line.split(" #").next().unwrap().trim().replace("/var/lib/shop", folder);
        match command.as_str() {
            "systemctl stop shop" => {
                assert!(backed_up, "the recipe backs up first");
                let stopped = store.take().unwrap();
                fill(&stopped, 1000..1200).await;
                // A service that has stopped has no file open. A dropped store may still be closing its files.
                stopped.close().await.unwrap();
            }
            "systemctl start shop" => store = Some(dir.open().await),
            _ => {
                // The program `sqlite3` may be missing here; its argument is the same SQL.
                if let Some((_, sql)) = command.split_once(&format!("sqlite3 {folder}/sessions.db ")) {
                    dir.foreign().execute_batch(sql.trim_matches(['"', ')'])).unwrap();
                    backed_up = true;
                } else {
                    assert!(std::process::Command::new("sh").args(["-c", &command]).status().unwrap().success());
                }
            }
        }
    }
    let store = store.expect("the recipe starts the service again");
    all_there(&store, &kept).await;
    assert_eq!(get(&store, 1000).await, None, "it was stored after the backup");
    let newer = fill(&store, 2000..2100).await;
    drop(store);
    all_there(&dir.open().await, &newer).await;
    assert!(!dir.path().with_extension("db-wal.old").exists(), "nothing had to be set aside");
    is_sound(&dir);
}

/// A process with a store, which does what it is told.
struct Other {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Other {
    fn start(part: &str, dir: &TestFile) -> Self {
        let mut process = testing::start("part_of_another_process", part, &dir.path());
        let (orders, answers) = (process.stdin.take(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, orders, answers }
    }

    /// Sends an order and waits until it is carried out.
    fn does(&mut self, order: &str) {
        writeln!(self.orders.as_mut().unwrap(), "{order}").unwrap();
        let mut seen = String::new();
        loop {
            let mut line = String::new();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "the other process ended: {seen}");
            if line.trim() == format!("done {order}") {
                return;
            }
            seen += &line;
        }
    }

    /// Closes the other process's store and waits for its end.
    fn ends(mut self) {
        drop(self.orders.take());
        assert!(self.process.wait().unwrap().success());
    }
}

/// Runs a part when the tests above start it in another process. Passes otherwise.
#[tokio::test]
async fn part_of_another_process() {
    let Some((_, path)) = testing::part() else { return };
    let store = SqliteStore::builder(path).open().await.unwrap();
    for order in std::io::stdin().lines() {
        let order = order.unwrap();
        let words: Vec<_> = order.split(' ').collect();
        let range = words[1].parse().unwrap()..words[2].parse().unwrap();
        match words[0] {
            "create" => drop(fill(&store, range).await),
            "exists" => {
                for n in range {
                    assert!(get(&store, n).await.is_some(), "{n}");
                }
            }
            other => panic!("no order {other}"),
        }
        println!("\ndone {order}");
    }
}
