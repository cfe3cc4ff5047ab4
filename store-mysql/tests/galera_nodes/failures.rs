//! A node that is killed, cut off, stopped or shut down while sessions are counted up on all nodes. Each test prints what was confirmed.

use futures_util::future::join_all;
use session_conformance::counting::Counting;
use session_conformance::fixtures::{key, now, put, record};
use session_core::{ErrorKind, Outcome, Store as _};
use session_store_mysql::MysqlStore;
use tokio::sync::MutexGuard;
use tokio::time::Instant;

use super::common::{Cluster, NODES};
use super::{TIME_OUT, nodes, options};

/// Number of increments that are confirmed before the failure, during it, and after the node is back.
const EACH: usize = 300;

/// Lets the nodes notice sooner than by default that one of them is gone.
async fn notice_sooner(nodes: &Cluster) {
    for node in 0..NODES {
        let set = "set global wsrep_provider_options = 'evs.suspect_timeout=PT2S; evs.inactive_timeout=PT4S'";
        nodes.as_root(node, set).await;
    }
}

/// Returns the nodes, alone as [`nodes`] does, with sessions that are counted up on all of them and have confirmed increments.
async fn counting(namespace: &str) -> (Cluster, MutexGuard<'static, ()>, Counting<MysqlStore>) {
    let (nodes, alone) = nodes().await;
    notice_sooner(&nodes).await;
    let mut stores = Vec::new();
    for node in 0..NODES {
        // It uses the other nodes when that is gone.
        stores.push(MysqlStore::connect(&nodes.from(node, &options(namespace))).await.expect("a store"));
    }
    let counting = Counting::start(stores).await;
    counting.confirmed(EACH).await;
    (nodes, alone, counting)
}

/// Counts on when all nodes take part again, and checks what was confirmed.
async fn finish(nodes: &Cluster, namespace: &str, counting: Counting<MysqlStore>, event: &str, failed: Instant) {
    nodes.whole().await;
    counting.confirmed(EACH).await;
    let mut seen_by = Vec::new();
    for node in 0..NODES {
        seen_by.push(MysqlStore::connect(&nodes.only(node, &options(namespace))).await.expect("a store"));
    }
    counting.finish(&seen_by, &format!("Galera, {event}"), TIME_OUT, failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_killed_and_gets_a_copy_of_the_data_loses_nothing() {
    let (nodes, _alone, counting) = counting("test_killed").await;
    nodes.signal(1, "KILL").await;
    let failed = Instant::now();
    counting.confirmed(EACH).await;
    nodes.start_again(1, false).await;
    finish(&nodes, "test_killed", counting, "a node killed, and back by a copy of the data", failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_confirms_and_returns_nothing() {
    let (nodes, _alone, counting) = counting("test_cut_off").await;
    nodes.isolate(1, true).await;
    let failed = Instant::now();
    counting.confirmed(EACH).await;
    nodes.until(1, "wsrep_ready", "OFF").await;
    counting.confirmed(EACH).await;
    nodes.isolate(1, false).await;
    finish(&nodes, "test_cut_off", counting, "a node cut off from the others, and connected again", failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_minority_refuses_all_calls_until_the_others_are_back() {
    let (nodes, _alone, counting) = counting("test_minority").await;
    for node in [1, 2] {
        nodes.signal(node, "STOP").await;
    }
    let failed = Instant::now();
    nodes.until(0, "wsrep_ready", "OFF").await;
    counting.forget();
    let begun = Instant::now();
    join_all(counting.stores().iter().map(refuses)).await;
    assert!(begun.elapsed() < 3 * TIME_OUT, "{:?}", begun.elapsed());
    assert_eq!(counting.forget(), 0, "a minority has confirmed increments");
    for node in [1, 2] {
        nodes.signal(node, "CONT").await;
    }
    finish(&nodes, "test_minority", counting, "two nodes stopped, and continued", failed).await;
}

/// Checks that a store refuses a read and a write.
async fn refuses(store: &MysqlStore) {
    assert_eq!(store.load(&now(), &key(0)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(store.delete(&now(), &key(0), None).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_shut_down_and_started_again_loses_nothing() {
    let (nodes, _alone, counting) = counting("test_shut_down").await;
    let failed = Instant::now();
    nodes.signal(2, "TERM").await;
    nodes.ended(2).await;
    counting.confirmed(EACH).await;
    nodes.start_again(2, true).await;
    finish(&nodes, "test_shut_down", counting, "a node shut down, and back by what it had missed", failed).await;
}

/// Their commits wait for the other nodes, and fail when the node notices that it is cut off. The URL names other nodes, on which the same
/// writes would succeed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_may_have_reached_the_other_nodes_are_not_sent_again() {
    let (nodes, _alone) = nodes().await;
    notice_sooner(&nodes).await;
    // Longer than the node takes to notice.
    let options = "namespace=test_unknown&timeout=30000";
    let store = MysqlStore::connect(&nodes.from(1, options)).await.unwrap();
    // So many at once that full batches are sent on several connections, which are made here.
    let creates = async |first: u32| join_all((first..first + 200).map(|n| create(&store, n))).await;
    assert!(creates(0).await.iter().all(|created| *created == Some(Outcome::Done)));
    nodes.isolate(1, true).await;
    let answers = creates(1_000).await;
    let unknown = answers.iter().filter(|answer| answer.is_none()).count();
    assert!(unknown >= 24, "{unknown} creates are unknown, and the others were stored on another node");
    put(&store, 2_000, &record(b"x")).await;
    nodes.isolate(1, false).await;
    nodes.whole().await;
}

/// Returns the outcome of a create, or `None` if it is not known.
async fn create(store: &MysqlStore, n: u32) -> Option<Outcome> {
    match store.create(&now(), &key(n), &record(b"x")).await {
        Ok(outcome) => Some(outcome),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
            None
        }
    }
}
