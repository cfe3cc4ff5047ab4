//! Nodes on which a store does not open, and stores that open at once.

use session_conformance::fixtures::{get, key, now, put, record};
use session_conformance::testing::check_refusal;
use session_core::{ErrorKind, Outcome, Store as _};
use session_store_mysql::MysqlStore;
use sqlx::mysql::MySqlPoolOptions;
use tokio::task::JoinSet;

use super::common::NODES;
use super::{nodes, options};

/// A node that has been cut off takes connections, and knows all sessions of before.
#[tokio::test]
async fn a_node_that_left_the_others_is_refused_and_the_next_one_used() {
    let (nodes, _alone) = nodes().await;
    let options = options("test_left");
    let follows = MysqlStore::connect(&nodes.from(2, &options)).await.unwrap();
    let stays = MysqlStore::connect(&nodes.only(2, &options)).await.unwrap();
    let kept = record(b"x");
    put(&follows, 1, &kept).await;
    assert_eq!(get(&stays, 1).await, Some(kept.clone()));
    nodes.isolate(2, true).await;
    nodes.until(2, "wsrep_ready", "OFF").await;
    // Both have connections to this node, and had used them before.
    assert_eq!(get(&follows, 1).await, Some(kept.clone()));
    assert_eq!(stays.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(stays.delete(&now(), &key(1), None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let opened = MysqlStore::connect(&nodes.only(2, &options)).await;
    check_refusal(opened, ErrorKind::Unavailable, &["Galera cluster", "(1047)"], &[nodes.password()]);
    let opens = MysqlStore::connect(&nodes.from(2, &options)).await.unwrap();
    assert_eq!(opens.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
    nodes.isolate(2, false).await;
    nodes.until(2, "wsrep_ready", "ON").await;
    assert_eq!(get(&stays, 1).await, None, "the node has caught up before it answers");
}

#[tokio::test]
async fn connections_of_a_pool_that_may_read_old_records_are_refused() {
    let (nodes, _alone) = nodes().await;
    let pool = MySqlPoolOptions::new().connect(&nodes.only(0, "")).await.unwrap();
    let opened = MysqlStore::from_pool(pool).namespace("test_pool").open().await;
    check_refusal(opened, ErrorKind::Config, &["wsrep_sync_wait is 0", "set global wsrep_sync_wait = 7"], &[]);
}

/// A node whose connections read old records, and do not send their writes to the others, unless they ask for it.
#[tokio::test]
async fn settings_of_a_node_do_not_make_its_records_old() {
    let (nodes, _alone) = nodes().await;
    let options = options("test_settings");
    nodes.as_root(1, "set global wsrep_dirty_reads = 1, global wsrep_trx_fragment_size = 100").await;
    let one = MysqlStore::connect(&nodes.only(1, &options)).await.unwrap();
    put(&one, 1, &record(b"x")).await;
    nodes.isolate(1, true).await;
    nodes.until(1, "wsrep_ready", "OFF").await;
    assert_eq!(one.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    nodes.isolate(1, false).await;
    nodes.until(1, "wsrep_ready", "ON").await;
    nodes.as_root(1, "set global wsrep_dirty_reads = 0, global wsrep_trx_fragment_size = 0").await;
    assert_eq!(one.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);

    nodes.as_root(1, "set global wsrep_on = 0").await;
    let opened = MysqlStore::connect(&nodes.only(1, &options)).await;
    check_refusal(opened, ErrorKind::Config, &["wsrep_on is off", "set global wsrep_on = 1"], &[nodes.password()]);
    nodes.as_root(1, "set global wsrep_on = 1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stores_that_make_their_tables_at_once_on_different_nodes_all_open() {
    let (nodes, _alone) = nodes().await;
    for round in 0..5 {
        let options = format!("namespace=test_at_once_{round}&timeout=10000");
        let mut opening = JoinSet::new();
        for n in 0..2 * NODES {
            let url = nodes.only(n % NODES, &options);
            opening.spawn(async move { MysqlStore::connect(&url).await });
        }
        let mut stores = Vec::new();
        for opened in opening.join_all().await {
            stores.push(opened.unwrap());
        }
        put(&stores[0], 1, &record(b"x")).await;
        for store in &stores {
            assert!(get(store, 1).await.is_some());
        }
    }
}
