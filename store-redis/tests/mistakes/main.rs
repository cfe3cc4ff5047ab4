//! Mistakes of operators. Each is one error of kind `Config` when the store is opened, with its remedy, or a warning.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use session_conformance::server::{self, Server};
use session_core::Outcome::Done;
use session_core::{Error, ErrorKind, Store as _, Timestamp};
use session_store_redis::RedisStore;
use session_store_redis::redis::{self, Client, FromRedisValue, aio::MultiplexedConnection};

mod fake;
#[path = "../common/records.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod records;

#[path = "../common/rights.rs"]
#[expect(dead_code, reason = "other tests use the rest")]
mod rights;

use records::{NAMESPACE, call, key, principal, record};

const LIMIT: NonZeroU32 = NonZeroU32::new(10).expect("it is not zero");

/// Opens the store of the tests' namespace, unless the URL names another.
async fn open(url: &str) -> Result<RedisStore, Error> {
    let mut url = url.to_owned();
    // The server of a test may be on another machine.
    let tls = if url.starts_with("rediss") { "true" } else { "false" };
    for (name, value) in [("namespace", NAMESPACE), ("timeout", "3000"), ("tls", tls)] {
        if !url.contains(&format!("{name}=")) {
            url = server::with(&url, &format!("{name}={value}"));
        }
    }
    RedisStore::connect(&url).await
}

/// Checks that the store cannot be opened, and that the error is `Config`, has all the words and shows no secret.
async fn is_refused(mistake: &str, url: &str, words: &[&str]) {
    let error = open(url).await.expect_err(mistake);
    assert_eq!(error.kind(), ErrorKind::Config, "{mistake}: {error:?}");
    for word in words {
        assert!(error.to_string().contains(word), "{mistake}: {error}");
    }
    assert!(!format!("{error} {error:?}").contains("xyzzy"), "{mistake}: {error:?}");
}

/// Direct connections to the nodes of a server, as its administrator.
struct Nodes(Vec<MultiplexedConnection>);

impl Nodes {
    async fn of(server: &Server) -> Self {
        let mut nodes = Vec::new();
        for address in server.addresses() {
            let client = Client::open(format!("redis://:{}@{address}", server.password())).unwrap();
            nodes.push(client.get_multiplexed_async_connection().await.unwrap());
        }
        Self(nodes)
    }

    /// Sends a command, written with spaces, to each node.
    async fn each<T: FromRedisValue>(&mut self, command: &str) -> Vec<T> {
        let words: Vec<_> = command.split_ascii_whitespace().collect();
        let mut answers = Vec::new();
        for node in &mut self.0 {
            answers.push(redis::cmd(words[0]).arg(&words[1..]).query_async(node).await.unwrap());
        }
        answers
    }

    async fn tell(&mut self, command: &str) {
        self.each::<()>(command).await;
    }
}

/// Returns the URL for the user `shop`.
fn as_shop(server: &Server) -> String {
    server.url().replace(&format!(":{}@", server.password()), "shop:xyzzy@")
}

#[tokio::test]
async fn a_mistake_in_the_url_or_on_the_server_is_config_with_its_remedy() {
    let server = server::redis().await.unwrap();
    let mut nodes = Nodes::of(&server).await;
    let (at, password) = (server.address().to_owned(), server.password().to_owned());
    let credentials = &["check the credentials"][..];
    let url = |rest: &str| format!("redis://:{password}@{at}{rest}");
    for (mistake, url, words) in [
        ("wrong password", format!("redis://:xyzzy@{at}"), credentials),
        ("unknown user", format!("redis://xyzzy:{password}@{at}"), credentials),
        ("no password", format!("redis://{at}"), credentials),
        ("database out of range", url("/99"), &["no database of this number", "`databases`"]),
        ("a name as database", url("/xyzzy"), &["of the form redis://"]),
        ("unknown option", url("?name=a"), &["known are tls (true or false), namespace, timeout"]),
        ("a namespace with a space", url("?namespace=a%20b"), &["a namespace must"]),
        ("no cluster", format!("redis+cluster://:{password}@{at}"), &["not part of a cluster", "redis://"]),
        ("TLS on a port without it", format!("rediss://:xyzzy@{at}"), &["does not use TLS", "redis://"]),
        ("sentinel", format!("redis+sentinel://:xyzzy@{at}"), &["of the form redis+sentinel://"]),
    ] {
        is_refused(mistake, &url, words).await;
    }
    let error = RedisStore::connect("redis://:xyzzy@db.example").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "another machine without TLS");
    for (mistake, setting, undo, words) in [
        ("a replica", "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE", &["replica", "primary"][..]),
        (
            "a replica that takes writes",
            "CONFIG SET replica-read-only no",
            "CONFIG SET replica-read-only yes",
            &["replica", "primary"],
        ),
    ] {
        nodes.tell("REPLICAOF 127.0.0.1 1").await;
        nodes.tell(setting).await;
        is_refused(mistake, server.url(), words).await;
        nodes.tell(undo).await;
        nodes.tell("REPLICAOF NO ONE").await;
    }
    assert!(open(server.url()).await.is_ok());
    // Protected mode refuses other machines, among them this one, which reaches the container through its network.
    let _: () = redis::cmd("CONFIG").arg(&["SET", "requirepass", ""]).query_async(&mut nodes.0[0]).await.unwrap();
    nodes.tell("CONFIG SET protected-mode yes").await;
    is_refused("protected mode", &format!("redis://{at}"), &["protected mode", "set a password"]).await;
}

#[tokio::test]
async fn what_is_no_redis_or_too_old_is_config() {
    let http = fake::start(|_| Some("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned())).await;
    is_refused("a web server", &format!("redis://:xyzzy@{http}"), &["not in the Redis protocol", "host and port"])
        .await;
    let info = "redis_version:6.2.14\r\nredis_mode:standalone\r\n";
    let old = fake::start(move |command| match command[0].as_str() {
        "INFO" => Some(format!("${}\r\n{info}\r\n", info.len())),
        _ => Some(fake::ready(command)),
    });
    is_refused("an old server", &format!("redis://{}", old.await), &["too old", "7.0"]).await;
    let older = fake::start(|command| match command[0].as_str() {
        "HELLO" => Some("-ERR unknown command `HELLO`, with args beginning with: `3`, \r\n".to_owned()),
        _ => Some(fake::ready(command)),
    });
    is_refused("an older server", &format!("redis://{}", older.await), &["HELLO", "7.0"]).await;
}

#[tokio::test]
async fn tls_that_only_one_side_expects_and_an_unknown_certificate_are_config() {
    let secure = fake::start_with_tls().await;
    is_refused("no TLS", &format!("redis://:xyzzy@{secure}"), &["requires TLS", "rediss://"]).await;
    let words = ["certificate", "from_client"];
    is_refused("a certificate of an unknown authority", &format!("rediss://:xyzzy@{secure}"), &words).await;
    let plain = fake::start(|command| Some(fake::ready(command))).await;
    is_refused("TLS", &format!("rediss://:xyzzy@{plain}"), &["does not use TLS", "redis://"]).await;
    // The URL's fragment accepts any certificate, so all else is in order.
    let url = format!("rediss://:xyzzy@{secure}?namespace={NAMESPACE}#insecure");
    RedisStore::connect(&url).await.unwrap();
}

#[tokio::test]
async fn a_command_that_the_server_does_not_know_is_named() {
    let server = server::redis_with(&["--rename-command", "EVAL", "", "--rename-command", "UNLINK", "remove"]).await;
    is_refused("renamed", server.unwrap().url(), &["does not know EVAL, UNLINK", "`rename-command`"]).await;
    let server = server::redis_with(&["--rename-command", "PEXPIRETIME", ""]).await;
    is_refused("as before 7.0", server.unwrap().url(), &["too old"]).await;
    let server = server::redis_with(&["--rename-command", "HELLO", ""]).await;
    is_refused("no HELLO", server.unwrap().url(), &["HELLO", "`rename-command"]).await;
    // The store does not need these.
    let mut arguments = Vec::new();
    for name in ["INFO", "CONFIG", "SCRIPT", "CLUSTER", "KEYS", "FLUSHALL", "FLUSHDB", "DEBUG", "CLIENT", "DEL"] {
        arguments.extend(["--rename-command", name, ""]);
    }
    let server = server::redis_with(&arguments).await.unwrap();
    let store = open(server.url()).await.unwrap();
    works(&store).await;
}

/// Makes each kind of call once.
async fn works(store: &RedisStore) {
    let (key, ann) = (key(), principal());
    let first = record(Some(&ann));
    assert_eq!(store.create(&call(), &key, &first).await.unwrap(), Done);
    let second = record(Some(&principal()));
    assert_eq!(store.save(&call(), &key, first.version, &second).await.unwrap(), Done);
    assert_eq!(store.touch(&call(), &key, second.version, Timestamp::MAX).await.unwrap(), Done);
    assert!(store.load(&call(), &key).await.unwrap().is_some());
    assert!(store.sessions_of(&call(), &ann, LIMIT).await.unwrap().is_empty());
    assert_eq!(store.delete_all(&call(), second.principal.as_ref().unwrap(), None).await.unwrap(), 1);
    assert_eq!(store.create(&call(), &key, &first).await.unwrap(), Done);
    let mut page = store.scan(&call(), None, LIMIT).await.unwrap();
    while let Some(next) = page.next.take() {
        page = store.scan(&call(), Some(next), LIMIT).await.unwrap();
    }
    assert_eq!(store.delete(&call(), &key, Some(first.version)).await.unwrap(), Done);
    let several = [(); 8].map(|()| records::key());
    for loaded in
        futures_util::future::join_all(several.iter().map(|key| async { store.load(&call(), key).await })).await
    {
        assert_eq!(loaded.unwrap(), None);
    }
}

#[tokio::test]
async fn the_rights_of_the_readme_are_enough_and_each_is_needed() {
    let servers = [
        (server::redis().await.unwrap(), false),
        (server::valkey().await.unwrap(), false),
        (server::redis_cluster().await.unwrap(), true),
    ];
    for (server, of_cluster) in servers {
        let mut nodes = Nodes::of(&server).await;
        let rules = rights::rules(of_cluster);
        nodes.tell(&rights::statement(of_cluster, "xyzzy", NAMESPACE)).await;
        works(&open(&as_shop(&server)).await.unwrap()).await;
        for rule in &rules {
            let rule = rule.as_str();
            nodes.tell(&format!("ACL SETUSER shop -{}", &rule[1..])).await;
            if rule == "+cluster|slots" {
                is_refused(rule, &as_shop(&server), &["lacks a permission"]).await;
            } else {
                is_refused(rule, &as_shop(&server), &["lacks rights", &format!("`{rule}`"), "ACL SETUSER"]).await;
            }
            nodes.tell(&format!("ACL SETUSER shop {rule}")).await;
        }
        for keys in ["~other:*", &format!("%R~{NAMESPACE}:*"), &format!("~{NAMESPACE}:s:*")] {
            nodes.tell(&format!("ACL SETUSER shop resetkeys {keys}")).await;
            is_refused(keys, &as_shop(&server), &["lacks rights", &format!("`~{NAMESPACE}:*`")]).await;
        }
    }
}

#[tokio::test]
async fn rights_and_passwords_that_change_in_use_are_an_outage() {
    let server = server::redis().await.unwrap();
    let mut nodes = Nodes::of(&server).await;
    let all = rights::statement(false, "xyzzy", NAMESPACE);
    nodes.tell(&all).await;
    let store = open(&as_shop(&server)).await.unwrap();
    let ann = principal();
    for change in [
        "ACL SETUSER shop -evalsha",
        "ACL SETUSER shop -set",
        "ACL SETUSER shop -getrange",
        "ACL SETUSER shop resetkeys",
        "ACL SETUSER shop resetpass >other",
        "ACL DELUSER shop",
    ] {
        nodes.tell(change).await;
        if change.contains("resetpass") {
            let _: i64 = nodes.each("CLIENT KILL USER shop").await.remove(0);
        }
        let error = store.create(&call(), &key(), &record(Some(&ann))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{change}: {error:?}");
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(ann.as_str()) && !shown.contains("shop"), "{change}: {shown}");
        nodes.tell(&all).await;
        assert_eq!(store.create(&call(), &key(), &record(Some(&ann))).await.unwrap(), Done, "{change}");
    }
}

#[tokio::test]
async fn a_password_that_is_rotated_is_asked_for_by_each_new_connection() {
    for (server, of_cluster) in
        [(server::redis().await.unwrap(), false), (server::redis_cluster().await.unwrap(), true)]
    {
        let mut nodes = Nodes::of(&server).await;
        nodes.tell(&rights::statement(of_cluster, "first", NAMESPACE)).await;
        let secret = Arc::new(Mutex::new(Ok("first")));
        let asked = Arc::clone(&secret);
        let builder = RedisStore::builder(&as_shop(&server)).unwrap();
        let builder = builder.namespace(NAMESPACE).password_from(move || {
            let secret = asked.lock().unwrap().clone();
            async move { secret.map(str::to_owned) }
        });
        let store = builder.clone().open().await.unwrap();
        let (key, record) = (key(), record(None));
        assert_eq!(store.create(&call(), &key, &record).await.unwrap(), Done);

        nodes.tell("ACL SETUSER shop resetpass >second").await;
        let kill = "CLIENT KILL USER shop";
        *secret.lock().unwrap() = Ok("second");
        nodes.each::<i64>(kill).await;
        let loaded = loop {
            // A call that met the end of its connection is an outage; the next one has a new connection.
            match store.load(&call(), &key).await {
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                loaded => break loaded.unwrap(),
            }
        };
        assert_eq!(loaded, Some(record));

        *secret.lock().unwrap() = Err(Error::fixed(ErrorKind::Config, "the vault refuses"));
        nodes.each::<i64>(kill).await;
        let error = store.load(&call(), &key).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
        let error = builder.open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains("the vault refuses"), "{error}");
    }
}

#[tokio::test]
async fn a_server_that_loads_its_data_is_waited_for() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let loading = fake::start(move |command| match command[0].as_str() {
        "GET" if count.fetch_add(1, Ordering::Relaxed) < 3 => {
            Some("-LOADING Redis is loading the dataset in memory\r\n".to_owned())
        }
        _ => Some(fake::ready(command)),
    });
    let loading = loading.await;
    open(&format!("redis://{loading}")).await.unwrap();
    assert_eq!(asked.load(Ordering::Relaxed), 4);
    let never = fake::start(|command| match command[0].as_str() {
        "GET" => Some("-LOADING Redis is loading the dataset in memory\r\n".to_owned()),
        _ => Some(fake::ready(command)),
    });
    let error = open(&format!("redis://{}?timeout=500", never.await)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("loading its data"), "{error}");
}

#[tokio::test]
async fn fewer_connections_than_the_store_wants_serve_its_calls() {
    let server = server::redis().await.unwrap();
    let mut nodes = Nodes::of(&server).await;
    // One is the administrator's.
    nodes.tell("CONFIG SET maxclients 3").await;
    let store = RedisStore::builder(server.url()).unwrap().namespace(NAMESPACE).connections(8).open().await.unwrap();
    let calls = (0..200).map(|_| async { store.create(&call(), &key(), &record(None)).await });
    for created in futures_util::future::join_all(calls).await {
        assert_eq!(created.unwrap(), Done);
    }
    let error = open(&server.url_with("timeout=500")).await.unwrap_err();
    // The server closes the connection at once, so that its answer can be lost.
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error:?}");
}
