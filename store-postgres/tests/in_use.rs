//! Tests of a store in use: locks of other clients, networks that fail in the middle of a batch, too few connections.

mod common;

use std::time::Duration;

use common::Server;
use session_conformance::fixtures::{begin, key, now, put, record};
use session_conformance::locked::{FREE, others_are_served, put_all};
use session_conformance::proxy::Proxy;
use session_conformance::server;
use session_core::{ErrorKind, Outcome, Principal, Store};
use session_store_postgres::PostgresStore;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Opens a store on an empty namespace.
async fn fresh(namespace: &str, options: &str) -> PostgresStore {
    let store =
        PostgresStore::connect(&Server::get().url_with(&format!("namespace={namespace}{options}"))).await.unwrap();
    Server::get().sql(&format!(r#"truncate "{namespace}""#)).await;
    store
}

async fn run(foreign: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(foreign).await.unwrap();
}

/// Waits until statements for the namespace wait for locks on this many connections.
async fn waiting(namespace: &str, connections: usize) {
    let count = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%' || $1 || '%'";
    let mut foreign = Server::get().foreign().await;
    loop {
        let found: i64 = sqlx::query_scalar(count).bind(namespace).fetch_one(&mut foreign).await.unwrap();
        if usize::try_from(found).unwrap() >= connections {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// Runs `lock` in a transaction of another client, and checks that other calls are served until it ends.
async fn served_while_locked(namespace: &str, locked: u32, writes: bool, lock: &str) {
    // Longer than the test takes.
    let store = fresh(namespace, "&timeout=60000").await;
    let (locked, free) = (put_all(&store, 0, locked).await, put_all(&store, FREE, 20).await);
    let mut foreign = Server::get().foreign().await;
    run(&mut foreign, &format!("begin; {lock}")).await;
    let waiting = waiting(namespace, locked.len().min(2));
    others_are_served(&store, &locked, &free, writes, waiting, async { run(&mut foreign, "rollback").await }).await;
}

#[tokio::test]
async fn one_locked_row_holds_up_no_other_call() {
    let _server = Server::get();
    let lock = "select from test_row where data = 'record 0' for update";
    served_while_locked("test_row", 1, true, lock).await;
}

#[tokio::test]
async fn many_locked_rows_hold_up_no_other_call() {
    let _server = Server::get();
    let lock = "select from test_rows where data like 'record __' or data like 'record _' for update";
    served_while_locked("test_rows", 64, true, lock).await;
}

#[tokio::test]
async fn a_lock_of_the_table_that_writes_wait_for_holds_up_no_read() {
    let _server = Server::get();
    served_while_locked("test_share", 20, false, "lock table test_share in share mode").await;
}

#[tokio::test]
async fn the_server_gives_up_what_its_caller_has_given_up() {
    let _server = Server::get();
    let store = fresh("test_given_up", "&timeout=1500&application_name=test_given_up").await;
    let records = put_all(&store, 0, 10).await;
    let mut foreign = Server::get().foreign().await;
    run(&mut foreign, "begin; select from test_given_up for update").await;
    let call = now();
    let keys: Vec<_> = (0..10).map(key).collect();
    let mut saves = Vec::new();
    for (key, record) in keys.iter().zip(&records) {
        saves.push(begin(store.save(&call, key, record.version, record)).await);
    }
    for save in saves {
        let error = save.await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    }
    // The lock is held until none of the statements waits for it any more, so none can land after it.
    let waiting = "select count(*) from pg_stat_activity where application_name = 'test_given_up' and state = 'active'";
    // A transaction sees the activity of its first look, so this takes a connection without one.
    let mut looking = Server::get().foreign().await;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut looking).await.unwrap() > 0 {}
    run(&mut foreign, "rollback").await;
    for (key, record) in keys.iter().zip(&records) {
        assert_eq!(store.load(&now(), key).await.unwrap().as_ref(), Some(record));
        assert_eq!(store.save(&now(), key, record.version, record).await.unwrap(), Outcome::Done);
    }
}

#[tokio::test]
async fn locks_of_a_process_that_vanished_are_free_within_the_time_out() {
    let container = Server::get();
    let direct = fresh("test_vanished", "&timeout=6000").await;
    let proxy = Proxy::before(container.address()).await.unwrap();
    let options = "namespace=test_vanished&timeout=6000";
    let url = server::with(&container.url_through(proxy.address()), options);
    let vanishing = PostgresStore::connect(&url).await.unwrap();
    let (before, between, after) = (record(b"before"), record(b"between"), record(b"after"));
    put(&direct, 1, &before).await;
    // Prepares the statement on the connection that is used next.
    assert_eq!(vanishing.save(&now(), &key(1), before.version, &between).await.unwrap(), Outcome::Done);
    // The message that ends the implicit transaction. The server has changed the row by then and waits for it.
    proxy.stall_at(b"S\0\0\0\x04");
    let version = between.version;
    let lost = tokio::spawn(async move { vanishing.save(&now(), &key(1), version, &record(b"lost")).await });
    proxy.stalled().await;
    assert_eq!(direct.save(&now(), &key(1), version, &after).await.unwrap(), Outcome::Done);
    assert_eq!(lost.await.unwrap().unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(direct.load(&now(), &key(1)).await.unwrap(), Some(after));
}

#[tokio::test]
async fn with_fewer_connections_than_the_pool_wants_all_calls_are_served() {
    let server = Server::get();
    let main = fresh("test_few", "").await;
    put_all(&main, 0, 64).await;
    server
        .sql(&format!(
            "do $$ begin create role test_few_role login; exception when duplicate_object or unique_violation then end $$;
             alter role test_few_role connection limit 2 password '{}';
             grant all on test_few, \"session.layouts\" to test_few_role",
            server.password()
        ))
        .await;
    let options = server.url().parse::<PgConnectOptions>().unwrap().username("test_few_role");
    let store = PostgresStore::builder(options).namespace("test_few").pool(8).create(false).open().await.unwrap();
    // Both connections are taken by saves that wait for locked rows. A load waits for one of them.
    let mut foreign = server.foreign().await;
    run(&mut foreign, "begin; select from test_few where data in ('record 0', 'record 1') for update").await;
    let mut waiting = JoinSet::new();
    for n in 0..2 {
        let (store, stored) = (store.clone(), main.load(&now(), &key(n)).await.unwrap().unwrap());
        waiting.spawn(async move { store.save(&now(), &key(n), stored.version, &record(b"newer")).await });
    }
    timeout(Duration::from_secs(4), self::waiting("test_few", 2)).await.expect("the saves wait for the locks");
    let (call, third) = (now(), key(2));
    let mut load = std::pin::pin!(store.load(&call, &third));
    // A refused load would be answered by now.
    assert!(
        timeout(Duration::from_millis(300), &mut load).await.is_err(),
        "a load is answered beside full connections"
    );
    run(&mut foreign, "rollback").await;
    assert!(load.await.unwrap().is_some());
    while let Some(saved) = waiting.join_next().await {
        assert_eq!(saved.unwrap().unwrap(), Outcome::Done);
    }
    let mut tasks = JoinSet::new();
    for n in 0..64 {
        let store = store.clone();
        tasks.spawn(async move {
            for _ in 0..5 {
                let stored = store.load(&now(), &key(n)).await.unwrap().unwrap();
                let saved = store.save(&now(), &key(n), stored.version, &record(b"new")).await;
                assert_eq!(saved.unwrap(), Outcome::Done);
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test]
async fn what_a_delete_all_has_removed_stays_removed_when_it_fails() {
    let _server = Server::get();
    let store = fresh("test_steps", "&timeout=3000").await;
    let later = record(b"x").expires_at.as_millis();
    let insert = format!(
        "insert into test_steps select decode(lpad(to_hex(n), 64, '0'), 'hex'), 1, 0, {later}, {later}, 'ann', '' from generate_series(1, 2500) n"
    );
    let mut foreign = Server::get().foreign().await;
    run(&mut foreign, &insert).await;
    run(&mut foreign, "begin; select from test_steps order by key desc limit 1 for update").await;
    let ann = Principal::new("ann").unwrap();
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap_err().kind(), ErrorKind::Unavailable);
    let waiting =
        "select count(*) from pg_stat_activity where query like 'with found%test_steps%' and state = 'active'";
    // A transaction sees the activity of its first look, so this takes a connection without one.
    let mut looking = Server::get().foreign().await;
    while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&mut looking).await.unwrap() > 0 {}
    let left: i64 = sqlx::query_scalar("select count(*) from test_steps").fetch_one(&mut foreign).await.unwrap();
    assert!((1..=1_000).contains(&left), "{left}");
    run(&mut foreign, "rollback").await;
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap(), u64::try_from(left).unwrap());
    assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap(), 0);
}
