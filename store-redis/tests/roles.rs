//! Tests of servers that are replicas, or become replicas while a store uses them, on Redis and on Valkey.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_conformance::server::{self, Server, Start};
use session_core::Outcome::Done;
use session_core::{ErrorKind, Store as _, StoreKey, seconds};
use session_store_redis::RedisStore;
use session_store_redis::redis::{self, Client, aio::MultiplexedConnection};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

#[path = "common/records.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod records;

#[path = "common/rights.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod rights;

use records::{NAMESPACE, call, key, record};

/// Start functions of the kinds of servers.
const KINDS: [Start; 2] = [|| Box::pin(server::redis()), || Box::pin(server::valkey())];

/// Time within which a store notices that its server is a replica.
const NOTICED: Duration = seconds(1);

/// A server, and a direct connection to it.
struct Bench {
    server: Server,
    connection: MultiplexedConnection,
}

impl Bench {
    async fn new(start: Start) -> Self {
        let server = start().await.unwrap();
        let client = Client::open(server.url()).unwrap();
        let connection = client.get_multiplexed_async_connection().await.unwrap();
        Self { server, connection }
    }

    /// Sends a command, written with spaces.
    async fn tell(&mut self, command: &str) {
        let words: Vec<_> = command.split_ascii_whitespace().collect();
        redis::cmd(words[0]).arg(&words[1..]).exec_async(&mut self.connection).await.unwrap();
    }

    /// Makes the server a replica. Its data stay, and its primary is not there.
    async fn demote(&mut self) {
        self.tell("REPLICAOF 127.0.0.1 1").await;
    }

    async fn promote(&mut self) {
        self.tell("REPLICAOF NO ONE").await;
    }
}

#[tokio::test]
async fn a_replica_is_refused_at_open_though_the_user_may_not_ask_for_its_role() {
    for start in KINDS {
        let mut bench = Bench::new(start).await;
        // `INFO`, which tells the role too, is not among the least rights.
        bench.tell(&rights::statement(false, "xyzzy", NAMESPACE)).await;
        let url = bench.server.url().replace(&format!(":{}@", bench.server.password()), "shop:xyzzy@");
        let open = || RedisStore::builder(&url).unwrap().namespace(NAMESPACE).open();
        open().await.unwrap();
        for writable in ["no", "yes"] {
            bench.tell(&format!("CONFIG SET replica-read-only {}", if writable == "yes" { "no" } else { "yes" })).await;
            bench.demote().await;
            let error = open().await.expect_err("a replica");
            assert_eq!(error.kind(), ErrorKind::Config, "writable: {writable}, {error:?}");
            for word in ["is a replica", "name the primary"] {
                assert!(error.to_string().contains(word), "writable: {writable}, {error}");
            }
            bench.promote().await;
        }
        open().await.unwrap();
    }
}

async fn stored(store: &RedisStore) -> StoreKey {
    let key = key();
    assert_eq!(store.create(&call(), &key, &record(None)).await.unwrap(), Done);
    key
}

/// Loads all the time, one session or `burst` at once, until a load is refused. Returns when the last load that was answered was sent.
async fn last_answered(store: &RedisStore, key: &StoreKey, burst: usize) -> Instant {
    let begun = Instant::now();
    loop {
        let sent = Instant::now();
        assert!(sent - begun < 3 * NOTICED, "the demoted primary still answers loads");
        let loads = join_all((0..burst).map(|_| async { store.load(&call(), key).await })).await;
        for load in loads {
            match load {
                Ok(record) => assert!(record.is_some()),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
                    assert!(error.to_string().contains("is a replica"), "{error}");
                    return sent;
                }
            }
        }
    }
}

/// Loads until the server serves again.
async fn served_again(store: &RedisStore, key: &StoreKey) {
    let begun = Instant::now();
    while store.load(&call(), key).await.is_err() {
        assert!(begun.elapsed() < NOTICED, "the primary is back, and its sessions are not");
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_demoted_primary_answers_no_load_for_longer_than_a_second() {
    for (start, burst, connections) in [(KINDS[0], 1, 1), (KINDS[0], 24, 1), (KINDS[1], 1, 3)] {
        let mut bench = Bench::new(start).await;
        // A demoted primary that takes writes would confirm what its next primary does not have.
        bench.tell("CONFIG SET replica-read-only no").await;
        let store = RedisStore::builder(bench.server.url()).unwrap().namespace(NAMESPACE).connections(connections);
        let store = store.open().await.unwrap();
        let key = stored(&store).await;
        let demoted = Instant::now();
        bench.demote().await;
        let last = last_answered(&store, &key, burst).await;
        let answered = last.saturating_duration_since(demoted);
        assert!(answered < NOTICED, "{connections} connections, {burst} at once: answered for {answered:?}");
        if connections == 1 {
            // All calls share the connection, so none is answered from now on.
            let refused = Instant::now();
            while refused.elapsed() < seconds(1) / 4 {
                assert!(store.load(&call(), &key).await.is_err());
                assert!(store.create(&call(), &records::key(), &record(None)).await.is_err());
            }
        }
        bench.promote().await;
        served_again(&store, &key).await;
    }
}

#[tokio::test]
async fn a_connection_that_was_idle_while_its_primary_was_demoted_answers_nothing() {
    for start in KINDS {
        let mut bench = Bench::new(start).await;
        let store = RedisStore::builder(bench.server.url()).unwrap().namespace(NAMESPACE).connections(3);
        let store = store.open().await.unwrap();
        let key = stored(&store).await;
        // Every connection has been used.
        for _ in 0..6 {
            assert!(store.load(&call(), &key).await.unwrap().is_some());
        }
        bench.demote().await;
        // sleep: the connections are to be idle.
        tokio::time::sleep(NOTICED).await;
        for load in join_all((0..12).map(|_| async { store.load(&call(), &key).await })).await {
            assert_eq!(load.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        bench.promote().await;
        served_again(&store, &key).await;
    }
}

/// Address of a service, behind which another server can be put. Connections stay with the server that they had.
struct Service {
    address: SocketAddr,
    server: Arc<Mutex<String>>,
    _passing: JoinSet<()>,
}

impl Service {
    async fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Arc::new(Mutex::new(server.to_owned()));
        let target = Arc::clone(&server);
        let mut passing = JoinSet::new();
        passing.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((mut client, _)) = listener.accept().await {
                let server = target.lock().unwrap().clone();
                connections.spawn(async move {
                    let mut server = TcpStream::connect(server).await?;
                    copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { address, server, _passing: passing }
    }
}

#[tokio::test]
async fn the_address_is_looked_up_again_once_its_server_is_a_replica() {
    let (mut old, mut new) = (Bench::new(KINDS[0]).await, Bench::new(KINDS[0]).await);
    new.tell(&format!("CONFIG SET requirepass {}", old.server.password())).await;
    let service = Service::before(old.server.address()).await;
    let through = old.server.url_through(service.address);
    let store = RedisStore::builder(&through).unwrap().namespace(NAMESPACE).open().await.unwrap();
    let moves_to = |address: &str| address.clone_into(&mut service.server.lock().unwrap());
    // A write finds the replica.
    let key = stored(&store).await;
    moves_to(new.server.address());
    old.demote().await;
    let error = store.create(&call(), &records::key(), &record(None)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
    forgets(&store, &key).await;
    // A load finds the replica.
    let key = stored(&store).await;
    old.promote().await;
    moves_to(old.server.address());
    new.demote().await;
    last_answered(&store, &key, 1).await;
    forgets(&store, &key).await;
}

/// Loads until another server answers, which does not know the session.
async fn forgets(store: &RedisStore, key: &StoreKey) {
    let begun = Instant::now();
    while !matches!(store.load(&call(), key).await, Ok(None)) {
        assert!(begun.elapsed() < NOTICED, "the new server is not used");
        tokio::task::yield_now().await;
    }
}
