//! Tests with several store instances and several processes on one folder, and with processes killed at any moment.
//!
//! The other processes run this test program again in a part of its own.

mod common;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command};

use common::{MANY, TestFolder, get, key, now, put, record};
use session_conformance::testing::{self, count_among_instances, count_among_processes, count_up_as_part};
use session_core::{Bytes, ErrorKind, Outcome, Principal, Record, Store, Version, seconds};
use session_store_file::FileStore;

fn start(part: &str, dir: &TestFolder) -> Child {
    testing::start("part_of_another_process", part, &dir.path())
}

/// Number of sessions that the writer writes.
const WRITTEN: u32 = 12;

/// Returns the data of a session after `step` writes. Its length ranges from a few bytes to many pages.
fn written(step: u32) -> Bytes {
    let mut data = step.to_le_bytes().to_vec();
    data.resize(4 + (step as usize * 7919) % 150_000, step as u8);
    data.into()
}

fn people() -> [Option<Principal>; 3] {
    [None, Some(Principal::new("ann").unwrap()), Some(Principal::new("bob").unwrap())]
}

fn step_of(record: &Record) -> u32 {
    let step = u32::from_le_bytes(record.data[..4].try_into().unwrap());
    assert!(record.data == written(step), "the whole of one write");
    assert_eq!(record.principal, people()[step as usize % 3]);
    step
}

/// Saves its sessions without end and prints each step. Each write has another length and another principal than the last.
async fn write_for_ever(store: &FileStore) {
    let tasks: Vec<_> = (0..WRITTEN)
        .map(|n| {
            let store = store.clone();
            tokio::spawn(async move {
                let mut last = get(&store, n).await;
                for step in last.as_ref().map_or(0, |last| step_of(last) + 1).. {
                    let mut next = record(b"");
                    next.data = written(step);
                    next.principal = people()[step as usize % 3].clone();
                    say(format!("tries {n} {step}"));
                    let outcome = match &last {
                        None => store.create(&now(), &key(n), &next).await.unwrap(),
                        Some(last) => store.save(&now(), &key(n), last.version, &next).await.unwrap(),
                    };
                    assert_eq!(outcome, Outcome::Done);
                    say(format!("wrote {n} {step}"));
                    last = Some(next);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

/// Prints a line in one piece and flushes it.
fn say(line: String) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n{line}\n").as_bytes()).unwrap();
    out.flush().unwrap();
}

/// Runs a part when the tests below start it in another process. Passes otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn part_of_another_process() {
    let Some((part, path)) = testing::part() else { return };
    let durable = part == "writes durably";
    let store = FileStore::builder(&path).durable(durable).open().await.unwrap();
    match part.as_str() {
        "counts" => count_up_as_part(&store).await,
        "writes" | "writes durably" => write_for_ever(&store).await,
        "locks" => {
            let dir = std::path::Path::new(&path).join("sessions/locks").join(format!("{:02x}", key(1).as_bytes()[0]));
            let file = File::options().create(true).append(true).open(dir).unwrap();
            file.lock().unwrap();
            say("locked".to_owned());
            std::io::stdin().lines().for_each(drop);
        }
        other => panic!("no part {other}"),
    }
}

#[tokio::test]
async fn processes_lose_no_update_of_one_another() {
    let dir = TestFolder::new();
    count_among_processes(&dir.open().await, || start("counts", &dir)).await;
}

#[tokio::test]
async fn instances_in_one_process_lose_no_update_of_one_another() {
    let dir = TestFolder::new();
    count_among_instances(dir.open().await, dir.open().await).await;
}

/// Reads a writer's output and kills it after `writes` writes. Returns the last step tried and the last step confirmed for each session.
fn kill_after(mut writer: Child, writes: usize) -> HashMap<u32, (Option<u32>, Option<u32>)> {
    let mut said: HashMap<u32, (Option<u32>, Option<u32>)> = HashMap::new();
    let mut confirmed = 0;
    for line in BufReader::new(writer.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let words: Vec<_> = line.split(' ').collect();
        let [verb @ ("tries" | "wrote"), n, step] = words[..] else { continue };
        let (n, step): (u32, u32) = (n.parse().unwrap(), step.parse().unwrap());
        let told = said.entry(n).or_default();
        if verb == "tries" {
            told.0 = Some(step);
        } else {
            told.1 = Some(step);
            confirmed += 1;
            if confirmed == writes {
                writer.kill().unwrap();
            }
        }
    }
    writer.wait().unwrap();
    assert!(confirmed >= writes);
    said
}

#[tokio::test]
async fn a_process_killed_at_any_instant_leaves_old_or_new_and_no_lock() {
    let dir = TestFolder::new();
    // The store stays open throughout, because recovery from a killed process must not require opening it again.
    let store = dir.builder().timeout(seconds(60)).open().await.unwrap();
    let mut cut_off = 0;
    // Step of each session at the end of the last round. A killed writer's last write may be stored without confirmation.
    let mut had: HashMap<u32, u32> = HashMap::new();
    for round in 0..40 {
        let part = if round % 2 == 0 { "writes" } else { "writes durably" };
        let said = kill_after(start(part, &dir), 5 + round);
        cut_off += usize::from(dir.files("records").iter().any(|file| file.ends_with("new")));
        let mut owners: HashMap<Option<Principal>, usize> = HashMap::new();
        for n in 0..WRITTEN {
            let (tried, wrote) = said.get(&n).copied().unwrap_or_default();
            let old = wrote.or(had.get(&n).copied());
            let Some(found) = get(&store, n).await else {
                assert_eq!(old, None, "session {n} is gone in round {round}");
                continue;
            };
            let step = step_of(&found);
            let step_then = Some(step);
            assert!(step_then == old || step_then == tried, "session {n} has {step}; tried {tried:?}, had {old:?}");
            had.insert(n, step);
            *owners.entry(found.principal.clone()).or_default() += 1;
        }
        for person in people().into_iter().flatten() {
            let listed = store.sessions_of(&now(), &person, MANY).await.unwrap().len();
            assert_eq!(listed, owners.get(&Some(person)).copied().unwrap_or(0), "round {round}");
        }
    }
    assert!(cut_off > 0, "no process was killed in the middle of a write");

    // Every lock is free, and every session can be saved.
    for n in 0..WRITTEN {
        let Some(found) = get(&store, n).await else { continue };
        let mut newer = found.clone();
        newer.version = Version::random();
        assert_eq!(store.save(&now(), &key(n), found.version, &newer).await.unwrap(), Outcome::Done);
    }
    // Nothing is left behind.
    while store.purge(&now(), MANY).await.unwrap().more {}
    for file in dir.files("records") {
        assert!(!file.ends_with("new"), "something half written was left");
    }
    let mut owned = 0;
    for n in 0..WRITTEN {
        owned += usize::from(get(&store, n).await.is_some_and(|record| record.principal.is_some()));
    }
    assert_eq!(dir.entries().len(), owned, "one entry for each session with a principal, and no other");
}

#[cfg(unix)]
#[tokio::test]
async fn a_stopped_process_keeps_up_its_shard_alone_and_for_the_time_out_only() {
    let dir = TestFolder::new();
    let store = dir.builder().timeout(seconds(3)).open().await.unwrap();
    let old = record(b"old");
    put(&store, 1, &old).await;
    let mut other = start("locks", &dir);
    let mut said = BufReader::new(other.stdout.take().unwrap()).lines();
    while said.next().unwrap().unwrap() != "locked" {}
    let stopped = Command::new("kill").args(["-STOP", &other.id().to_string()]).status().unwrap();
    assert!(stopped.success());

    for _ in 0..2 {
        let error = store.save(&now(), &key(1), old.version, &record(b"new")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    assert_eq!(get(&store, 1).await.as_ref(), Some(&old), "loads take no lock");
    put(&store, 2, &record(b"another shard")).await;

    other.kill().unwrap();
    other.wait().unwrap();
    let new = record(b"new");
    assert_eq!(store.save(&now(), &key(1), old.version, &new).await.unwrap(), Outcome::Done);
    assert_eq!(get(&store, 1).await, Some(new));
}
