//! Tests of opening a store: roles, layouts, and server settings that must have no effect.

mod common;

use std::num::NonZeroU32;
use std::time::Duration;

use common::Server;
use session_conformance::fixtures::{count, count_up, key, now, put, put_count, record};
use session_core::{Call, Clock, ErrorKind, Outcome, Principal, Store, SystemClock, hours, minutes, seconds};
use session_store_postgres::PostgresStore;
use sqlx::postgres::PgPoolOptions;
use tokio::time::timeout;

/// Returns the server's URL with these options.
fn url(options: &str) -> String {
    Server::get().url_with(options)
}

/// Opens a store on an empty namespace.
async fn fresh(namespace: &str, options: &str) -> PostgresStore {
    let url = url(&format!("namespace={namespace}{options}"));
    let store = PostgresStore::connect(&url).await.unwrap();
    Server::get().sql(&format!(r#"truncate "{namespace}""#)).await;
    store
}

async fn refused(options: &str) -> String {
    let error = PostgresStore::connect(&url(options)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error}");
    error.to_string()
}

#[tokio::test]
async fn an_opening_waits_for_another_one() {
    let server = Server::get();
    drop(fresh("test_turns", "").await);
    server.clean("test_turns").await;
    let mut other = server.foreign().await;
    let lock = "select pg_advisory_lock(7308604759847929716)";
    sqlx::raw_sql(lock).execute(&mut other).await.unwrap();
    let url = url("namespace=test_turns");
    let mut opening = std::pin::pin!(PostgresStore::connect(&url));
    // Statements in use wait for a lock for a fiftieth of the time-out, 100 ms.
    assert!(timeout(Duration::from_millis(300), &mut opening).await.is_err(), "it does not wait for its turn");
    sqlx::raw_sql("select pg_advisory_unlock(7308604759847929716)").execute(&mut other).await.unwrap();
    opening.await.unwrap();
}

#[tokio::test]
async fn another_time_zone_moves_no_instant() {
    let _server = Server::get();
    for zone in ["Pacific/Kiritimati", "America/St_Johns"] {
        let store = fresh("test_zone", &format!("&options[timezone]={zone}")).await;
        let (kept, mut gone) = (record(b"kept"), record(b"gone"));
        let past = SystemClock.now().minus(minutes(30));
        (gone.created_at, gone.expires_at) = (past, past.plus(minutes(29)));
        put(&store, 1, &kept).await;
        assert_eq!(store.create(&Call::new(past), &key(2), &gone).await.unwrap(), Outcome::Done);
        let purged = store.purge(&Call::new(SystemClock.now().plus(hours(20_000))), NonZeroU32::MAX).await.unwrap();
        assert_eq!(purged.removed, 1, "{zone}: what the server's clock calls live stays");
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept), "{zone}");
    }
}

/// Increments one number from sixteen tasks, half of them on each store, and checks that no increment is lost.
async fn count_on(one: &PostgresStore, two: &PostgresStore) {
    put_count(one).await;
    tokio::join!(count_up(one, 8, 10), count_up(two, 8, 10));
    assert_eq!(count(one).await, 160);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn serializable_by_default_refuses_no_call() {
    let _server = Server::get();
    let serializable = "options[default_transaction_isolation]=serializable";
    // First with the store's own connections, which set their isolation level, then with those of an application, which do not.
    let store = fresh("test_serial", &format!("&{serializable}")).await;
    count_on(&store, &store).await;
    assert_eq!(store.delete(&now(), &key(0), None).await.unwrap(), Outcome::Done);
    let pool = PgPoolOptions::new().max_connections(8).connect(&url(serializable)).await.unwrap();
    let (one, two) = (PostgresStore::from_pool(pool.clone()), PostgresStore::from_pool(pool.clone()));
    let (one, two) =
        (one.namespace("test_serial").open().await.unwrap(), two.namespace("test_serial").open().await.unwrap());
    count_on(&one, &two).await;
    let row: (String,) = sqlx::query_as("show default_transaction_isolation").fetch_one(&pool).await.unwrap();
    assert_eq!(row.0, "serializable");
}

#[tokio::test]
async fn without_create_the_tables_come_from_the_schema() {
    let _server = Server::get();
    Server::get().clean("test_schema").await;
    let error = refused("namespace=test_schema&create=false").await;
    assert!(error.contains("there is no table `test_schema` in schema `public`"), "{error}");
    let schema = PostgresStore::schema("test_schema").unwrap();
    Server::get().sql(&schema).await;
    Server::get().sql(&schema).await;
    let store = PostgresStore::connect(&url("namespace=test_schema&create=false")).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    Server::get().clean("test_schema").await;
}

#[tokio::test]
async fn a_role_that_may_create_nothing_is_told_what_is_missing() {
    let server = Server::get();
    drop(fresh("test_role", "").await);
    server.clean("test_role_absent").await;
    server
        .sql(
            "do $$ begin create role test_role_plain; exception when duplicate_object or unique_violation then end $$;
             revoke create on schema public from public;
             revoke all on test_role, \"session.layouts\" from test_role_plain",
        )
        .await;
    let plain = "&options[role]=test_role_plain";
    let error = refused(&format!("namespace=test_role_absent{plain}")).await;
    assert!(error.contains("the role may not create the table `test_role_absent`"), "{error}");
    let error = refused(&format!("namespace=test_role{plain}&create=false")).await;
    assert!(error.contains("may not read the table `session.layouts`"), "{error}");
    server.sql("grant select on \"session.layouts\" to test_role_plain").await;
    server.sql("grant select, delete on test_role to test_role_plain").await;
    let error = refused(&format!("namespace=test_role{plain}")).await;
    assert!(error.contains("grant it insert, update"), "{error}");
    server.sql("grant insert, update on test_role to test_role_plain").await;
    for create in ["true", "false"] {
        let options = format!("namespace=test_role{plain}&create={create}");
        let store = PostgresStore::connect(&url(&options)).await.unwrap();
        let record = record(b"x");
        put(&store, 1, &record).await;
        assert_eq!(store.save(&now(), &key(1), record.version, &record).await.unwrap(), Outcome::Done);
        assert_eq!(store.touch(&now(), &key(1), record.version, record.expires_at).await.unwrap(), Outcome::Done);
        assert_eq!(store.purge(&now(), NonZeroU32::MIN).await.unwrap().removed, 0);
        assert_eq!(store.delete_all(&now(), &Principal::new("absent").unwrap(), None).await.unwrap(), 0);
        assert_eq!(store.delete(&now(), &key(1), None).await.unwrap(), Outcome::Done);
    }
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    let server = Server::get();
    drop(fresh("test_layout", "").await);
    server.sql(r#"update "session.layouts" set layout = 2 where namespace = 'test_layout'"#).await;
    let error = refused("namespace=test_layout").await;
    assert!(error.contains("layout 2"), "{error}");
    // Another namespace of the same database has a layout of its own.
    drop(fresh("test_layout_other", "").await);
    server.clean("test_layout").await;
}

#[tokio::test]
async fn a_foreign_table_is_refused() {
    let server = Server::get();
    drop(fresh("test_columns", "").await);
    server.sql("alter table test_columns alter version type integer").await;
    let error = refused("namespace=test_columns").await;
    assert!(error.contains("has no column `version` of type bigint"), "{error}");
    server.clean("test_columns").await;
    server.sql("create table test_columns (id integer)").await;
    let error = refused("namespace=test_columns").await;
    assert!(error.contains("was not made by this store"), "{error}");
    server.clean("test_columns").await;
}

#[tokio::test]
async fn a_dropped_table_is_an_error_until_it_is_back() {
    let _server = Server::get();
    let store = fresh("test_dropped", "").await;
    put(&store, 1, &record(b"x")).await;
    Server::get().sql("drop table test_dropped").await;
    assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Config);
    Server::get().sql(&PostgresStore::schema("test_dropped").unwrap()).await;
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), None);
    put(&store, 1, &record(b"x")).await;
}

#[tokio::test]
async fn a_row_that_is_locked_is_unavailable_in_time_and_delays_no_other_call() {
    let _server = Server::get();
    let store = fresh("test_locked", "&timeout=2000").await;
    let (locked, free) = (record(b"locked"), record(b"free"));
    put(&store, 1, &locked).await;
    put(&store, 2, &free).await;
    let mut foreign = Server::get().foreign().await;
    sqlx::raw_sql("begin; select from test_locked where data = 'locked' for update")
        .execute(&mut foreign)
        .await
        .unwrap();
    let (call, one, two, newer) = (now(), key(1), key(2), record(b"newer"));
    let (stuck, done) =
        tokio::join!(store.save(&call, &one, locked.version, &newer), store.save(&call, &two, free.version, &newer));
    assert_eq!(stuck.unwrap_err().kind(), ErrorKind::Unavailable);
    assert_eq!(done.unwrap(), Outcome::Done);
    sqlx::raw_sql("rollback").execute(&mut foreign).await.unwrap();
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(locked.clone()));
    assert_eq!(store.save(&now(), &key(1), locked.version, &newer).await.unwrap(), Outcome::Done);
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    let _server = Server::get();
    for (options, part) in [
        ("pool=0", "pool must be"),
        ("queue=0", "queue must be"),
        ("timeout=0", "timeout must be"),
        ("namespace=pg_sessions", "begin with pg_"),
        ("dbname=there_is_none", "does not exist"),
    ] {
        let error = refused(options).await;
        assert!(error.contains(part), "{options}: {error}");
    }
    let error = PostgresStore::connect("postgres://127.0.0.1:1/x?timeout=1000").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    let _server = Server::get();
    let store = fresh("test_ended", "&application_name=test_ended").await;
    let kept = record(b"x");
    let version = kept.version;
    put(&store, 1, &kept).await;
    let mut foreign = Server::get().foreign().await;
    let ended = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where application_name = 'test_ended'";
    assert!(sqlx::query(ended).execute(&mut foreign).await.unwrap().rows_affected() > 0);
    assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept), "a read takes another connection by itself");
    let touched = store.touch(&now(), &key(1), version, SystemClock.now().plus(seconds(1))).await;
    assert_eq!(touched.unwrap(), Outcome::Done);
}
