//! Tests of records that a server refuses for their length, on Redis and on Valkey, single and in a cluster.

use std::collections::HashMap;

use futures_util::future::join_all;
use session_conformance::server::{self, Server, Start};
use session_core::Outcome::Done;
use session_core::{Bytes, ErrorKind, Record, Store as _, StoreKey};
use session_store_redis::redis::{self, Client, aio::MultiplexedConnection};
use session_store_redis::{RedisStore, RedisStoreBuilder};

#[path = "common/records.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod records;

use records::{NAMESPACE, call, key, record};

const MIB: usize = 1 << 20;

/// Start functions of the kinds of servers.
const KINDS: [Start; 4] = [
    || Box::pin(server::redis()),
    || Box::pin(server::valkey()),
    || Box::pin(server::redis_cluster()),
    || Box::pin(server::valkey_cluster()),
];

fn large(length: usize) -> Record {
    let mut large = record(None);
    large.data = Bytes::from(vec![7; length]);
    large
}

/// Direct connections to the nodes of a server.
struct Nodes(Vec<MultiplexedConnection>);

impl Nodes {
    async fn of(server: &Server) -> Self {
        let connecting = server.addresses().iter().map(|address| async move {
            let client = Client::open(format!("redis://:{}@{address}", server.password())).unwrap();
            client.get_multiplexed_async_connection().await.unwrap()
        });
        Self(join_all(connecting).await)
    }

    async fn each<T: redis::FromRedisValue>(&mut self, command: &[&str]) -> Vec<T> {
        let mut answers = Vec::new();
        for node in &mut self.0 {
            answers.push(redis::cmd(command[0]).arg(&command[1..]).query_async(node).await.unwrap());
        }
        answers
    }

    /// Returns how many connections the nodes have accepted so far.
    async fn accepted(&mut self) -> u64 {
        let infos: Vec<String> = self.each(&["INFO", "stats"]).await;
        let field = |info: &String| {
            info.lines().find_map(|line| line.strip_prefix("total_connections_received:")?.trim().parse::<u64>().ok())
        };
        infos.iter().filter_map(field).sum::<u64>()
    }
}

async fn stored(store: &RedisStore, count: usize) -> Vec<(StoreKey, Record)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let (key, record) = (key(), record(None));
        assert_eq!(store.create(&call(), &key, &record).await.unwrap(), Done);
        all.push((key, record));
    }
    all
}

#[tokio::test]
async fn a_record_over_the_servers_limit_is_refused_before_it_is_sent() {
    for start in KINDS {
        let server = start().await.unwrap();
        let mut nodes = Nodes::of(&server).await;
        for (setting, limit) in [("proto-max-bulk-len", "2mb"), ("client-query-buffer-limit", "1mb")] {
            nodes.each::<()>(&["CONFIG", "SET", setting, limit]).await;
            let store = RedisStore::builder(server.url()).unwrap().namespace(NAMESPACE).open().await.unwrap();
            let longest = store.capabilities().max_data_len.unwrap();
            let limit: HashMap<String, usize> = nodes.each(&["CONFIG", "GET", setting]).await.remove(0);
            assert!(longest < limit[setting] && longest > limit[setting] * 9 / 10, "{setting}: {longest}");

            let (key, record) = (key(), large(longest));
            assert_eq!(store.create(&call(), &key, &record).await.unwrap(), Done, "{setting}");
            assert_eq!(store.load(&call(), &key).await.unwrap(), Some(record));
            let before = nodes.accepted().await;
            let error = store.create(&call(), &records::key(), &large(longest + 1)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{setting}: {error}");
            assert_eq!(nodes.accepted().await, before, "a connection was broken");
        }
    }
}

/// Returns a builder for a user who may not read the limits, as on many managed servers.
async fn without_config(server: &Server, nodes: &mut Nodes) -> RedisStoreBuilder {
    nodes.each::<()>(&["ACL", "SETUSER", "shop", "reset", "on", ">secret", "~*", "+@all", "-config"]).await;
    let url = server.url().replace(&format!(":{}@", server.password()), "shop:secret@");
    RedisStore::builder(&url).unwrap().namespace(NAMESPACE)
}

#[tokio::test]
async fn a_server_that_does_not_tell_its_limit_gets_no_record_that_it_may_refuse() {
    for start in KINDS {
        let server = start().await.unwrap();
        let mut nodes = Nodes::of(&server).await;
        for setting in ["proto-max-bulk-len", "client-query-buffer-limit"] {
            nodes.each::<()>(&["CONFIG", "SET", setting, "1mb"]).await;
        }
        let store = without_config(&server, &mut nodes).await.open().await.unwrap();
        let longest = store.capabilities().max_data_len.unwrap();
        assert_eq!(longest, 982_751);
        assert_eq!(store.create(&call(), &key(), &large(longest)).await.unwrap(), Done);
        let before = nodes.accepted().await;
        let created = join_all((0..5).map(|_| async { store.create(&call(), &key(), &large(2 * MIB)).await }));
        for error in created.await.into_iter().map(Result::unwrap_err) {
            assert_eq!(error.kind(), ErrorKind::TooLarge, "{error:?}");
        }
        assert_eq!(nodes.accepted().await, before, "a connection was broken");
    }
}

#[tokio::test]
async fn a_record_that_the_server_refuses_in_use_breaks_no_other_call() {
    for start in KINDS {
        let server = start().await.unwrap();
        let mut nodes = Nodes::of(&server).await;
        let store = without_config(&server, &mut nodes).await.max_data_len(4 * MIB).open().await.unwrap();
        assert_eq!(store.capabilities().max_data_len, Some(4 * MIB));
        nodes.each::<()>(&["CONFIG", "SET", "proto-max-bulk-len", "1mb"]).await;
        let others = stored(&store, 100).await;

        let loads = join_all(others.iter().map(|(key, _)| async { store.load(&call(), key).await }));
        let created = join_all((0..5).map(|_| async { store.create(&call(), &key(), &large(2 * MIB)).await }));
        let saved = join_all(
            others.iter().map(|(key, first)| async { store.save(&call(), key, first.version, &record(None)).await }),
        );
        let (loads, created, saved) = tokio::join!(loads, created, saved);
        for (loaded, saved) in loads.into_iter().zip(saved) {
            assert!(loaded.unwrap().is_some());
            assert_eq!(saved.unwrap(), Done);
        }
        for error in created.into_iter().map(Result::unwrap_err) {
            // The server closes the connection at once, so that its answer can be lost.
            assert!(matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Unavailable), "{error:?}");
            if error.kind() == ErrorKind::TooLarge {
                let longest = store.capabilities().max_data_len.unwrap();
                assert!(longest < 2 * MIB, "the limit was not learned: {longest}");
            }
        }
    }
}

#[tokio::test]
async fn a_batch_whose_records_are_together_over_the_limit_is_stored() {
    for start in KINDS {
        let server = start().await.unwrap();
        let mut nodes = Nodes::of(&server).await;
        for setting in ["proto-max-bulk-len", "client-query-buffer-limit"] {
            nodes.each::<()>(&["CONFIG", "SET", setting, "1mb"]).await;
        }
        let store = RedisStore::builder(server.url()).unwrap().namespace(NAMESPACE).open().await.unwrap();
        let others = stored(&store, 200).await;
        let saved = join_all(others.iter().map(|(key, first)| {
            let (store, key, expected) = (store.clone(), *key, first.version);
            async move { store.save(&call(), &key, expected, &large(60_000)).await }
        }));
        for saved in saved.await {
            assert_eq!(saved.unwrap(), Done);
        }
    }
}
