//! Tests of a store in use: locks of other clients, networks that fail in the middle of a batch, too few connections.
//! Each test runs on MySQL and on MariaDB.

mod common;

use common::{KINDS, Kind, Server};
use session_conformance::fixtures::{begin, key, now, put, record, record_of};
use session_conformance::locked::{FREE, others_are_served, put_all};
use session_conformance::proxy::Proxy;
use session_conformance::server;
use session_core::{ErrorKind, Outcome, Principal, Store};
use session_store_mysql::MysqlStore;
use sqlx::{AssertSqlSafe, Executor as _, MySqlConnection};
use tokio::task::JoinSet;

/// Opens a store on an empty namespace.
async fn fresh(server: &Server, namespace: &str, options: &str) -> MysqlStore {
    let store = MysqlStore::connect(&server.url_with(&format!("namespace={namespace}{options}"))).await.unwrap();
    server.sql(&format!("truncate `{namespace}`")).await;
    store
}

async fn run(foreign: &mut MySqlConnection, sql: &str) {
    foreign.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
}

/// Waits until statements for the namespace are running on this many connections. Those that wait for no lock end at once.
async fn waiting(server: &Server, namespace: &str, connections: usize) {
    let count = "select cast(count(*) as signed) from information_schema.processlist \
                 where info like concat('%', ?, '%') and id <> connection_id()";
    let mut root = server.root().await;
    loop {
        let found: i64 = sqlx::query_scalar(count).bind(namespace).fetch_one(&mut root).await.unwrap();
        if usize::try_from(found).unwrap() >= connections {
            break;
        }
        tokio::task::yield_now().await;
    }
}

/// Runs `lock` on the connection of another client, and checks that other calls are served until it runs `release`.
async fn served_while_locked(namespace: &str, locked: u32, writes: bool, lock: &str, release: &str) {
    for kind in KINDS {
        let server = Server::get(kind);
        // Longer than the test takes.
        let store = fresh(&server, namespace, "&timeout=60000").await;
        let (locked, free) = (put_all(&store, 0, locked).await, put_all(&store, FREE, 20).await);
        let mut foreign = server.foreign().await;
        run(&mut foreign, lock).await;
        let waiting = waiting(&server, namespace, locked.len().min(2));
        let release = async { run(&mut foreign, release).await };
        others_are_served(&store, &locked, &free, writes, waiting, release).await;
    }
}

#[tokio::test]
async fn one_locked_row_holds_up_no_other_call() {
    let lock = "set session transaction isolation level read committed; \
                begin; select 1 from test_row where data = 'record 0' for update";
    served_while_locked("test_row", 1, true, lock, "rollback").await;
}

#[tokio::test]
async fn many_locked_rows_hold_up_no_other_call() {
    let lock = "set session transaction isolation level read committed; \
                begin; select 1 from test_rows where data like 'record __' or data like 'record _' for update";
    served_while_locked("test_rows", 64, true, lock, "rollback").await;
}

#[tokio::test]
async fn a_lock_of_the_table_that_writes_wait_for_holds_up_no_read() {
    served_while_locked("test_share", 20, false, "lock tables test_share read", "unlock tables").await;
}

#[tokio::test]
async fn creates_beside_a_duplicate_are_not_run_again() {
    for kind in KINDS {
        let server = Server::get(kind);
        // The server has checked this account's password, so it accepts the account without TLS. Batches over TLS hold fewer calls.
        drop(fresh(&server, "test_half", "").await);
        let url = server.url_with("namespace=test_half&pool=1").replace("ssl-mode=preferred", "ssl-mode=disabled");
        let store = MysqlStore::connect(&url).await.unwrap();
        let (ann, call) = (Principal::new("ann").unwrap(), now());
        // The calls are sorted by their keys, and a statement inserts 32 rows. So the existing key is in the second statement of the batch.
        let mut keys: Vec<_> = (1..=48).map(key).collect();
        keys.sort_unstable();
        let there = record(b"there");
        assert_eq!(store.create(&call, &keys[40], &there).await.unwrap(), Outcome::Done);
        server.as_root("set global log_output = 'TABLE'; truncate mysql.general_log; set global general_log = 1").await;
        let records: Vec<_> = keys.iter().map(|_| record_of(ann.as_str())).collect();
        let first = record(b"first");
        let zero = key(0);
        // Sent at once and alone. The others form the batch behind it.
        let mut creates = vec![begin(store.create(&call, &zero, &first)).await];
        for (key, record) in keys.iter().zip(&records) {
            creates.push(begin(store.create(&call, key, record)).await);
        }
        let mut outcomes = Vec::new();
        for create in creates {
            outcomes.push(create.await.unwrap());
        }
        let exists: Vec<_> = (0..outcomes.len()).filter(|at| outcomes[*at] == Outcome::Exists).collect();
        assert_eq!(exists, [41]);
        server.as_root("set global general_log = 0").await;
        let count = "select cast(count(*) as signed) from mysql.general_log \
                     where command_type = 'Execute' and lower(argument) like 'insert into%test_half%'";
        let inserts: i64 = sqlx::query_scalar(count).fetch_one(&mut server.root().await).await.unwrap();
        // The first call, two statements, and the calls of the second one, each on its own.
        assert_eq!(inserts, 1 + 2 + 16, "{kind:?}: what the first statement has inserted is not inserted again");
    }
}

#[tokio::test]
async fn locks_of_a_process_that_vanished_are_free_within_the_time_out() {
    for kind in KINDS {
        let container = Server::get(kind);
        let direct = fresh(&container, "test_vanished", "&timeout=6000").await;
        let proxy = Proxy::before(container.address()).await.unwrap();
        let options = "namespace=test_vanished&timeout=6000";
        let url = server::with(&container.url_through(proxy.address()), options);
        // So that the proxy sees the statements.
        let url = url.replace("ssl-mode=preferred", "ssl-mode=disabled");
        let vanishing = MysqlStore::connect(&url).await.unwrap();
        let stored = [record(b"a"), record(b"b"), record(b"c")];
        for (n, record) in (1..).zip(&stored) {
            put(&direct, n, record).await;
        }
        proxy.stall_at(b"commit");
        let versions = [0, 1, 2].map(|at: usize| stored[at].version);
        let lost = tokio::spawn(async move {
            let (call, lost, keys) = (now(), record(b"lost"), [1, 2, 3].map(key));
            // They are one batch, because the task that sends it runs after this one.
            tokio::join!(
                vanishing.save(&call, &keys[0], versions[0], &lost),
                vanishing.save(&call, &keys[1], versions[1], &lost),
                vanishing.save(&call, &keys[2], versions[2], &lost)
            )
        });
        proxy.stalled().await;
        let after = record(b"after");
        assert_eq!(direct.save(&now(), &key(3), versions[2], &after).await.unwrap(), Outcome::Done, "{kind:?}");
        let (one, two, three) = lost.await.unwrap();
        for lost in [one, two, three] {
            assert_eq!(lost.unwrap_err().kind(), ErrorKind::Unavailable);
        }
        assert_eq!(direct.load(&now(), &key(3)).await.unwrap(), Some(after));
    }
}

#[tokio::test]
async fn with_fewer_connections_than_the_pool_wants_all_calls_are_served() {
    for kind in KINDS {
        let server = Server::get(kind);
        put_all(&fresh(&server, "test_few", "").await, 0, 64).await;
        server
            .as_root(&format!(
                "drop user if exists test_few; create user test_few identified by '{}' with max_user_connections 2; \
                 grant all on conformance.* to test_few",
                server.password()
            ))
            .await;
        let store = MysqlStore::connect(&server.url_of("test_few", "namespace=test_few&pool=8")).await.unwrap();
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
}

#[tokio::test]
async fn a_password_that_expired_and_was_renewed_is_an_outage_that_ends() {
    let server = Server::get(Kind::Mariadb);
    drop(fresh(&server, "test_expired", "").await);
    let password = server.password();
    server
        .as_root(&format!(
            "drop user if exists test_expired; create user test_expired identified by '{password}'; \
             grant all on conformance.* to test_expired"
        ))
        .await;
    let store = MysqlStore::connect(&server.url_of("test_expired", "namespace=test_expired")).await.unwrap();
    put(&store, 1, &record(b"x")).await;
    server.as_root("alter user test_expired password expire").await;
    // Connections made from now on may do nothing.
    server.as_root("kill user test_expired").await;
    for _ in 0..3 {
        assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable);
    }
    server.as_root(&format!("alter user test_expired identified by '{password}'")).await;
    assert!(store.load(&now(), &key(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn with_no_room_for_prepared_statements_calls_are_unavailable_until_there_is() {
    for kind in KINDS {
        let server = Server::own(kind);
        let store = fresh(&server, "test_prepared", "").await;
        server.as_root("set global max_prepared_stmt_count = 0").await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Unavailable, "{kind:?}");
        server.as_root("set global max_prepared_stmt_count = 16382").await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), None);
    }
}

#[tokio::test]
async fn what_a_delete_all_has_removed_stays_removed_when_it_fails() {
    for kind in KINDS {
        let server = Server::get(kind);
        let store = fresh(&server, "test_steps", "&timeout=4000").await;
        let later = record(b"x").expires_at.as_millis();
        let mut foreign = server.foreign().await;
        let insert = format!(
            "set session transaction isolation level read committed; insert into test_steps \
             with recursive numbers as (select 1 n union all select n + 1 from numbers where n < 1000) \
             select unhex(lpad(hex(a.n * 10 + b.n), 64, '0')), 1, 0, {later}, {later}, 'ann', '' \
             from numbers a join numbers b on b.n < 3"
        );
        run(&mut foreign, &insert).await;
        run(&mut foreign, "begin; select `version` from test_steps order by `key` desc limit 1 for update").await;
        let ann = Principal::new("ann").unwrap();
        assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap_err().kind(), ErrorKind::Unavailable);
        let count = "select cast(count(*) as signed) from test_steps";
        let left: i64 = sqlx::query_scalar(count).fetch_one(&mut foreign).await.unwrap();
        assert!((1..=1_000).contains(&left), "{kind:?}: {left}");
        run(&mut foreign, "rollback").await;
        // The last step of the call that failed may still wait for the lock, for a second at most, and now get it.
        assert!(store.delete_all(&now(), &ann, None).await.unwrap() <= u64::try_from(left).unwrap());
        assert_eq!(store.delete_all(&now(), &ann, None).await.unwrap(), 0);
    }
}
