//! Tests on servers whose settings change what statements mean.

use session_conformance::testing::{STATEMENTS, clauses_hold};

use super::*;
use crate::common::Prepared;

/// Settings of both servers, each of which changes what some statement means, or whether it runs.
const BOTH: &str = "
    set global completion_type = 'CHAIN', sql_select_limit = 1, autocommit = 0, sql_auto_is_null = 1,
        max_join_size = 1, unique_checks = 0, foreign_key_checks = 0, div_precision_increment = 0,
        group_concat_max_len = 4, time_zone = '+13:00', innodb_lock_wait_timeout = 1, lock_wait_timeout = 1,
        default_storage_engine = MyISAM, default_tmp_storage_engine = MyISAM, low_priority_updates = 1,
        innodb_strict_mode = 0, sql_buffer_result = 1, updatable_views_with_limit = 0, default_week_format = 5,
        optimizer_search_depth = 1, optimizer_prune_level = 0, eq_range_index_dive_limit = 1,
        character_set_server = 'latin1', collation_server = 'latin1_german2_ci', init_connect = 'start transaction',
        max_sort_length = 64, sql_notes = 0, sql_warnings = 1;
    set global transaction isolation level serializable;
";
const OF_MYSQL: &str = "
    set global max_execution_time = 1, old_alter_table = 1, max_sort_length = 4, sql_require_primary_key = 1, sql_generate_invisible_primary_key = 1,
        explicit_defaults_for_timestamp = 0, internal_tmp_mem_storage_engine = 'MEMORY', sql_safe_updates = 1,
        default_collation_for_utf8mb4 = utf8mb4_general_ci, windowing_use_high_precision = 0,
        binlog_format = 'MIXED',
        optimizer_switch = 'mrr_cost_based=off,batched_key_access=on,derived_merge=off,index_merge=off,skip_scan=off',
        sql_mode = 'ANSI,HIGH_NOT_PRECEDENCE,NO_BACKSLASH_ESCAPES,NO_UNSIGNED_SUBTRACTION,NO_AUTO_VALUE_ON_ZERO,'
            'NO_DIR_IN_CREATE,PAD_CHAR_TO_FULL_LENGTH,TIME_TRUNCATE_FRACTIONAL,ALLOW_INVALID_DATES';
";
const OF_MARIADB: &str = "
    set global max_statement_time = 0.001, sql_big_selects = 0, sql_safe_updates = 1, join_cache_level = 8,
        in_predicate_conversion_threshold = 2, use_stat_tables = 'NEVER', system_versioning_asof = '2001-01-01 00:00:00',
        sql_if_exists = 1, old_mode = '', max_recursive_iterations = 1, check_constraint_checks = 0,
        optimizer_use_condition_selectivity = 1, standard_compliant_cte = 0,
        optimizer_switch = 'mrr=on,mrr_sort_keys=on,derived_merge=off,index_merge=off,rowid_filter=off,extended_keys=off',
        sql_mode = 'ORACLE,EMPTY_STRING_IS_NULL,HIGH_NOT_PRECEDENCE,NO_BACKSLASH_ESCAPES,NO_UNSIGNED_SUBTRACTION,'
            'PAD_CHAR_TO_FULL_LENGTH,NO_AUTO_VALUE_ON_ZERO,SIMULTANEOUS_ASSIGNMENT,TIME_ROUND_FRACTIONAL';
";

const fn settings_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Mysql => OF_MYSQL,
        Kind::Mariadb => OF_MARIADB,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hostile_settings_of_the_server_change_nothing_on_mysql() {
    hostile_settings_change_nothing(Kind::Mysql).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn hostile_settings_of_the_server_change_nothing_on_mariadb() {
    hostile_settings_change_nothing(Kind::Mariadb).await;
}

async fn hostile_settings_change_nothing(kind: Kind) {
    let server = Server::own(kind);
    server.as_root(&format!("{BOTH}{}", settings_of(kind))).await;
    let store = MysqlStore::connect(&server.url_with("namespace=test_hostile")).await.unwrap();
    everything(&store, &format!("{kind:?}")).await;
    clauses_hold(Prepared::on(&server, None), STATEMENTS, &format!("{kind:?} with hostile settings")).await;
}

/// Settings that exclude those of [`BOTH`].
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_setting_by_itself_loses_a_confirmed_write() {
    for kind in KINDS {
        let server = Server::own(kind);
        for setting in [
            "completion_type = 'RELEASE'",
            "sql_select_limit = 0",
            "init_connect = 'set autocommit = 0'",
            "sql_mode = ''",
            "optimizer_switch = 'index_condition_pushdown=off,materialization=off,semijoin=off'",
        ] {
            server.as_root(&format!("set global {setting}")).await;
            let store = MysqlStore::connect(&server.url_with("namespace=test_setting")).await.unwrap();
            everything(&store, &format!("{kind:?}, {setting}")).await;
            all_is_kept(&server, store, "test_setting", &format!("{kind:?}, {setting}")).await;
            let (name, _) = setting.split_once(' ').unwrap();
            let default = if name == "init_connect" { "''" } else { "default" };
            server.as_root(&format!("set global {name} = {default}")).await;
        }
    }
}

/// Checks that no write which `store` has confirmed is in a transaction that was never committed.
async fn all_is_kept(server: &Server, store: MysqlStore, namespace: &str, when: &str) {
    let call = now();
    let keys: Vec<StoreKey> = (1_000..1_040).map(key).collect();
    for round in 0..3_u8 {
        let first = record(&[round]);
        together(&keys, async |key| assert_eq!(store.create(&call, key, &first).await.unwrap(), Outcome::Done)).await;
        let second = record(&[round, round]);
        together(&keys, async |key| {
            assert_eq!(store.save(&call, key, first.version, &second).await.unwrap(), Outcome::Done);
        })
        .await;
        let again = MysqlStore::connect(&server.url_with(&format!("namespace={namespace}"))).await.unwrap();
        together(&keys, async |key| {
            assert_eq!(again.load(&call, key).await.unwrap().as_ref(), Some(&second), "{when}, round {round}");
        })
        .await;
        together(&keys, async |key| assert_eq!(store.delete(&call, key, None).await.unwrap(), Outcome::Done)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_a_pool_lose_no_confirmed_write() {
    for kind in KINDS {
        let server = Server::get(kind);
        let mut settings = vec![
            "set completion_type = 'CHAIN'",
            "set completion_type = 'RELEASE'",
            "set sql_select_limit = 1",
            "set sql_select_limit = 0",
            "set unique_checks = 0, foreign_key_checks = 0",
            "set optimizer_switch = 'derived_merge=off,index_merge=off'",
        ];
        if matches!(kind, Kind::Mariadb) {
            settings.push("set sql_mode = 'EMPTY_STRING_IS_NULL'");
            settings.push("set sql_mode = 'ORACLE,EMPTY_STRING_IS_NULL,HIGH_NOT_PRECEDENCE'");
        }
        for setting in settings {
            let when = format!("{kind:?}, {setting}");
            let (pool, store) = pooled(&server, "test_pool_settings", setting).await;
            everything(&store, &when).await;
            all_is_kept(&server, store, "test_pool_settings", &when).await;
            pool.close().await;
        }
    }
}

#[tokio::test]
async fn a_pools_connection_that_uses_another_database_meets_the_same_table() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_database", "").await);
        server.as_root("create database if not exists other; grant all on other.* to conformance").await;
        server.sql("create table if not exists other.test_database like conformance.test_database").await;
        let pool = MySqlPoolOptions::new().max_connections(1).connect(server.url()).await.unwrap();
        let store = MysqlStore::from_pool(pool.clone()).namespace("test_database").open().await.unwrap();
        pool.acquire().await.unwrap().execute("use other").await.unwrap();
        put(&store, 1, &record(b"x")).await;
        let found = server.foreign().await.fetch_all("select `key` from conformance.test_database").await.unwrap();
        assert_eq!(found.len(), 1, "{kind:?}");
        server.as_root("drop database other").await;
    }
}

#[tokio::test]
async fn a_setting_that_the_store_does_not_override_is_named() {
    for kind in KINDS {
        let server = Server::own(kind);
        drop(fresh(&server, "test_named", "").await);
        server.as_root("set global transaction read only").await;
        let error = refused(&server.url_with("namespace=test_named")).await;
        assert!(error.contains("set global transaction_read_only = 0"), "{error}");
        server.as_root("set global transaction read write").await;
        drop(MysqlStore::connect(&server.url_with("namespace=test_named")).await.unwrap());
        if matches!(kind, Kind::Mysql) {
            // MariaDB's log is off unless its command line switches it on.
            server.as_root("set global binlog_format = 'STATEMENT'").await;
            let error = refused(&server.url_with("namespace=test_named")).await;
            assert!(error.contains("set global binlog_format = ROW or MIXED"), "{error}");
        } else {
            let pool = MySqlPoolOptions::new().after_connect(|connection, _| {
                Box::pin(async move { connection.execute("set sql_safe_updates = 1").await.map(drop) })
            });
            let pool = pool.connect(server.url()).await.unwrap();
            let error = MysqlStore::from_pool(pool).namespace("test_named").open().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(error.to_string().contains("set sql_safe_updates = 0"), "{error}");
        }
    }
}
