//! Tests with several store instances and several processes on one file.
//!
//! The other processes run this test binary again; an environment variable selects their part.

mod common;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use common::{Place, get, put, record};
use session_conformance::fixtures::{count, count_up, put_count};
use session_store_sqlite::SqliteStore;

const PART: &str = "STORE_SQLITE_TEST_PART";
const PATH: &str = "STORE_SQLITE_TEST_PATH";
const TASKS: u32 = 4;
const INCREMENTS: u32 = 50;

fn start(part: &str, place: &Place) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "part_of_another_process", "--nocapture"])
        .env(PART, part)
        .env(PATH, place.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs a part when the tests below start it in another process. Passes otherwise.
#[tokio::test]
async fn part_of_another_process() {
    let Ok(part) = std::env::var(PART) else { return };
    let store = SqliteStore::builder(std::env::var_os(PATH).unwrap()).open().await.unwrap();
    match part.as_str() {
        "increments" => count_up(&store, TASKS, INCREMENTS).await,
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
    let place = Place::new();
    let store = place.open().await;
    put_count(&store).await;
    let others: Vec<_> = (0..2).map(|_| start("increments", &place)).collect();
    count_up(&store, TASKS, INCREMENTS).await;
    for other in others {
        let output = other.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
    assert_eq!(count(&store).await, u64::from(3 * TASKS * INCREMENTS));
}

#[tokio::test]
async fn instances_in_one_process_lose_no_update_of_one_another() {
    let place = Place::new();
    let (one, two) = (place.open().await, place.open().await);
    put_count(&one).await;
    tokio::join!(count_up(&one, TASKS, INCREMENTS), count_up(&two, TASKS, INCREMENTS));
    assert_eq!(count(&one).await, u64::from(2 * TASKS * INCREMENTS));
    // Dropping one instance does not affect the other.
    drop(one);
    count_up(&two, 1, 1).await;
    assert_eq!(count(&two).await, u64::from(2 * TASKS * INCREMENTS + 1));
}

#[tokio::test]
async fn what_a_killed_process_confirmed_is_there() {
    let place = Place::new();
    let mut other = start("creates", &place);
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
    let store = place.open().await;
    for n in 0..=confirmed {
        assert!(get(&store, n).await.is_some(), "{n} of {confirmed}");
    }
}
