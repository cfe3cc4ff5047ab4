//! Tests beyond the conformance suite: keys on the server, and changes of the server while the store is open.

use std::cell::RefCell;
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::time::Duration;

use futures_util::future::join_all;
use session_conformance::log::Log;
use session_conformance::peers;
use session_conformance::proxy::Proxy;
use session_conformance::server::{self, Server};
use session_core::Outcome::{Done, Exists, Missing};
use session_core::{ErrorKind, Store as _, Timestamp, Version, minutes};
use session_store_redis::RedisStore;
use session_store_redis::redis::{self, Client, aio::MultiplexedConnection};

#[path = "common/records.rs"]
mod records;

use records::{NAMESPACE, call, cmd, index, key, name, principal, record};

const LIMIT: NonZeroU32 = NonZeroU32::new(100).expect("it is not zero");

/// A server, a store on it, and a direct connection to the server.
struct Bench {
    server: Server,
    store: RedisStore,
    raw: MultiplexedConnection,
}

impl Bench {
    async fn new() -> Self {
        let server = server::redis().await.unwrap();
        let store = RedisStore::builder(server.url()).unwrap().namespace(NAMESPACE).open().await.unwrap();
        let raw = Client::open(server.url()).unwrap().get_multiplexed_async_connection().await.unwrap();
        Self { server, store, raw }
    }

    async fn ask<T: redis::FromRedisValue>(&mut self, command: &[&[u8]]) -> T {
        cmd(command).query_async(&mut self.raw).await.unwrap()
    }
}

#[tokio::test]
async fn a_flushed_script_is_sent_again() {
    let mut bench = Bench::new().await;
    let (key, first) = (key(), record(None));
    assert_eq!(bench.store.create(&call(), &key, &first).await.unwrap(), Done);
    for _ in 0..2 {
        let _: String = bench.ask(&[b"SCRIPT", b"FLUSH"]).await;
        assert_eq!(bench.store.create(&call(), &key, &record(None)).await.unwrap(), Exists);
        let farther = first.expires_at.plus(minutes(1));
        assert_eq!(bench.store.touch(&call(), &key, first.version, farther).await.unwrap(), Done);
    }
    let _: String = bench.ask(&[b"SCRIPT", b"FLUSH"]).await;
    assert_eq!(bench.store.delete(&call(), &key, Some(first.version)).await.unwrap(), Done);
    assert_eq!(bench.store.delete(&call(), &key, None).await.unwrap(), Missing);
}

#[tokio::test]
async fn the_server_knows_every_expiry() {
    let mut bench = Bench::new().await;
    let (key, mut stored) = (key(), record(None));
    assert_eq!(bench.store.create(&call(), &key, &stored).await.unwrap(), Done);
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &name(&key)]).await, stored.expires_at.as_millis());

    let farther = stored.expires_at.plus(minutes(7));
    assert_eq!(bench.store.touch(&call(), &key, stored.version, farther).await.unwrap(), Done);
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &name(&key)]).await, farther.as_millis());

    let before = stored.version;
    (stored.version, stored.expires_at) = (Version::random(), stored.expires_at.minus(minutes(7)));
    assert_eq!(bench.store.save(&call(), &key, before, &stored).await.unwrap(), Done);
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &name(&key)]).await, stored.expires_at.as_millis());

    let before = stored.version;
    (stored.version, stored.expires_at) = (Version::random(), Timestamp::MIN);
    assert_eq!(bench.store.save(&call(), &key, before, &stored).await.unwrap(), Done);
    assert!(!bench.ask::<bool>(&[b"EXISTS", &name(&key)]).await, "a record without a future is still there");
}

#[tokio::test]
async fn an_index_follows_its_records_and_goes_with_the_last_one() {
    let mut bench = Bench::new().await;
    let (ann, bob) = (principal(), principal());
    let (key, mut stored) = (key(), record(Some(&ann)));
    assert_eq!(bench.store.create(&call(), &key, &stored).await.unwrap(), Done);
    let farther = stored.expires_at.plus(minutes(7));
    assert_eq!(bench.store.touch(&call(), &key, stored.version, farther).await.unwrap(), Done);
    let score: i64 = bench.ask(&[b"ZSCORE", &index(&ann), &key.as_bytes()[..]]).await;
    assert_eq!(score, farther.as_millis(), "a touch renews the entry");
    assert_eq!(bench.ask::<i64>(&[b"PEXPIRETIME", &index(&ann)]).await, farther.as_millis());

    let before = stored.version;
    (stored.version, stored.principal) = (Version::random(), Some(bob.clone()));
    assert_eq!(bench.store.save(&call(), &key, before, &stored).await.unwrap(), Done);
    assert!(!bench.ask::<bool>(&[b"EXISTS", &index(&ann)]).await, "the entry moves with the principal");
    assert_eq!(bench.store.delete(&call(), &key, None).await.unwrap(), Done);
    assert!(!bench.ask::<bool>(&[b"EXISTS", &index(&bob)]).await, "an index without entries");
}

#[tokio::test]
async fn entries_without_records_are_removed_by_who_meets_them() {
    let mut bench = Bench::new().await;
    let ann = principal();
    let (lives, gone, old) = (key(), key(), key());
    for key in [&lives, &gone] {
        assert_eq!(bench.store.create(&call(), key, &record(Some(&ann))).await.unwrap(), Done);
    }
    assert_eq!(bench.ask::<i64>(&[b"DEL", &name(&gone)]).await, 1);
    assert_eq!(bench.ask::<i64>(&[b"ZADD", &index(&ann), b"1000", &old.as_bytes()[..]]).await, 1);
    let shown = bench.store.sessions_of(&call(), &ann, LIMIT).await.unwrap();
    assert_eq!(shown.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [lives]);
    let entries: Vec<Vec<u8>> = bench.ask(&[b"ZRANGE", &index(&ann), b"0", b"-1"]).await;
    assert_eq!(entries, [lives.as_bytes()]);
}

#[tokio::test]
async fn more_sessions_than_one_script_removes_all_go() {
    let bench = Bench::new().await;
    let ann = principal();
    let keys: Vec<_> = (0..1203).map(|_| key()).collect();
    for key in &keys {
        assert_eq!(bench.store.create(&call(), key, &record(Some(&ann))).await.unwrap(), Done);
    }
    assert_eq!(bench.store.delete_all(&call(), &ann, Some(&keys[7])).await.unwrap(), 1202);
    let left = bench.store.sessions_of(&call(), &ann, LIMIT).await.unwrap();
    assert_eq!(left.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [keys[7]]);
    assert_eq!(bench.store.delete_all(&call(), &ann, None).await.unwrap(), 1);
}

#[tokio::test]
async fn what_is_wrong_with_one_key_is_not_felt_by_the_others_of_its_batch() {
    let mut bench = Bench::new().await;
    let first = record(None);
    let mut keys: Vec<_> = (0..12).map(|_| key()).collect();
    for key in &keys {
        assert_eq!(bench.store.create(&call(), key, &first).await.unwrap(), Done);
    }
    let [of_another_layout, no_string, unknown] = [8, 9, 10];
    let _: i64 = bench.ask(&[b"SETRANGE", &name(&keys[of_another_layout]), b"0", b"\x02"]).await;
    let _: i64 = bench.ask(&[b"DEL", &name(&keys[no_string])]).await;
    let _: i64 = bench.ask(&[b"LPUSH", &name(&keys[no_string]), b"x"]).await;
    keys[unknown] = key();
    // Opening the store and the creates are not counted.
    let _: () = bench.ask(&[b"CONFIG", b"RESETSTAT"]).await;

    // Concurrent calls: the first is sent directly, and all others in one batch.
    let loads = join_all(keys.iter().map(|key| async { bench.store.load(&call(), key).await })).await;
    let second = record(None);
    let saves = join_all(keys.iter().map(|key| async { bench.store.save(&call(), key, first.version, &second).await }));
    let saves = saves.await;

    for (at, (loaded, saved)) in loads.into_iter().zip(saves).enumerate() {
        if at == of_another_layout || at == no_string {
            assert_eq!(loaded.unwrap_err().kind(), ErrorKind::Corrupt, "load {at}");
            assert_eq!(saved.unwrap_err().kind(), ErrorKind::Corrupt, "save {at}");
        } else if at == unknown {
            assert_eq!((loaded.unwrap(), saved.unwrap()), (None, Missing));
        } else {
            assert_eq!((loaded.unwrap().as_ref(), saved.unwrap()), (Some(&first), Done), "{at}");
            assert_eq!(bench.store.load(&call(), &keys[at]).await.unwrap().as_ref(), Some(&second));
        }
    }
    let stats: String = bench.ask(&[b"INFO", b"commandstats"]).await;
    let calls = |command: &str| {
        let (_, rest) = stats.split_once(&format!("cmdstat_{command}:calls=")).expect("it was called");
        rest.split(',').next().unwrap().parse::<u32>().unwrap()
    };
    assert_eq!(calls("mget"), 1);
    // One for the first save, and one for the batch of the eleven others.
    assert_eq!(calls("evalsha"), 2);
}

#[tokio::test]
async fn many_saves_of_one_session_do_not_hold_up_those_of_others() {
    let mut bench = Bench::new().await;
    let (hot, first) = (key(), record(None));
    let others: Vec<_> = (0..20).map(|_| key()).collect();
    for key in others.iter().chain([&hot]) {
        assert_eq!(bench.store.create(&call(), key, &first).await.unwrap(), Done);
    }
    // The server keeps all writes waiting until every call is in the queue, the hot session's before the others'.
    let _: () = bench.ask(&[b"CLIENT", b"PAUSE", b"60000", b"WRITE"]).await;
    let (order, store) = (RefCell::new(Vec::new()), bench.store.clone());
    let saves = (0..400).map(|_| &hot).chain(&others).map(|key| {
        let (order, store, first) = (&order, &store, &first);
        async move {
            let saved = store.save(&call(), key, first.version, &record(None)).await.unwrap();
            order.borrow_mut().push(key);
            assert!(saved == Done || key == &hot);
        }
    });
    tokio::join!(join_all(saves), async { bench.ask::<()>(&[b"CLIENT", b"UNPAUSE"]).await });
    let order = order.into_inner();
    let last = order.iter().rposition(|key| *key != &hot).unwrap();
    let before = order[..last].iter().filter(|key| **key == &hot).count();
    assert!(before < 60, "{before} of 400 saves of one session came before the others");
}

#[tokio::test]
async fn a_batch_that_meets_a_full_server_is_unavailable_and_stores_nothing() {
    let mut bench = Bench::new().await;
    let first = record(None);
    let keys: Vec<_> = (0..12).map(|_| key()).collect();
    for key in &keys {
        assert_eq!(bench.store.create(&call(), key, &first).await.unwrap(), Done);
    }
    let _: () = bench.ask(&[b"CONFIG", b"SET", b"maxmemory", b"1"]).await;
    let second = record(None);
    let saves = join_all(keys.iter().map(|key| async { bench.store.save(&call(), key, first.version, &second).await }));
    for saved in saves.await {
        assert_eq!(saved.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let _: () = bench.ask(&[b"CONFIG", b"SET", b"maxmemory", b"0"]).await;
    for key in &keys {
        assert_eq!(bench.store.load(&call(), key).await.unwrap().as_ref(), Some(&first));
    }
}

#[tokio::test]
async fn a_record_of_another_layout_is_left_alone_until_it_is_deleted() {
    let mut bench = Bench::new().await;
    let (key, first) = (key(), record(None));
    assert_eq!(bench.store.create(&call(), &key, &first).await.unwrap(), Done);
    let _: i64 = bench.ask(&[b"SETRANGE", &name(&key), b"0", b"\x02"]).await;
    let answers = [
        bench.store.load(&call(), &key).await.map(|_| ()),
        bench.store.create(&call(), &key, &record(None)).await.map(|_| ()),
        bench.store.save(&call(), &key, first.version, &record(None)).await.map(|_| ()),
        bench.store.touch(&call(), &key, first.version, Timestamp::MAX).await.map(|_| ()),
        bench.store.delete(&call(), &key, Some(first.version)).await.map(|_| ()),
    ];
    for answer in answers {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt);
        assert!(error.to_string().contains("another layout"), "{error}");
    }
    assert_eq!(bench.store.delete(&call(), &key, None).await.unwrap(), Done);
    assert_eq!(bench.ask::<i64>(&[b"EXISTS", &name(&key)]).await, 0);
}

#[tokio::test]
async fn what_cannot_be_read_is_left_out_of_lists_and_is_removed_with_the_others() {
    let mut bench = Bench::new().await;
    let (ann, keys) = (principal(), [(); 5].map(|()| key()));
    for key in &keys {
        assert_eq!(bench.store.create(&call(), key, &record(Some(&ann))).await.unwrap(), Done);
    }
    // Another layout, a negative version, cut short, not a string.
    let _: i64 = bench.ask(&[b"SETRANGE", &name(&keys[0]), b"0", b"\x02"]).await;
    let _: i64 = bench.ask(&[b"SETRANGE", &name(&keys[1]), b"1", b"\xff"]).await;
    let _: () = bench.ask(&[b"SET", &name(&keys[2]), b"\x01garbage"]).await;
    let _: i64 = bench.ask(&[b"DEL", &name(&keys[3])]).await;
    let _: i64 = bench.ask(&[b"LPUSH", &name(&keys[3]), b"x"]).await;
    let listed = bench.store.sessions_of(&call(), &ann, NonZeroU32::MIN).await.unwrap();
    assert_eq!(listed.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [keys[4]]);
    let page = bench.store.scan(&call(), None, LIMIT).await.unwrap();
    assert!(page.records.iter().all(|(key, _)| !keys[..4].contains(key)));
    for key in &keys[2..4] {
        assert_eq!(bench.store.load(&call(), key).await.unwrap_err().kind(), ErrorKind::Corrupt);
        assert_eq!(bench.store.delete(&call(), key, None).await.unwrap(), Done);
    }
    assert_eq!(bench.store.delete_all(&call(), &ann, None).await.unwrap(), 3);
    for key in &keys {
        assert_eq!(bench.store.load(&call(), key).await.unwrap(), None);
    }
}

#[tokio::test]
async fn more_calls_than_the_queue_holds_wait_their_turn() {
    let bench = Bench::new().await;
    let store = RedisStore::builder(bench.server.url()).unwrap().namespace(NAMESPACE).queue(2).connections(3);
    let store = store.open().await.unwrap();
    let calls = (0..200).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.load(&call(), &key()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap(), None);
    }
}

#[tokio::test]
async fn a_full_queue_answers_within_the_time_out() {
    let bench = Bench::new().await;
    let proxy = Proxy::before(bench.server.address()).await.unwrap();
    let limit = Duration::from_millis(300);
    let through = bench.server.url_through(proxy.address());
    let store = RedisStore::builder(&through).unwrap().namespace(NAMESPACE).queue(1).timeout(limit);
    let store = store.open().await.unwrap();
    proxy.stall();
    let begun = std::time::Instant::now();
    let calls = (0..20).map(|_| {
        let store = store.clone();
        tokio::spawn(async move { store.load(&call(), &key()).await })
    });
    for call in calls.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    }
    assert!(begun.elapsed() < 3 * limit, "20 calls, one at a time, took {:?}", begun.elapsed());
}

#[tokio::test]
async fn a_write_that_waits_for_a_connection_is_not_sent_after_its_time_out() {
    let mut bench = Bench::new().await;
    let proxy = Proxy::before(bench.server.address()).await.unwrap();
    let through = bench.server.url_through(proxy.address());
    let builder = RedisStore::builder(&through).unwrap().namespace(NAMESPACE).timeout(Duration::from_millis(600));
    let store = builder.open().await.unwrap();
    let first = record(None);
    let keys: Vec<_> = (0..12).map(|_| key()).collect();
    for key in &keys {
        assert_eq!(store.create(&call(), key, &first).await.unwrap(), Done);
    }
    // The connection is reset, and a new one is not answered.
    proxy.stall();
    proxy.forget();
    let second = record(None);
    let saves = join_all(keys.iter().map(|key| async { store.save(&call(), key, first.version, &second).await }));
    let creates = join_all((0..12).map(|_| async { store.create(&call(), &key(), &second).await }));
    let (saves, creates) = tokio::join!(saves, creates);
    for outcome in saves.into_iter().chain(creates) {
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    let _: () = bench.ask(&[b"CONFIG", b"RESETSTAT"]).await;
    proxy.pass();
    // What had been left in a queue would be sent before this, on the same connection.
    while store.load(&call(), &key()).await.is_err() {}
    let stats: String = bench.ask(&[b"INFO", b"commandstats"]).await;
    assert!(!stats.contains("cmdstat_eval"), "{stats}");
    for key in &keys {
        assert_eq!(store.load(&call(), key).await.unwrap().as_ref(), Some(&first));
    }
}

#[tokio::test]
async fn a_wrong_password_is_config_and_not_shown() {
    let bench = Bench::new().await;
    let url = format!("redis://:xyzzy-not-it@{}?tls=false", bench.server.address());
    if !bench.server.password().is_empty() {
        let error = RedisStore::connect(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error}");
        assert!(!format!("{error} {error:?}").contains("xyzzy"));
    }
    let error = RedisStore::connect("redis://127.0.0.1:1/?timeout=1000").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn a_policy_that_evicts_is_reported() {
    let mut bench = Bench::new().await;
    let before: HashMap<String, String> = bench.ask(&[b"CONFIG", b"GET", b"maxmemory-policy"]).await;
    for (policy, reported) in [("noeviction", false), ("volatile-ttl", true), ("allkeys-lru", true)] {
        let _: String = bench.ask(&[b"CONFIG", b"SET", b"maxmemory-policy", policy.as_bytes()]).await;
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let guard = tracing::subscriber::set_default(subscriber);
        RedisStore::builder(bench.server.url()).unwrap().namespace(NAMESPACE).open().await.unwrap();
        drop(guard);
        let said = log.text();
        assert_eq!(said.contains("WARN") && said.contains(policy), reported, "{policy}: {said}");
        assert!(!said.contains("the clock of"), "both clocks are this machine's: {said}");
    }
    let before = &before["maxmemory-policy"];
    let _: String = bench.ask(&[b"CONFIG", b"SET", b"maxmemory-policy", before.as_bytes()]).await;
}

#[tokio::test]
async fn open_waits_for_a_server_that_starts_later() {
    let bench = Bench::new().await;
    let late = peers::late(bench.server.address(), 4).await.unwrap();
    let url = bench.server.url_through(late);
    let error = RedisStore::connect(&url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    // Further connections are refused.
    RedisStore::connect(&server::with(&url, "wait=30000")).await.unwrap();
}
