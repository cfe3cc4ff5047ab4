//! Tests of a store in use: a server that is killed or stopped, a bucket in memory, and one that is full.

mod common;

use std::time::{Duration, Instant};

use common::{api, client};
use futures_util::future::join_all;
use serde_json::json;
use session_conformance::counting::Counting;
use session_conformance::fixtures::{get, key, now, put, record};
use session_conformance::proxy::Proxy;
use session_conformance::server;
use session_core::{ErrorKind, Outcome, Store, Version};
use session_store_nats::NatsStore;
use tokio::time::sleep;

/// Time-out of the stores.
const TIME_OUT: Duration = Duration::from_secs(2);

async fn open(url: &str) -> NatsStore {
    NatsStore::builder(url).unwrap().timeout(TIME_OUT).open().await.unwrap()
}

/// Loads until the server answers.
async fn loaded(store: &NatsStore, n: u32) -> Option<session_core::Record> {
    loop {
        match store.load(&now(), &key(n)).await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            Ok(found) => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_three_times_loses_nothing_that_was_confirmed() {
    let server = server::nats().await.unwrap();
    let counting = Counting::start(vec![open(server.url()).await, open(server.url()).await]).await;
    let mut failed = tokio::time::Instant::now();
    for _ in 0..3 {
        counting.confirmed(200).await;
        server.run(&["sh", "-c", "kill -KILL $(cat /tmp/sessions/4222.pid)"]).await.unwrap();
        failed = tokio::time::Instant::now();
        server.run(&["sh", "-c", "nohup sh /tmp/sessions/start 4222 > /tmp/sessions/log 2>&1 &"]).await.unwrap();
    }
    counting.confirmed(200).await;
    let seen_by = [open(server.url()).await];
    counting.finish(&seen_by, "NATS on one server, killed three times", TIME_OUT, failed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_is_an_outage_and_keeps_its_sessions() {
    let server = server::nats().await.unwrap();
    let store = open(server.url()).await;
    assert!(store.capabilities().durable);
    let stored = record(b"kept");
    put(&store, 1, &stored).await;
    put(&store, 2, &record(b"ended")).await;
    assert_eq!(store.delete(&now(), &key(2), None).await.unwrap(), Outcome::Done);
    server.stop().await.unwrap();
    let begun = Instant::now();
    assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let mut newer = stored.clone();
    newer.version = Version::random();
    let saved = store.save(&now(), &key(1), stored.version, &newer).await;
    assert_eq!(saved.unwrap_err().kind(), ErrorKind::Unavailable);
    assert!(begun.elapsed() < 3 * TIME_OUT, "{:?}", begun.elapsed());
    server.start().await.unwrap();
    assert_eq!(loaded(&store, 1).await, Some(stored));
    assert_eq!(get(&store, 2).await, None);
    store.close().await.unwrap();
    assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

/// The driver keeps what is sent while it is disconnected, and would send it when it is connected again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_told_unavailable_is_not_sent_after_the_outage() {
    let server = server::nats().await.unwrap();
    let proxy = Proxy::before(server.address()).await.unwrap();
    let direct = open(server.url()).await;
    let through = NatsStore::builder(&server.url_through(proxy.address())).unwrap();
    let store = through.timeout(Duration::from_millis(500)).open().await.unwrap();
    put(&store, 0, &record(b"before")).await;
    proxy.cut();
    let creates = (1..50).map(|n| {
        let store = store.clone();
        async move { store.create(&now(), &key(n), &record(b"late")).await }
    });
    for created in join_all(creates).await {
        assert_eq!(created.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    proxy.pass();
    assert!(loaded(&store, 0).await.is_some());
    // sleep: the driver would connect again within this time, and nothing tells that it does not.
    sleep(Duration::from_millis(1500)).await;
    put(&store, 100, &record(b"after")).await;
    for n in 1..50 {
        assert_eq!(get(&direct, n).await, None, "{n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bucket_in_memory_is_not_durable_and_is_gone_with_its_server() {
    let server = server::nats().await.unwrap();
    let url = server.url_with("storage=memory");
    let store = open(&url).await;
    assert!(!store.capabilities().durable);
    put(&store, 1, &record(b"lost")).await;
    server.stop().await.unwrap();
    server.start().await.unwrap();
    // It is no answer that the session is unknown, until the bucket is there again.
    let error = store.load(&now(), &key(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let again = open(&url).await;
    assert_eq!(get(&again, 1).await, None);
    assert_eq!(loaded(&store, 1).await, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_bucket_is_an_outage_for_writes_and_loses_nothing() {
    let server = server::nats().await.unwrap();
    let settings = json!({
        "name": "KV_sessions", "subjects": ["$KV.sessions.>"], "max_msgs_per_subject": 1, "allow_msg_ttl": true, "storage": "file",
        "max_bytes": 1_000_000, "discard": "new",
    });
    api(&client(&server).await, "STREAM.CREATE.KV_sessions", settings).await;
    let store = open(server.url()).await;
    let large = record(&[b'x'; 100_000]);
    let mut stored = 0;
    for n in 0..20 {
        match store.create(&now(), &key(n), &large).await {
            Ok(outcome) => {
                assert_eq!(outcome, Outcome::Done);
                stored += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                assert!(error.to_string().contains("no room"), "{error}");
                assert_eq!(get(&store, n).await, None);
            }
        }
    }
    assert!((5..10).contains(&stored), "{stored}");
    for n in 0..stored {
        assert!(get(&store, n).await.is_some(), "{n}");
    }
    // A deletion is a message too, and takes the place of what it deletes.
    assert_eq!(store.delete(&now(), &key(0), None).await.unwrap(), Outcome::Done);
    put(&store, 100, &record(&[b'x'; 50_000])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_longest_data_follows_from_the_server_and_is_checked_before_it_is_sent() {
    let server = server::nats_with("max_payload: 65536").await.unwrap();
    let store = open(server.url()).await;
    let longest = store.capabilities().max_data_len.unwrap();
    assert!((60_000..65_536).contains(&longest), "{longest}");
    put(&store, 1, &record(&vec![b'x'; longest])).await;
    assert_eq!(get(&store, 1).await.unwrap().data.len(), longest);
    let refused = store.create(&now(), &key(2), &record(&vec![b'x'; longest + 1])).await;
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(get(&store, 2).await, None);
}
