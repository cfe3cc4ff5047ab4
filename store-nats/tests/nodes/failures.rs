//! Servers that are killed or stopped while sessions are counted up.

use futures_util::future::join_all;
use session_conformance::counting::Counting;
use session_conformance::fixtures::{key, now, record};
use session_core::{ErrorKind, Store as _};
use session_store_nats::NatsStore;
use tokio::time::Instant;

use super::servers::{SERVERS, Servers};
use super::{TIME_OUT, open, servers};

/// Number of increments that are confirmed before a failure, during it, and after it.
const EACH: usize = 150;

/// Starts tasks that count, with one store that begins with any server for each server.
async fn counting(servers: &Servers, namespace: &str) -> Counting<NatsStore> {
    let mut stores = Vec::new();
    for _ in 0..SERVERS {
        stores.push(open(servers.url(), namespace).await);
    }
    let counting = Counting::start(stores).await;
    counting.confirmed(EACH).await;
    counting
}

/// Counts on when all servers are back, and checks by a store on each of them what was confirmed.
async fn finish(servers: &Servers, namespace: &str, counting: Counting<NatsStore>, event: &str, failed: Instant) {
    servers.whole().await;
    counting.confirmed(EACH).await;
    let mut seen_by = Vec::new();
    for server in 0..SERVERS {
        seen_by.push(open(&servers.url_of(server), namespace).await);
    }
    counting.finish(&seen_by, &format!("NATS on three servers, {event}"), TIME_OUT, failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_killed_loses_nothing() {
    let (servers, _alone) = servers().await;
    let counting = counting(&servers, "test_killed").await;
    let leader = servers.leader(0).await;
    servers.signal(leader, "KILL").await;
    let failed = Instant::now();
    counting.confirmed(EACH).await;
    servers.start_again(leader).await;
    finish(&servers, "test_killed", counting, "the leader killed, and started again", failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_are_all_killed_at_once_lose_nothing() {
    let (servers, _alone) = servers().await;
    let counting = counting(&servers, "test_all_killed").await;
    for server in 0..SERVERS {
        servers.signal(server, "KILL").await;
    }
    let failed = Instant::now();
    for server in 0..SERVERS {
        servers.start_again(server).await;
    }
    finish(&servers, "test_all_killed", counting, "all killed at once", failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_is_stopped_is_replaced_and_brings_nothing_back() {
    let (servers, _alone) = servers().await;
    let counting = counting(&servers, "test_stopped").await;
    let leader = servers.leader(0).await;
    servers.signal(leader, "STOP").await;
    let failed = Instant::now();
    counting.confirmed(EACH).await;
    servers.signal(leader, "CONT").await;
    finish(&servers, "test_stopped", counting, "the leader stopped, and continued", failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_refuses_all_calls_until_the_others_are_back() {
    let (servers, _alone) = servers().await;
    let counting = counting(&servers, "test_minority").await;
    let leader = servers.leader(0).await;
    let others: Vec<_> = (0..SERVERS).filter(|server| *server != leader).collect();
    for server in &others {
        servers.signal(*server, "STOP").await;
    }
    let failed = Instant::now();
    // The leader notices only after ten seconds that it is alone. What the stores know of it counts for less than a second.
    while counting.stores()[0].load(&now(), &key(0)).await.is_ok() {}
    assert!(failed.elapsed() < 3 * TIME_OUT, "the leader was believed for {:?}", failed.elapsed());
    let begun = Instant::now();
    for refused in join_all(counting.stores().iter().zip(900..).map(|(store, n)| refuses(store, n))).await {
        assert!(refused, "a minority has answered");
    }
    assert!(begun.elapsed() < 3 * TIME_OUT, "{:?}", begun.elapsed());
    counting.forget();
    for server in &others {
        servers.signal(*server, "CONT").await;
    }
    finish(&servers, "test_minority", counting, "two stopped, and continued", failed).await;
}

/// Whether a store refuses a read and a write. The write may be carried out once the others are back.
async fn refuses(store: &NatsStore, n: u32) -> bool {
    let (loaded, created) = (store.load(&now(), &key(0)).await, store.create(&now(), &key(n), &record(b"late")).await);
    let is_outage =
        |error: Option<session_core::Error>| error.is_some_and(|error| error.kind() == ErrorKind::Unavailable);
    is_outage(loaded.err()) && is_outage(created.err())
}
