//! Tests behind PgBouncer that are no clauses: other clients in the same sessions of the server, and what `pooler` means.

mod common;

use common::Pooled;
use session_conformance::fixtures::{count_up, key, now, put, put_count, record, record_of};
use session_conformance::testing::{check_refusal, count_among_instances};
use session_core::{ErrorKind, Outcome, Principal, Result, Store, Version};
use session_store_postgres::{Pooler, PostgresStore};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _};
use tokio::task::JoinSet;

/// Positions of the PgBouncers.
const TRANSACTION: usize = 0;
const SILENT: usize = 1;
const SESSION: usize = 2;

/// Number of the server's sessions that other clients change.
const SESSIONS: usize = 4;

/// Settings that another client leaves in a session, each of which would change what some statement or its answer means.
const LEFT_BEHIND: &[&str] = &[
    "standard_conforming_strings = off",
    "bytea_output = escape",
    "client_encoding = latin1",
    "datestyle = 'SQL, DMY'",
    "default_transaction_isolation = serializable",
    "array_nulls = off",
    "transform_null_equals = on",
    "backslash_quote = off",
    "search_path = ''",
    "lock_timeout = 0",
    "exit_on_error = off",
];

async fn run(client: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(client).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Leaves settings, prepared statements and tables in several sessions of the server, and lets the next client have them.
async fn leave_behind(servers: &Pooled, namespace: &str) {
    let mut strangers = Vec::new();
    for _ in 0..SESSIONS {
        strangers.push(servers.foreign(TRANSACTION, "conformance").await);
    }
    // All sessions are taken at the same time, so each is another one.
    for stranger in &mut strangers {
        run(stranger, "begin").await;
    }
    for stranger in &mut strangers {
        for setting in LEFT_BEHIND {
            run(stranger, &format!("set {setting}")).await;
        }
        for number in 0..4 {
            run(stranger, &format!("prepare sqlx_s_{number} as select 'of another client'::text")).await;
        }
        run(stranger, &format!("create temporary table \"{namespace}\" (key bytea, version text)")).await;
        run(stranger, "commit").await;
    }
}

/// Creates, saves and loads sessions from several tasks. Returns the number of wrong answers and errors.
async fn use_store(store: &PostgresStore, tasks: u32) -> usize {
    let mut running = JoinSet::new();
    for n in 0..tasks {
        let store = store.clone();
        running.spawn(async move { round(&store, 100 + n).await });
    }
    running.join_all().await.into_iter().filter(|right| !matches!(right, Ok(true))).count()
}

/// Returns whether one session was created, saved, read and listed as it should be.
async fn round(store: &PostgresStore, n: u32) -> Result<bool> {
    let name = format!("é\\'{n}");
    let (call, key, mut kept) = (now(), key(n), record_of(&name));
    let mut right = store.create(&call, &key, &kept).await? == Outcome::Done;
    let before = std::mem::replace(&mut kept.version, Version::random());
    right &= store.save(&call, &key, before, &kept).await? == Outcome::Done;
    right &= store.load(&call, &key).await? == Some(kept.clone());
    let principal = Principal::new(&name)?;
    let listed = store.sessions_of(&call, &principal, std::num::NonZeroU32::MAX).await?;
    right &= listed == [(key, kept)];
    Ok(right && store.delete_all(&call, &principal, None).await? == 1)
}

#[tokio::test]
async fn what_other_clients_leave_in_the_servers_sessions_changes_no_answer() {
    let servers = Pooled::start().await.unwrap();
    leave_behind(&servers, "test_strangers").await;
    let url = servers.pooler.url_of(TRANSACTION) + "&namespace=test_strangers&schema=public";
    let store = PostgresStore::connect(&url).await.unwrap();
    assert_eq!(use_store(&store, 40).await, 0);
    let other = PostgresStore::connect(&url).await.unwrap();
    count_among_instances(store, other).await;
    // Nothing of the store stays for other clients: each session has the settings that the last client has set.
    let mut clients = Vec::new();
    for _ in 0..2 * SESSIONS {
        let mut client = servers.foreign(TRANSACTION, "conformance").await;
        run(&mut client, "begin").await;
        let left = "select current_setting('statement_timeout'), current_setting('row_security'),
                    (select count(*) from pg_prepared_statements where name !~ '^sqlx_s_[0-3]$')";
        let row = client.fetch_one(sqlx::raw_sql(left)).await.unwrap();
        assert_eq!((row.get(0), row.get(1), row.get(2)), ("0", "on", 0_i64));
        clients.push(client);
    }
    // A store that relies on its sessions fails here, so the sessions do change between statements.
    let relying = PostgresStore::connect(&format!("{url}&pooler=session")).await;
    let failed = match &relying {
        Ok(store) => use_store(store, 40).await,
        Err(_) => 40,
    };
    assert!(failed > 0, "a store with state in its sessions gives right answers, so this test proves nothing");
    servers.server.clean("test_strangers").await;
}

#[tokio::test]
async fn a_pooler_is_found_out_by_what_it_refuses_and_by_what_it_drops() {
    let servers = Pooled::start().await.unwrap();
    for node in [TRANSACTION, SILENT, SESSION] {
        let url = servers.pooler.url_of(node) + "&namespace=test_found_out";
        let store = PostgresStore::connect(&url).await.unwrap();
        assert_eq!(use_store(&store, 20).await, 0, "{node}");
        let error = PostgresStore::connect(&format!("{url}&pooler=none")).await;
        check_refusal(error, ErrorKind::Config, &["a pooler stands before PostgreSQL", "leave out pooler=none"], &[]);
        let error = PostgresStore::connect(&format!("{url}&options=-c%20work_mem%3D8MB")).await;
        check_refusal(error, ErrorKind::Config, &["a pooler passes no options on", "set them on the role"], &[]);
    }
    // A server itself may be used as if it were behind a pooler.
    for pooler in ["transaction", "session", "none"] {
        let url = servers.server.url_with(&format!("namespace=test_found_out&pooler={pooler}"));
        let store = PostgresStore::connect(&url).await.unwrap();
        assert_eq!(use_store(&store, 20).await, 0, "{pooler}");
    }
    servers.server.clean("test_found_out").await;
}

#[tokio::test]
async fn a_pools_connections_through_a_pooler_need_no_session_either() {
    let servers = Pooled::start().await.unwrap();
    let options: PgConnectOptions = servers.pooler.url_of(TRANSACTION).parse().unwrap();
    let pool = PgPoolOptions::new().max_connections(4).connect_lazy_with(options.extra_float_digits(None));
    let store = PostgresStore::from_pool(pool).namespace("test_bounced_pool").pooler(Pooler::Transaction);
    let store = store.open().await.unwrap();
    assert_eq!(use_store(&store, 40).await, 0);
    put_count(&store).await;
    count_up(&store, 4, 20).await;
    servers.server.clean("test_bounced_pool").await;
}

#[tokio::test]
async fn the_limits_of_a_call_hold_behind_a_pooler() {
    let servers = Pooled::start().await.unwrap();
    for (node, options) in [(TRANSACTION, ""), (SESSION, "&pooler=session")] {
        let namespace = format!("test_bounced_lock_{node}");
        let url = format!("{}&namespace={namespace}&timeout=1000{options}", servers.pooler.url_of(node));
        let store = PostgresStore::connect(&url).await.unwrap();
        let kept = record(b"x");
        put(&store, 1, &kept).await;
        let mut locking = servers.server.foreign().await;
        run(&mut locking, &format!("begin; select from \"{namespace}\" for update")).await;
        let error = store.delete(&now(), &key(1), None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        // The server has ended the statement, so nothing of it happens when the lock is gone.
        let waiting =
            "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and query like '%' || $1 || '%'";
        let mut found = 1_i64;
        while found > 0 {
            found = sqlx::query_scalar(waiting).bind(&namespace).fetch_one(&mut locking).await.unwrap();
        }
        run(&mut locking, "rollback").await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept));
        locking.close().await.unwrap();
        servers.server.clean(&namespace).await;
    }
}
