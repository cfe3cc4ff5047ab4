//! Tests of a cluster beyond the conformance suite: keys on each node, and changes of nodes and slots while the store is open.
//!
//! Tests force an order of steps by executing a writer's or a healer's steps separately, with the store's own scripts.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use session_conformance::proxy::Proxy;
use session_conformance::server::{self, Server};
use session_core::Outcome::{Conflict, Done, Exists};
use session_core::{
    Bytes, Clock as _, ErrorKind, Principal, Record, Store as _, StoreKey, SystemClock, Version, hours, seconds,
};
use session_store_redis::RedisStore;
use session_store_redis::redis::{self, FromRedisValue};

mod entries;
mod migration;
mod moves;
#[path = "../common/nodes.rs"]
mod nodes;
#[path = "../common/records.rs"]
mod records;

use migration::{Move, tell};
use nodes::{Nodes, Slots};
use records::{NAMESPACE, call, cmd, index, key, name, principal, record};

const LIMIT: NonZeroU32 = NonZeroU32::new(1000).expect("it is not zero");

/// Times of `cluster/index.rs`, in ms.
const TIMES: &str = "local LEASE, MARGIN, GRACE = 360000, 600000, 1020000\n";
const LEASE: i64 = 360_000;
const MARGIN: i64 = 600_000;

/// A cluster, a store on it, and direct connections to its nodes.
struct Bench {
    server: Server,
    store: RedisStore,
    nodes: Nodes,
}

impl Bench {
    async fn new() -> Self {
        let server = server::redis_cluster().await.unwrap();
        let store = RedisStore::builder(server.url()).unwrap().namespace(NAMESPACE).open().await.unwrap();
        let nodes = Nodes::of(&server).await.unwrap();
        Self { server, store, nodes }
    }

    async fn ask<T: FromRedisValue>(&mut self, command: &[&[u8]]) -> T {
        self.nodes.ask(&cmd(command)).await.unwrap()
    }

    /// Returns the expiry of an index entry, if there is one.
    async fn entry(&mut self, who: &Principal, key: &StoreKey) -> Option<i64> {
        self.ask(&[b"ZSCORE", &index(who), key.as_bytes()]).await
    }

    async fn doubt(&mut self, who: &Principal, key: &StoreKey) -> Option<i64> {
        self.ask(&[b"ZSCORE", &index(who), &doubt(key)]).await
    }

    /// Executes the first step of a writer, which writes the entry. Returns the time of the entry's node.
    async fn enter(&mut self, who: &Principal, key: &StoreKey, until: i64) -> Vec<u8> {
        let script = [COMMON, include_str!("../../src/scripts/cluster/enter.lua")].concat();
        self.ask(&[b"EVAL", script.as_bytes(), b"1", &index(who), key.as_bytes(), until.to_string().as_bytes()]).await
    }

    /// Executes the second step of a writer, which creates the record. `like` holds the record's bytes.
    async fn create(&mut self, key: &StoreKey, like: &[u8], record: &Record, until: i64, at: &[u8]) -> redis::Value {
        let entries = include_str!("../../src/scripts/cluster/index.lua");
        let script = [COMMON, TIMES, entries, include_str!("../../src/scripts/create.lua")].concat();
        let (now, expiry) = (SystemClock.now().as_millis().to_string(), record.expires_at.as_millis().to_string());
        let who = record.principal.as_ref().unwrap().as_str().as_bytes();
        let (name, until) = (name(key), until.to_be_bytes());
        let arguments: [&[u8]; 6] = [now.as_bytes(), like, expiry.as_bytes(), &until, who, at];
        self.ask(&[&[b"EVAL", script.as_bytes(), b"1", &name[..]], &arguments[..]].concat()).await
    }

    async fn listed(&self, who: &Principal) -> Vec<StoreKey> {
        let mut keys: Vec<_> =
            self.store.sessions_of(&call(), who, LIMIT).await.unwrap().into_iter().map(|(key, _)| key).collect();
        keys.sort_unstable();
        keys
    }

    /// Stores a record of the principal and deletes it again. Returns the record, its bytes, and the expiry of its entry.
    async fn stored(&mut self, who: &Principal) -> (Record, Vec<u8>, i64) {
        let (key, record) = (key(), record(Some(who)));
        assert_eq!(self.store.create(&call(), &key, &record).await.unwrap(), Done);
        let bytes: Vec<u8> = self.ask(&[b"GET", &name(&key)]).await;
        let until = self.entry(who, &key).await.unwrap();
        assert_eq!(bytes[25..33], until.to_be_bytes());
        assert_eq!(self.store.delete(&call(), &key, None).await.unwrap(), Done);
        (record, bytes, until)
    }

    async fn slot(&mut self, name: &[u8]) -> u16 {
        self.ask(&[b"CLUSTER", b"KEYSLOT", name]).await
    }

    /// Returns the index of the node that serves a slot.
    async fn owner(&mut self, slot: u16) -> usize {
        let slots: Slots = self.ask(&[b"CLUSTER", b"SLOTS"]).await;
        let (.., (host, port, ..)) =
            slots.into_iter().find(|(first, last, _)| (*first..=*last).contains(&slot)).unwrap();
        let address = format!("{host}:{port}");
        self.nodes.0.iter().position(|node| node.address == address).unwrap()
    }
}

const COMMON: &str = include_str!("../../src/scripts/common.lua");

fn doubt(key: &StoreKey) -> Vec<u8> {
    [b"?", &key.as_bytes()[..]].concat()
}

#[tokio::test]
async fn scripts_that_one_node_has_lost_are_sent_again() {
    let mut bench = Bench::new().await;
    let ann = principal();
    let keys: Vec<_> = (0..12).map(|_| key()).collect();
    for flushed in 0..bench.nodes.0.len() {
        for key in &keys {
            let _ = bench.store.delete(&call(), key, None).await.unwrap();
        }
        tell(&mut bench.nodes.0[flushed], &[b"SCRIPT", b"FLUSH"]).await;
        for key in &keys {
            let first = record(Some(&ann));
            assert_eq!(bench.store.create(&call(), key, &first).await.unwrap(), Done);
            assert_eq!(bench.store.create(&call(), key, &record(Some(&ann))).await.unwrap(), Exists);
            let farther = first.expires_at.plus(hours(100));
            assert_eq!(bench.store.touch(&call(), key, first.version, farther).await.unwrap(), Done);
        }
        assert_eq!(bench.listed(&ann).await.len(), keys.len());
    }
    let flush = [&b"SCRIPT"[..], b"FLUSH"];
    for node in &mut bench.nodes.0 {
        tell(node, &flush).await;
    }
    assert_eq!(bench.store.delete_all(&call(), &ann, Some(&keys[0])).await.unwrap(), 11);
}

#[tokio::test]
async fn a_silent_node_holds_up_no_session_on_another() {
    let mut bench = Bench::new().await;
    let limit = seconds(2);
    let mut builder = RedisStore::builder(bench.server.url()).unwrap().namespace(NAMESPACE).timeout(limit);
    let mut proxies = Vec::new();
    for node in &bench.nodes.0 {
        let proxy = Proxy::before(&node.address).await.unwrap();
        builder = builder.node_at(&node.address, &proxy.address().to_string());
        proxies.push(proxy);
    }
    let store = builder.open().await.unwrap();
    let mut keys = vec![Vec::new(); 3];
    for _ in 0..30 {
        let (key, record) = (key(), record(None));
        assert_eq!(store.create(&call(), &key, &record).await.unwrap(), Done);
        let slot = bench.slot(&name(&key)).await;
        keys[bench.owner(slot).await].push(key);
    }
    proxies[0].stall();
    let silent = keys[0][0];
    let waiting = tokio::spawn({
        let store = store.clone();
        async move { store.load(&call(), &silent).await }
    });
    let begun = Instant::now();
    for key in keys[1].iter().chain(&keys[2]) {
        assert!(store.load(&call(), key).await.unwrap().is_some());
    }
    assert!(begun.elapsed() < limit / 2, "other nodes' sessions took {:?}", begun.elapsed());
    assert_eq!(waiting.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    // Another node takes over the slot. The timed-out call has started a discovery, or the next call will.
    let slot = bench.slot(&name(&silent)).await;
    Move { slot, from: 0, to: 1 }.all(&mut bench.nodes, bench.server.password()).await;
    let mut silences = 0;
    while store.load(&call(), &silent).await.is_err() {
        silences += 1;
        assert!(silences < 3, "the slot has moved away from the silent node, and calls do not follow");
    }
    // The same holds for a node whose connections are refused.
    let silent = *keys[0].iter().find(|key| **key != silent).unwrap();
    proxies[0].cut();
    let begun = Instant::now();
    assert_eq!(store.load(&call(), &silent).await.unwrap_err().kind(), ErrorKind::Unavailable);
    for key in keys[1].iter().chain(&keys[2]) {
        assert!(store.load(&call(), key).await.unwrap().is_some());
    }
    assert!(begun.elapsed() < limit + Duration::from_millis(500));
    proxies[0].pass();
    let begun = Instant::now();
    while store.load(&call(), &silent).await.is_err() {
        assert!(begun.elapsed() < 3 * limit, "the node is back, and its sessions are not");
    }
}

#[tokio::test]
async fn a_cluster_and_a_single_server_are_not_taken_for_each_other() {
    let bench = Bench::new().await;
    let single = format!("redis://:{}@{}/?tls=false", bench.server.password(), bench.server.address());
    let error = RedisStore::connect(&single).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    for word in ["redis+cluster://", "`cluster`"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    // With `cluster(true)` the same address works: one node is enough to find the others.
    let store = RedisStore::builder(&single).unwrap().cluster(true).namespace(NAMESPACE).open().await.unwrap();
    let (key, first) = (key(), record(None));
    assert_eq!(store.create(&call(), &key, &first).await.unwrap(), Done);
    assert_eq!(bench.store.load(&call(), &key).await.unwrap(), Some(first));
    let wrong = RedisStore::builder(&single.replace("/?", "/3?")).unwrap().cluster(true).open().await.unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::Config, "{wrong}");
    drop(bench);

    let one = server::redis().await.unwrap();
    let url = format!("redis+cluster://:{}@{}/?tls=false", one.password(), one.address());
    let error = RedisStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    assert!(error.to_string().contains("not part of a cluster"), "{error}");
    let error = RedisStore::connect("redis+cluster://:xyzzy@127.0.0.1:1?timeout=1000").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!format!("{error:?}").contains("xyzzy"));
}
