//! Tests of a store in use: servers that stop, several servers, and memory that is full.

mod common;

use std::time::{Duration, Instant};

use session_conformance::fixtures::{count, count_up, get, key, now, put, put_count, record};
use session_conformance::proxy::Proxy;
use session_conformance::server::{self, Server};
use session_core::{ErrorKind, Outcome, Record, Store, Version};
use session_store_memcached::MemcachedStore;

/// Time-out of the stores.
const TIME_OUT: Duration = Duration::from_millis(1500);

async fn open(url: &str) -> MemcachedStore {
    MemcachedStore::builder(url).unwrap().timeout(TIME_OUT).open().await.unwrap()
}

/// Loads until the server answers.
async fn loaded(store: &MemcachedStore, n: u32) -> Option<Record> {
    loop {
        match store.load(&now(), &key(n)).await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}"),
            Ok(found) => return found,
        }
    }
}

/// Returns the error of a load.
async fn refused(store: &MemcachedStore, n: u32) -> ErrorKind {
    store.load(&now(), &key(n)).await.unwrap_err().kind()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_stopped_has_lost_its_sessions_and_brings_none_back() {
    let server = server::memcached().await.unwrap();
    let store = open(server.url()).await;
    for round in 0..3 {
        let (kept, ended, stored) = (3 * round, 3 * round + 1, record(b"kept"));
        put(&store, kept, &stored).await;
        put(&store, ended, &record(b"ended")).await;
        assert_eq!(store.delete(&now(), &key(ended), None).await.unwrap(), Outcome::Done);
        server.stop().await.unwrap();
        let begun = Instant::now();
        assert_eq!(refused(&store, kept).await, ErrorKind::Unavailable);
        let mut newer = stored.clone();
        newer.version = Version::random();
        let saved = store.save(&now(), &key(kept), stored.version, &newer).await;
        assert_eq!(saved.unwrap_err().kind(), ErrorKind::Unavailable);
        assert!(begun.elapsed() < 4 * TIME_OUT, "{:?}", begun.elapsed());
        server.start().await.unwrap();
        assert_eq!(loaded(&store, kept).await, None, "a server that was started again is empty");
        // The identical save creates nothing.
        assert_eq!(store.save(&now(), &key(kept), stored.version, &newer).await.unwrap(), Outcome::Missing);
        let touched = store.touch(&now(), &key(kept), stored.version, stored.expires_at).await;
        assert_eq!(touched.unwrap(), Outcome::Missing);
        assert_eq!(get(&store, ended).await, None);
        put(&store, 3 * round + 2, &record(b"new")).await;
    }
    store.close().await.unwrap();
    assert_eq!(refused(&store, 2).await, ErrorKind::Unavailable);
}

/// Three servers, each behind a proxy of its own.
struct Several {
    _servers: Server,
    proxies: Vec<Proxy>,
    url: String,
}

impl Several {
    async fn start() -> Self {
        let servers = server::memcached_several().await.unwrap();
        let mut proxies = Vec::new();
        for address in servers.addresses() {
            proxies.push(Proxy::before(address).await.unwrap());
        }
        let places: Vec<_> = proxies.iter().map(|proxy| proxy.address().to_string()).collect();
        let url = format!("memcached://conformance:{}@{}?tls=false", servers.password(), places.join(","));
        Self { _servers: servers, proxies, url }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_down_makes_only_its_own_sessions_unavailable() {
    let Several { _servers, proxies, url } = Several::start().await;
    let store = open(&url).await;
    for n in 0..60 {
        put(&store, n, &record(b"kept")).await;
    }
    proxies[1].cut();
    let mut gone = Vec::new();
    for n in 0..60 {
        match store.load(&now(), &key(n)).await {
            Ok(found) => assert!(found.is_some(), "{n}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unavailable);
                let created = store.create(&now(), &key(n), &record(b"elsewhere")).await;
                assert_eq!(created.unwrap_err().kind(), ErrorKind::Unavailable, "it is kept nowhere else");
                gone.push(n);
            }
        }
    }
    assert!((8..33).contains(&gone.len()), "{} of 60", gone.len());
    // A store that is opened meanwhile serves the others as well.
    let second = open(&url).await;
    let served = (0..60).find(|n| !gone.contains(n)).unwrap();
    assert!(get(&second, served).await.is_some());
    assert_eq!(refused(&second, gone[0]).await, ErrorKind::Unavailable);
    proxies[1].pass();
    for n in gone {
        for store in [&store, &second] {
            assert_eq!(loaded(store, n).await.unwrap().data, "kept");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counts_on_several_servers_are_exact_while_connections_break() {
    let Several { _servers, proxies, url } = Several::start().await;
    let store = open(&url).await;
    put_count(&store).await;
    count_up(&store, 16, 25).await;
    for proxy in &proxies {
        proxy.forget();
    }
    assert_eq!(loaded(&store, 0).await.map(|record| record.data.len()), Some(8));
    count_up(&store, 4, 25).await;
    assert_eq!(count(&store).await, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_memory_is_an_outage_for_writes_or_evicts_and_is_never_an_error_of_loads() {
    for (arguments, evicts) in [(&["-m", "4", "-M"][..], false), (&["-m", "4"][..], true)] {
        let server = server::memcached_with(arguments).await.unwrap();
        let store = open(server.url()).await;
        let large = record(&[b'x'; 100_000]);
        let mut refusals = 0;
        for n in 0..200 {
            if let Err(error) = store.create(&now(), &key(n), &large).await {
                assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
                assert!(error.to_string().contains("`-m`"), "{error}");
                refusals += 1;
            }
        }
        assert_eq!(refusals > 0, !evicts, "{refusals}");
        let mut kept = 0;
        for n in 0..200 {
            kept += u32::from(get(&store, n).await.is_some());
        }
        assert!(kept > 0 && kept < 200, "{kept}");
        if !evicts {
            assert_eq!(kept + refusals, 200, "what was confirmed is there");
        }
    }
}
