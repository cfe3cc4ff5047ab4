//! Tests of a store with several servers: which of them it uses, and what it says if it can use none.

mod common;

use common::Pair;
use session_conformance::fixtures::{key, now, put, read_in_every_way, record};
use session_conformance::peers::{self, Alias};
use session_conformance::server;
use session_conformance::testing::check_refusal;
use session_core::{ErrorKind, Outcome, Principal, Store};
use session_store_postgres::PostgresStore;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

/// Returns the URL of a list of servers.
fn at(pair: &Pair, hosts: &str, options: &str) -> String {
    let url = pair.url_of(0);
    let url = url.replace(&pair.addresses()[0], hosts);
    server::with(&url, options)
}

/// An address at which nothing listens.
const CLOSED: &str = "127.0.0.1:1";

#[tokio::test]
async fn of_several_hosts_the_one_that_takes_writes_is_used() {
    let pair = Pair::get();
    let [primary, standby] = pair.both();
    let silent = peers::silent().await.unwrap().to_string();
    for (hosts, options) in [
        (format!("{primary},{standby}"), "target_session_attrs=any"),
        (format!("{standby},{primary}"), "target_session_attrs=read-write"),
        (format!("{CLOSED},nowhere.invalid,{standby},{primary}"), "target_session_attrs=primary"),
        (format!("{silent},{primary}"), "load_balance_hosts=disable&timeout=2000"),
        (format!("{standby},{silent},{primary}"), "pool=1&timeout=3000"),
    ] {
        let store = PostgresStore::connect(&at(&pair, &hosts, &format!("namespace=test_hosts&{options}"))).await;
        let store = store.unwrap_or_else(|error| panic!("{hosts}: {error}"));
        let kept = record(b"x");
        put(&store, 1, &kept).await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept), "{hosts}");
        assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done, "{hosts}");
    }
    let [primary, standby] = pair.both().map(|address| {
        let (host, port) = address.split_once(':').unwrap();
        let options: PgConnectOptions = pair.url_of(0).parse().unwrap();
        options.host(host).port(port.parse().unwrap())
    });
    let store = PostgresStore::builder(standby).or_server(primary).namespace("test_hosts").open().await.unwrap();
    put(&store, 1, &record(b"x")).await;
}

#[tokio::test]
async fn a_server_that_takes_no_writes_is_refused_with_its_mend() {
    let pair = Pair::get();
    let standby = &pair.both()[1];
    let opened = PostgresStore::connect(&at(&pair, standby, "")).await;
    let mend = "connect to the primary, or name all servers, as in postgres://a:5432,b:5432/";
    check_refusal(opened, ErrorKind::Config, &["the server is a standby", mend], &[pair.password()]);
    for pooler in ["transaction", "session"] {
        let opened = PostgresStore::connect(&at(&pair, standby, &format!("pooler={pooler}"))).await;
        check_refusal(opened, ErrorKind::Config, &["the server is a standby", mend], &[pair.password()]);
    }
    let pool = PgPoolOptions::new().connect(&at(&pair, standby, "")).await.unwrap();
    check_refusal(PostgresStore::from_pool(pool.clone()).open().await, ErrorKind::Config, &[mend], &[]);
    let two = PostgresStore::from_pool(pool).or_server(pair.url_of(0).parse().unwrap());
    check_refusal(two.open().await, ErrorKind::Config, &["`or_server` is for connections of the store's own"], &[]);
}

#[tokio::test]
async fn if_no_host_can_be_used_one_error_says_why_for_each() {
    let pair = Pair::get();
    let [primary, standby] = pair.both();
    let silent = peers::silent().await.unwrap().to_string();
    let http = peers::http().await.unwrap().to_string();
    let hosts = format!("{CLOSED},{silent},nowhere.invalid:7,{http},{standby}");
    let parts = [
        "none of the servers can be used: 127.0.0.1:1 (nothing listens), ",
        &format!("{silent} (no answer within the time-out from the server), "),
        "nowhere.invalid:7 (no address is known for the server), ",
        &format!("{http} (the server does not speak the protocol of PostgreSQL; check host and port"),
        &format!("{standby} (the server is a standby"),
    ];
    let url = at(&pair, &hosts, "timeout=2000").replace("sslmode=disable", "sslmode=prefer");
    check_refusal(PostgresStore::connect(&url).await, ErrorKind::Unavailable, &parts, &[pair.password()]);
    // Standbys alone are no mistake, because one of them may be promoted.
    let url = at(&pair, &format!("{standby},{standby}"), "");
    check_refusal(PostgresStore::connect(&url).await, ErrorKind::Unavailable, &["is a standby"], &[]);
    let url = at(&pair, &format!("{primary},{standby}"), "").replace(pair.password(), "hunter2");
    let parts = [&*format!("{primary} (PostgreSQL answered: password"), &*format!("{standby} (PostgreSQL answered")];
    check_refusal(PostgresStore::connect(&url).await, ErrorKind::Config, &parts, &["hunter2", pair.password()]);
}

/// After a failover the former primary still answers, now read-only. No call reads from it.
#[tokio::test]
async fn no_connection_reads_from_a_server_that_was_demoted() {
    let pair = Pair::start().await;
    let [primary, standby] = pair.both();
    let alias = Alias::of(&primary).await.unwrap();
    let listed = PostgresStore::connect(&at(&pair, &format!("{primary},{standby}"), "")).await.unwrap();
    let named = PostgresStore::connect(&at(&pair, &alias.address().to_string(), "")).await.unwrap();
    let pooled = PostgresStore::connect(&at(&pair, &alias.address().to_string(), "pooler=transaction")).await.unwrap();
    // All of its connections are made before the failover.
    let application = PgPoolOptions::new().min_connections(4).max_connections(4);
    let application = application.connect(&at(&pair, &alias.address().to_string(), "")).await.unwrap();
    let shared = PostgresStore::from_pool(application).open().await.unwrap();
    let stores = [listed, named, pooled, shared];
    let ann = Principal::new("ann").unwrap();
    let mut old = record(b"old");
    old.principal = Some(ann.clone());
    put(&stores[0], 1, &old).await;
    for store in &stores {
        for found in read_in_every_way(store, &ann).await {
            assert_eq!(found.unwrap().as_ref(), Some(&old));
        }
    }
    pair.replicated().await;
    pair.promote().await;
    pair.fence().await;
    alias.lead_to(&standby);
    let mut new = record(b"new");
    new.principal = Some(ann.clone());
    // A write finds out by itself, and is sent to the new primary within the same call.
    assert_eq!(stores[0].save(&now(), &key(1), old.version, &new).await.unwrap(), Outcome::Done);
    for store in &stores {
        for found in read_in_every_way(store, &ann).await {
            assert_eq!(found.expect("the new primary is reached by the same call").as_ref(), Some(&new));
        }
    }
}

/// A server that an operator has made read-only, without another one: calls are refused, and served again afterwards.
#[tokio::test]
async fn a_read_only_server_is_unavailable_until_it_takes_writes() {
    let pair = Pair::start().await;
    for options in ["", "pooler=transaction"] {
        let store = PostgresStore::connect(&at(&pair, &pair.both()[0], options)).await.unwrap();
        let kept = record(b"x");
        put(&store, 1, &kept).await;
        pair.fence().await;
        let error = store.load(&now(), &key(1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        let error = store.delete(&now(), &key(1), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        pair.unfence().await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept));
        assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
    }
}
