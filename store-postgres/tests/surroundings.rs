//! Tests on tables and connections that are not as the store made them.

mod common;

use common::{Prepared, Server};
use session_conformance::fixtures::{key, now, put, record, record_of};
use session_conformance::testing::{STATEMENTS, clauses_hold};
use session_core::{ErrorKind, Principal, Store};
use session_store_postgres::PostgresStore;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _};

/// Settings of a role, each of which changes what some statement means, or whether and how it runs.
const HOSTILE: &[&str] = &[
    "default_transaction_isolation = serializable",
    "default_transaction_deferrable = on",
    "statement_timeout = 1",
    "lock_timeout = 1",
    "row_security = on",
    "exit_on_error = on",
    "plan_cache_mode = force_custom_plan",
    "jit = on",
    "jit_above_cost = 0",
    "standard_conforming_strings = off",
    "backslash_quote = off",
    "escape_string_warning = on",
    "transform_null_equals = on",
    "array_nulls = off",
    "quote_all_identifiers = on",
    "bytea_output = escape",
    "xmlbinary = hex",
    "timezone = 'Pacific/Kiritimati'",
    "datestyle = 'SQL, DMY'",
    "intervalstyle = iso_8601",
    "extra_float_digits = -15",
    "lc_messages = 'C'",
    "client_encoding = latin1",
    "client_min_messages = debug1",
    "enable_seqscan = off",
    "enable_indexscan = off",
    "enable_indexonlyscan = off",
    "enable_bitmapscan = off",
    "enable_nestloop = off",
    "enable_sort = off",
    "enable_partition_pruning = off",
    "from_collapse_limit = 1",
    "join_collapse_limit = 1",
    "constraint_exclusion = on",
    "debug_parallel_query = on",
    "cursor_tuple_fraction = 0",
    "default_statistics_target = 1",
    "default_toast_compression = pglz",
    "session_replication_role = replica",
    "search_path = 'there_is_none', 'public'",
    "track_activities = off",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hostile_settings_of_the_role_change_nothing() {
    let server = Server::own();
    let settings: String = HOSTILE.iter().map(|set| format!("alter role conformance set {set};")).collect();
    server.sql(&settings).await;
    clauses_hold(Prepared::on(&server, None), STATEMENTS, "with hostile settings").await;
}

/// Returns the SQL that makes the table of `namespace` in partitions by the hash of the key.
fn partitioned(namespace: &str) -> String {
    let parts: String = (0..5)
        .map(|n| {
            format!(
                r#"create table "{namespace}.{n}" partition of "{namespace}" for values with (modulus 5, remainder {n});"#
            )
        })
        .collect();
    format!(
        r#"{}; drop table "{namespace}";
        create table "{namespace}" (
          key bytea not null primary key, version bigint not null, created_at bigint not null,
          expires_at bigint not null, purge_at bigint not null, principal text collate "C" null, data bytea not null
        ) partition by hash (key);
        create index on "{namespace}" (purge_at);
        create index on "{namespace}" (principal) where principal is not null;
        {parts}"#,
        PostgresStore::schema(namespace).unwrap()
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_partitioned_table_keeps_every_promise() {
    let server = Server::get();
    clauses_hold(Prepared::on(&server, Some(partitioned)), STATEMENTS, "partitioned").await;
}

/// Opens the store on an empty namespace.
async fn fresh(server: &Server, namespace: &str) -> PostgresStore {
    // The first test of all finds not even the table of layouts, which `clean` expects.
    server.sql(&PostgresStore::schema(namespace).unwrap()).await;
    server.clean(namespace).await;
    PostgresStore::connect(&server.url_with(&format!("namespace={namespace}"))).await.unwrap()
}

async fn refused(url: &str) -> String {
    let error = PostgresStore::connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    error.to_string()
}

/// Changes of a table, and the statement in the error that mends it.
const CHANGES: &[(&str, &str)] = &[
    ("alter table t drop constraint \"t.key\"", "alter table public.t add primary key (key)"),
    (
        "alter table t drop constraint \"t.key\"; alter table t add constraint k primary key (key, version)",
        "alter table public.t add primary key (key)",
    ),
    (
        "alter table t drop constraint \"t.key\"; alter table t add constraint k unique (key) deferrable",
        "alter table public.t add primary key (key)",
    ),
    ("drop index \"t.purge_at\"", "create index concurrently on public.t (purge_at)"),
    ("drop index \"t.principal\"", "create index concurrently on public.t (principal) where principal is not null"),
    (
        "alter table t alter principal type text collate folding",
        "alter table public.t alter principal type text collate \"C\"",
    ),
    ("alter table t alter principal set not null", "alter table public.t alter principal drop not null"),
    (
        "alter table t drop created_at; alter table t add created_at bigint generated always as (version) stored",
        "alter table public.t alter created_at drop expression",
    ),
    ("create rule keep as on delete to t do instead nothing", "drop rule keep on public.t"),
    ("create table t_child () inherits (t)", "alter table t_child no inherit public.t"),
    ("alter table t set unlogged", "alter table public.t set logged"),
];

#[tokio::test]
async fn a_table_without_what_the_store_relies_on_is_refused_with_the_statement_that_mends_it() {
    let server = Server::get();
    let url = server.url_with("namespace=t");
    server
        .sql("create collation if not exists folding (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
        .await;
    for (change, mend) in CHANGES {
        server.sql("drop table if exists t_child").await;
        drop(fresh(&server, "t").await);
        server.sql(change).await;
        let error = refused(&url).await;
        let (_, statement) = error.split_once("run: ").unwrap_or_else(|| panic!("{change}: {error}"));
        assert_eq!(statement, *mend, "{change}");
        if change.contains("constraint k ") {
            server.sql("alter table t drop constraint k").await;
        }
        server.sql(mend).await;
        let store = PostgresStore::connect(&url).await.unwrap_or_else(|error| panic!("{mend}: {error}"));
        put(&store, 1, &record_of("ann")).await;
    }
    server.sql("drop table if exists t_child").await;
    server.clean("t").await;
}

#[tokio::test]
async fn a_column_or_an_index_that_refuses_sessions_is_named() {
    let server = Server::get();
    for (change, part) in [
        ("alter table test_refuses add shop integer not null", "a column `shop` that an insert must name"),
        ("create unique index one_each on test_refuses (principal)", "the unique index one_each"),
        ("alter table test_refuses alter principal type varchar(20)", "no column `principal` of type text"),
    ] {
        drop(fresh(&server, "test_refuses").await);
        server.sql(change).await;
        let error = refused(&server.url_with("namespace=test_refuses")).await;
        assert!(error.contains(part), "{error}");
    }
    drop(fresh(&server, "test_refuses").await);
    server.sql("alter table test_refuses rename to test_refuses_base; create view test_refuses as select * from test_refuses_base").await;
    let error = refused(&server.url_with("namespace=test_refuses")).await;
    assert!(error.contains("public.test_refuses is not a table"), "{error}");
    server.sql("drop view test_refuses; drop table test_refuses_base").await;
}

/// Columns and indexes of an operator's own do no harm.
#[tokio::test]
async fn a_table_may_have_more_than_the_store_needs() {
    let server = Server::get();
    drop(fresh(&server, "test_more").await);
    server
        .sql(
            "alter table test_more add region text not null default 'eu', add n bigint generated always as identity,
             add note text null; create unique index on test_more (key, version); create index on test_more (created_at)",
        )
        .await;
    let store = PostgresStore::connect(&server.url_with("namespace=test_more")).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    server.clean("test_more").await;
}

#[tokio::test]
async fn rows_that_a_policy_hides_are_an_error_and_not_missing() {
    let server = Server::get();
    drop(fresh(&server, "test_policy").await);
    server
        .sql(
            "do $$ begin create role test_policy_plain; exception when duplicate_object or unique_violation then end $$;
             grant select on \"session.layouts\" to test_policy_plain;
             grant select, insert, update, delete on test_policy to test_policy_plain",
        )
        .await;
    let url = server.url_with("namespace=test_policy&options[role]=test_policy_plain");
    let store = PostgresStore::connect(&url).await.unwrap();
    let kept = record_of("ann");
    put(&store, 1, &kept).await;
    server.sql("alter table test_policy enable row level security").await;
    let error = refused(&url).await;
    assert!(error.contains("run: alter table public.test_policy disable row level security"), "{error}");
    // A policy that shows some rows is refused as well, because it could hide others at any time.
    server.sql("create policy all_of_them on test_policy using (true)").await;
    assert!(refused(&url).await.contains("row-level security"));
    // A store that was open already must not take a hidden session for a missing one.
    let (call, ann) = (now(), Principal::new("ann").unwrap());
    let one = std::num::NonZeroU32::MIN;
    for answer in [
        store.load(&call, &key(1)).await.map(drop),
        store.save(&call, &key(1), kept.version, &kept).await.map(drop),
        store.touch(&call, &key(1), kept.version, kept.expires_at).await.map(drop),
        store.delete(&call, &key(1), None).await.map(drop),
        store.delete_all(&call, &ann, None).await.map(drop),
        store.sessions_of(&call, &ann, one).await.map(drop),
        store.scan(&call, None, one).await.map(drop),
        store.purge(&call, one).await.map(drop),
    ] {
        assert_eq!(answer.unwrap_err().kind(), ErrorKind::Config);
    }
    server.sql("alter table test_policy disable row level security").await;
    assert_eq!(store.load(&call, &key(1)).await.unwrap(), Some(kept));
    // A superuser is exempt.
    server.sql("alter table test_policy enable row level security").await;
    drop(PostgresStore::connect(&server.url_with("namespace=test_policy")).await.unwrap());
    server.clean("test_policy").await;
}

#[tokio::test]
async fn a_pools_connection_with_another_search_path_or_a_temporary_table_meets_the_same_table() {
    let server = Server::get();
    drop(fresh(&server, "test_hidden").await);
    let pool = PgPoolOptions::new().max_connections(1).connect(server.url()).await.unwrap();
    let store = PostgresStore::from_pool(pool.clone()).namespace("test_hidden").open().await.unwrap();
    for (n, hide) in
        [(1, "create temporary table test_hidden (like public.test_hidden including all)"), (2, "set search_path = ''")]
    {
        pool.acquire().await.unwrap().execute(hide).await.unwrap();
        put(&store, n, &record(b"x")).await;
        let found = server.foreign().await.fetch_all("select key from test_hidden").await.unwrap();
        assert_eq!(found.len(), n as usize, "{hide}");
    }
    let pool = PgPoolOptions::new().max_connections(1).connect(server.url()).await.unwrap();
    pool.acquire().await.unwrap().execute("create temporary table test_hidden (key bytea)").await.unwrap();
    let error = PostgresStore::from_pool(pool).namespace("test_hidden").open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.to_string().contains("is a temporary table"), "{error}");
    server.clean("test_hidden").await;
}

#[tokio::test]
async fn a_setting_that_the_store_does_not_override_is_named() {
    let server = Server::get();
    drop(fresh(&server, "test_read_only").await);
    let error = refused(&server.url_with("namespace=test_read_only&options[default_transaction_read_only]=on")).await;
    assert!(error.contains("default_transaction_read_only is on"), "{error}");
    let error = refused(&server.url_with("namespace=test_read_only&options[search_path]=there_is_none")).await;
    assert!(error.contains("search_path names no schema"), "{error}");
    server.clean("test_read_only").await;
    // A schema of any name can hold the tables.
    let mut foreign = server.foreign().await;
    foreign
        .execute(sqlx::raw_sql("drop schema if exists \"Of the Shop\" cascade; create schema \"Of the Shop\""))
        .await
        .unwrap();
    let url = server.url_with("namespace=test_schema_name&options[search_path]=%22Of%20the%20Shop%22");
    let store = PostgresStore::connect(&url).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    let found = foreign.fetch_all("select key from \"Of the Shop\".test_schema_name").await.unwrap();
    assert_eq!(found.len(), 1);
    foreign.execute("drop schema \"Of the Shop\" cascade").await.unwrap();
    foreign.close().await.unwrap();
}
