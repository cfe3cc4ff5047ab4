//! What one node has confirmed is seen on the others at once.

use session_conformance::fixtures::{get, key, now, put, read_in_every_way, record, record_of};
use session_core::{Outcome, Store as _};
use session_store_mysql::MysqlStore;
use sqlx::mysql::MySqlPoolOptions;
use sqlx::{Executor as _, MySqlConnection};

use super::{common, nodes, options};

/// Waits until a node has this many reads of the store's under way. Other ones end at once.
async fn reading(root: &mut MySqlConnection, namespace: &str, reads: i64) {
    let count = "select cast(count(*) as signed) from information_schema.processlist \
                 where info like concat('%', ?, '%') and info like 'select%' and id <> connection_id()";
    while sqlx::query_scalar::<_, i64>(count).bind(namespace).fetch_one(&mut *root).await.unwrap() < reads {}
}

/// The other node is held up, so that it certainly is behind when it is asked. A connection that does not wait still reads the old record.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_on_another_node_returns_what_was_saved_before_it() {
    let (nodes, _alone) = nodes().await;
    // Longer than the other node is held up.
    let options = "namespace=test_fresh&timeout=20000";
    let one = MysqlStore::connect(&nodes.only(0, options)).await.unwrap();
    let two = MysqlStore::connect(&nodes.only(1, options)).await.unwrap();
    let pool = MySqlPoolOptions::new().max_connections(2).after_connect(|connection, _| {
        Box::pin(async move { connection.execute("set session wsrep_sync_wait = 7").await.map(drop) })
    });
    let pool = pool.connect(&nodes.only(1, "")).await.unwrap();
    let pooled = MysqlStore::from_pool(pool).namespace("test_fresh").open().await.unwrap();
    let (old, mut new) = (record_of("ann"), record_of("ann"));
    new.created_at = old.created_at;
    let ann = old.principal.clone().unwrap();
    put(&one, 1, &old).await;
    assert_eq!(get(&two, 1).await, Some(old.clone()));
    assert_eq!(get(&pooled, 1).await, Some(old.clone()));

    let (mut holder, mut root) = (nodes.root(1).await.unwrap(), nodes.root(1).await.unwrap());
    holder.execute("flush tables with read lock").await.unwrap();
    assert_eq!(one.save(&now(), &key(1), old.version, &new).await.unwrap(), Outcome::Done);
    let version = "select version from conformance.test_fresh where `key` = ?";
    let stored: i64 = sqlx::query_scalar(version).bind(&key(1).as_bytes()[..]).fetch_one(&mut root).await.unwrap();
    assert_eq!(stored, old.version.as_i64(), "the node is not behind, so this test shows nothing");
    let reads = [
        tokio::spawn(async move { read_in_every_way(&two, &ann).await }),
        tokio::spawn(async move { vec![pooled.load(&now(), &key(1)).await] }),
    ];
    reading(&mut root, "test_fresh", 2).await;
    holder.execute("unlock tables").await.unwrap();
    for read in reads {
        for found in read.await.unwrap() {
            assert_eq!(found.unwrap().as_ref(), Some(&new));
        }
    }
    assert_eq!(one.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
}

/// Without a pause between them, so that a node without the wait would often be behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_logout_on_one_node_ends_the_session_on_all() {
    let (nodes, _alone) = nodes().await;
    let options = options("test_logout");
    let mut stores = Vec::new();
    for node in 0..common::NODES {
        stores.push(MysqlStore::connect(&nodes.only(node, &options)).await.unwrap());
    }
    for n in 0..100 {
        let [one, two, three] = [0, 1, 2].map(|at| &stores[(n as usize + at) % common::NODES]);
        let (first, second) = (record(b"first"), record(b"second"));
        put(one, n, &first).await;
        assert_eq!(two.save(&now(), &key(n), first.version, &second).await.unwrap(), Outcome::Done);
        assert_eq!(three.delete(&now(), &key(n), Some(second.version)).await.unwrap(), Outcome::Done);
        assert_eq!(get(one, n).await, None);
        assert_eq!(two.save(&now(), &key(n), second.version, &first).await.unwrap(), Outcome::Missing);
    }
}
