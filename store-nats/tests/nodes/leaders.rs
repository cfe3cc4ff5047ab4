//! A leader that was stopped continues, and does not know that it has been replaced.

use std::time::Duration;

use session_conformance::fixtures::{get, key, now, put, record};
use session_core::{ErrorKind, Outcome, Record, Store as _, Version};
use session_store_nats::NatsStore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::servers::{SERVERS, Servers};
use super::{open, servers};

/// Number of sessions that are changed while the leader is stopped.
const CHANGED: u32 = 40;

/// Repeats a write until it is done.
async fn done(write: impl AsyncFn() -> session_core::Result<Outcome>) {
    let begun = Instant::now();
    loop {
        match write().await {
            // A repeated deletion finds nothing.
            Ok(Outcome::Done | Outcome::Missing) => return,
            Ok(outcome) => panic!("the write is {outcome:?}"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no new leader");
    }
}

/// Loads a session until a server answers.
async fn loaded(store: &NatsStore, n: u32) -> Option<Record> {
    let begun = Instant::now();
    loop {
        match store.load(&now(), &key(n)).await {
            Ok(found) => return found,
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no server answers");
    }
}

/// Stops the leader, lets the others change sessions, and reads them on the old leader while it continues.
async fn read_on_the_deposed_leader(servers: &Servers) {
    let leader = servers.leader(0).await;
    let other = (leader + 1) % SERVERS;
    let (there, here) =
        (open(&servers.url_of(leader), "test_deposed").await, open(&servers.url_of(other), "test_deposed").await);
    let old = record(b"old");
    for n in 0..CHANGED {
        put(&there, n, &old).await;
        assert_eq!(get(&there, n).await.as_ref(), Some(&old));
    }
    servers.signal(leader, "STOP").await;
    let mut new = record(b"new");
    new.version = Version::random();
    for n in 0..CHANGED {
        if n.is_multiple_of(2) {
            done(async || here.delete(&now(), &key(n), None).await).await;
        } else {
            done(async || here.save(&now(), &key(n), old.version, &new).await).await;
        }
    }
    // All reads begin after all writes have ended, and wait in the old leader until it continues.
    let mut reads = JoinSet::new();
    for n in 0..CHANGED {
        let there = there.clone();
        reads.spawn(async move { (n, loaded(&there, n).await) });
    }
    // sleep: nothing tells when the requests have arrived at a server that is stopped.
    sleep(Duration::from_millis(300)).await;
    servers.signal(leader, "CONT").await;
    let mut stale = 0;
    while let Some(read) = reads.join_next().await {
        let (n, found) = read.expect("a read");
        let expected = (!n.is_multiple_of(2)).then_some(&new);
        stale += u32::from(found.as_ref() != expected);
    }
    assert_eq!(stale, 0, "sessions as they were before they changed, of {CHANGED}");
    servers.whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deposed_leader_that_continues_is_not_believed() {
    let (servers, _alone) = servers().await;
    read_on_the_deposed_leader(&servers).await;
}
