//! Tests of a store that finds its server by Sentinel: mistakes, sentinels that are away, and failovers under load.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use session_conformance::{peers, server};
use session_core::{Error, ErrorKind, Outcome::Done, Store as _};
use session_store_redis::redis::Client;
use session_store_redis::{RedisStore, RedisStoreBuilder};

mod failover;
#[path = "../mistakes/fake.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod fake;
#[path = "../common/group.rs"]
mod group;
#[path = "../common/records.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod records;

#[path = "../common/rights.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod rights;

use group::Group;
use records::{NAMESPACE, call, key, record};

const TIME_OUT: Duration = Duration::from_secs(2);

fn builder(url: &str) -> RedisStoreBuilder {
    RedisStore::builder(url).unwrap().namespace(NAMESPACE).timeout(TIME_OUT)
}

/// Checks an error of opening a store, its words, and that it shows no secret.
fn is(mistake: &str, error: &Error, kind: ErrorKind, words: &[&str]) {
    assert_eq!(error.kind(), kind, "{mistake}: {error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "{mistake}: {error}");
    }
    assert!(!format!("{error} {error:?}").contains("xyzzy"), "{mistake}: {error:?}");
}

#[tokio::test]
async fn each_mistake_is_one_error_with_its_remedy() {
    use ErrorKind::{Config, Unavailable};
    let group = Group::new(|| Box::pin(server::redis_sentinel())).await;
    let (url, password) = (group.server.url(), group.server.password());
    let master = group.master().await;
    let own = format!("sentinel-password={password}");
    let sentinels = group.server.addresses().join(",");
    for (mistake, url, kind, words) in [
        (
            "name of the master",
            url.replace("/main", "/mian"),
            Config,
            &["no master of this name", "check the name"][..],
        ),
        (
            "sentinel's password",
            url.replace(&own, "sentinel-password=xyzzy"),
            Config,
            &["a sentinel rejected", "`sentinel-password`"],
        ),
        ("sentinel's user", format!("{url}&sentinel-user=xyzzy"), Config, &["a sentinel rejected", "`sentinel-user`"]),
        (
            "no password for the sentinel",
            url.replace(&own, "wait=0"),
            Config,
            &["a sentinel rejected", "`sentinel-password`"],
        ),
        ("master's password", url.replace(&format!(":{password}@"), ":xyzzy@"), Config, &["check the credentials"]),
        (
            "a server in place of the sentinels",
            url.replace(&sentinels, &master),
            Config,
            &["not that of a sentinel", "redis://"],
        ),
        (
            "no sentinel there",
            url.replace(&sentinels, "127.0.0.1:1,127.0.0.1:2"),
            Unavailable,
            &["no sentinel answers"],
        ),
        (
            "a sentinel in place of a server",
            format!("redis://:{password}@{}/?tls=false", group.server.address()),
            Config,
            &["is a sentinel", "redis+sentinel://"],
        ),
    ] {
        let error = builder(&url).open().await.expect_err(mistake);
        is(mistake, &error, kind, words);
    }
    let error = builder(url).node_at(&master, "127.0.0.1:1").open().await.unwrap_err();
    is("an address that leads nowhere", &error, Unavailable, &["cannot be reached", "`node_at`"]);
    let error = builder(&url.replace("/main?", "/main/99?")).open().await.unwrap_err();
    is("a database out of range", &error, Config, &["no database of this number"]);

    // The rights that the README grants on a sentinel are enough, and each is needed.
    let tell = async |command: &str| {
        for sentinel in 0..3 {
            group.ask::<()>(sentinel, command).await.unwrap();
        }
    };
    tell(&rights::sentinel_statement("xyzzy")).await;
    let watched = url.replace(&own, "sentinel-password=xyzzy&sentinel-user=watcher");
    builder(&watched).open().await.unwrap();
    for rule in ["sentinel|get-master-addr-by-name", "sentinel|master"] {
        tell(&format!("ACL SETUSER watcher -{rule}")).await;
        let error = builder(&watched).open().await.unwrap_err();
        is(rule, &error, Config, &["the sentinel's user lacks a right", rule]);
        tell(&format!("ACL SETUSER watcher +{rule}")).await;
    }

    // The builder has the same settings, and the client's own address is not used.
    let client = Client::open(format!("redis://:{password}@127.0.0.1:1/2")).unwrap();
    let store =
        RedisStore::from_client(client).namespace(NAMESPACE).sentinels("main", group.server.addresses().to_vec());
    let error = store.clone().open().await.unwrap_err();
    is("no login for the sentinels", &error, Config, &["a sentinel rejected"]);
    let store = store.sentinel_login(None, password).open().await.unwrap();
    let (key, first) = (key(), record(None));
    assert_eq!(store.create(&call(), &key, &first).await.unwrap(), Done);
    let by_url = builder(&url.replace("/main?", "/main/2?")).open().await.unwrap();
    assert_eq!(by_url.load(&call(), &key).await.unwrap(), Some(first));
}

/// Starts a server that has no session, and returns its address and the number of loads that it has answered.
async fn empty() -> (String, Arc<AtomicUsize>) {
    let loads = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&loads);
    let reply = move |command: &[String]| match command[0].as_str() {
        "GET" => {
            count.fetch_add(1, SeqCst);
            Some("$-1\r\n".to_owned())
        }
        _ => Some(fake::ready(command)),
    };
    (fake::start(reply).await, loads)
}

/// Starts a sentinel that names a master, and that takes a time for it once the master is another one than the first.
async fn sentinel(named: &Arc<Mutex<(u64, String)>>) -> String {
    let named = Arc::clone(named);
    fake::start(move |command| {
        let (epoch, master) = named.lock().unwrap().clone();
        let (_, port) = master.rsplit_once(':').unwrap();
        match (command[0].as_str(), command.get(1).map(String::as_str)) {
            ("SENTINEL", Some("GET-MASTER-ADDR-BY-NAME")) => {
                if epoch > 1 {
                    // sleep: as a sentinel that is farther away than the master.
                    std::thread::sleep(Duration::from_millis(100));
                }
                Some(format!("*2\r\n$9\r\n127.0.0.1\r\n${}\r\n{port}\r\n", port.len()))
            }
            ("SENTINEL", _) => Some(format!("%1\r\n+config-epoch\r\n+{epoch}\r\n")),
            _ => Some(fake::ready(command)),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_that_is_no_longer_named_is_not_believed() {
    let ((old, _), (new, loads)) = (empty().await, empty().await);
    let [changes, stays] = [1, 0].map(|epoch| Arc::new(Mutex::new((epoch, old.clone()))));
    let sentinels = [sentinel(&changes).await, sentinel(&changes).await, sentinel(&stays).await];
    let store = builder(&format!("redis+sentinel://{}/main", sentinels.join(","))).open().await.unwrap();
    assert_eq!(store.load(&call(), &key()).await.unwrap(), None);
    // The old master is there and says that it is one, as after a network was split. It answers before the sentinels do.
    *changes.lock().unwrap() = (2, new);
    // sleep: the proof that the old master is the master is to grow old.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let error = store.load(&call(), &key()).await.unwrap_err();
    is("an answer of the old master", &error, ErrorKind::Unavailable, &["name another master"]);
    // The third sentinel does not know of the failover, and is the first to answer.
    let reopened = builder(&format!("redis+sentinel://{}/main", sentinels.join(","))).open().await.unwrap();
    for (store, expected) in [(&store, 1), (&reopened, 2)] {
        let before = loads.load(SeqCst);
        assert_eq!(store.load(&call(), &key()).await.unwrap(), None);
        assert!(loads.load(SeqCst) > before, "store {expected} has asked the old master");
    }
}

#[tokio::test]
async fn sentinels_that_are_away_or_silent_hold_up_nothing() {
    let group = Group::new(|| Box::pin(server::valkey_sentinel())).await;
    let silent = peers::silent().await.unwrap();
    let others = |first: &str, second: &str| {
        let [one, ..] = group.server.addresses() else { panic!("three sentinels") };
        group.server.url().replace(&group.server.addresses().join(","), &format!("{first},{one},{second}"))
    };
    let silent = silent.to_string();
    // A majority decides at once, and less than that after 400 ms.
    let (majority, minority) = (Duration::from_millis(350), Duration::from_millis(900));
    for (first, second, limit) in [
        (&*silent, &*group.server.addresses()[1], majority),
        ("127.0.0.1:1", "127.0.0.1:2", majority),
        (&*silent, "127.0.0.1:1", minority),
        (&*silent, &*silent, minority),
    ] {
        let begun = Instant::now();
        let store = builder(&others(first, second)).open().await.unwrap();
        assert!(begun.elapsed() < limit, "opened after {:?}", begun.elapsed());
        let key = key();
        assert_eq!(store.create(&call(), &key, &record(None)).await.unwrap(), Done);
        // Calls after pauses and without them.
        for pause in [0, 0, 500, 1000, 0, 0] {
            // sleep: the proof that the master still is one is to grow old.
            tokio::time::sleep(Duration::from_millis(pause)).await;
            let begun = Instant::now();
            assert!(store.load(&call(), &key).await.unwrap().is_some());
            assert!(begun.elapsed() < limit, "a load took {:?}", begun.elapsed());
        }
    }
    let begun = Instant::now();
    let error = builder(&others(&silent, &silent).replace(group.server.address(), &silent)).open().await.unwrap_err();
    is("all are silent", &error, ErrorKind::Unavailable, &["no sentinel answers"]);
    assert!(begun.elapsed() < TIME_OUT + Duration::from_millis(500));
}
