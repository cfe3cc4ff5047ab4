//! Opening: accounts, layouts, settings of the server that must not matter. Each test is run on both servers.

mod common;

use std::num::NonZeroU32;
use std::str::FromStr as _;

use common::{KINDS, Kind, Server};
use futures_util::future::join_all;
use session_core::{
    Bytes, Call, Clock, ErrorKind, Outcome, Principal, Record, Store, StoreKey, SystemClock, Version, hours, minutes,
    seconds,
};
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use store_mysql::MysqlStore;
use tokio::task::JoinSet;

fn now() -> Call {
    Call::new(SystemClock.now())
}

fn key(n: u8) -> StoreKey {
    StoreKey::from_bytes([n; 32])
}

fn record(data: &[u8]) -> Record {
    let now = SystemClock.now();
    Record::new(Version::random(), now, now.plus(hours(1)), None, Bytes::copy_from_slice(data))
}

async fn put(store: &MysqlStore, n: u8, record: &Record) {
    assert_eq!(store.create(&now(), &key(n), record).await.unwrap(), Outcome::Done);
}

/// A store on an empty namespace.
async fn fresh(server: &Server, namespace: &str, options: &str) -> MysqlStore {
    let store = MysqlStore::connect(&server.url(&format!("namespace={namespace}{options}"))).await.unwrap();
    server.sql(&format!("truncate `{namespace}`")).await;
    store
}

/// A store on connections that an application has made, after these statements on each.
async fn pooled(server: &Server, namespace: &str, statements: &str) -> (MySqlPool, MysqlStore) {
    // Here the error of one that the server does not know is seen.
    server.sql(statements).await;
    let statements = statements.to_owned();
    let pool = MySqlPoolOptions::new().max_connections(8).after_connect(move |connection, _| {
        let statements = statements.clone();
        Box::pin(async move { connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.map(drop) })
    });
    let pool = pool.connect(&server.url("")).await.unwrap();
    let store = MysqlStore::from_pool(pool.clone()).namespace(namespace).open().await.unwrap();
    server.sql(&format!("truncate `{namespace}`")).await;
    (pool, store)
}

async fn refused(url: &str) -> String {
    let error = MysqlStore::connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    error.to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_that_open_at_once_where_there_is_nothing_all_open() {
    for kind in KINDS {
        // One that has not even the table of layouts.
        let server = Server::own(kind);
        for round in 0..3 {
            let namespace = format!("test_ten_{round}");
            let mut opening = JoinSet::new();
            for n in 0..10 {
                let url = server.url(&format!("namespace={namespace}"));
                opening.spawn(async move { put(&MysqlStore::connect(&url).await.unwrap(), n, &record(b"x")).await });
            }
            opening.join_all().await;
        }
    }
}

#[tokio::test]
async fn another_layout_is_refused_and_not_misread() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_layout", "").await);
        server.sql("update `session.layouts` set layout = 2 where namespace = 'test_layout'").await;
        let error = refused(&server.url("namespace=test_layout")).await;
        assert!(error.contains("layout 2"), "{error}");
        // Another namespace of the same database has a layout of its own.
        drop(fresh(&server, "test_layout_other", "").await);
        server.clean("test_layout").await;
    }
}

#[tokio::test]
async fn a_table_of_somebody_elses_is_refused() {
    for kind in KINDS {
        let server = Server::get(kind);
        for (change, part) in [
            ("alter table test_columns modify version int not null", "has no column `version` of type bigint"),
            ("alter table test_columns modify data blob not null", "has no column `data` of type longblob"),
            ("alter table test_columns engine = MyISAM", "has to be InnoDB"),
            ("delete from `session.layouts` where namespace = 'test_columns'", "was not made by this store"),
        ] {
            drop(fresh(&server, "test_columns", "").await);
            server.sql(change).await;
            let error = refused(&server.url("namespace=test_columns")).await;
            assert!(error.contains(part), "{error}");
            server.clean("test_columns").await;
        }
    }
}

#[tokio::test]
async fn without_create_the_tables_come_from_the_schema() {
    for kind in KINDS {
        let server = Server::get(kind);
        // Whatever ran before, the table of layouts is there.
        drop(fresh(&server, "test_schema_other", "").await);
        server.clean("test_schema").await;
        let error = refused(&server.url("namespace=test_schema&create=false")).await;
        assert!(error.contains("there is no table `test_schema` in database `conformance`"), "{error}");
        let schema = MysqlStore::schema("test_schema").unwrap();
        server.sql(&schema).await;
        server.sql(&schema).await;
        let store = MysqlStore::connect(&server.url("namespace=test_schema&create=false")).await.unwrap();
        put(&store, 1, &record(b"x")).await;
        server.clean("test_schema").await;
    }
}

#[tokio::test]
async fn an_account_that_may_create_nothing_is_told_what_is_missing() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_role", "").await);
        let password = server.password();
        server
            .as_root(&format!(
                "drop user if exists test_role; create user test_role identified by '{password}'; \
                 grant select on conformance.`session.layouts` to test_role"
            ))
            .await;
        let url = |options: &str| server.url_of("test_role", options);
        let error = refused(&url("namespace=test_role_absent")).await;
        assert!(error.contains("the account may not create the table `test_role_absent`"), "{error}");
        let error = refused(&url("namespace=test_role&create=false")).await;
        assert!(error.contains("the account has no right on it"), "{error}");
        server.as_root("grant select, delete on conformance.test_role to test_role").await;
        let error = refused(&url("namespace=test_role")).await;
        assert!(error.contains("grant it insert, update"), "{error}");
        server.as_root("grant insert, update on conformance.test_role to test_role").await;
        for create in ["true", "false"] {
            let store = MysqlStore::connect(&url(&format!("namespace=test_role&create={create}"))).await.unwrap();
            everything(&store, &format!("{kind:?}, create={create}")).await;
        }
        server.as_root("revoke select on conformance.`session.layouts` from test_role").await;
        let error = refused(&url("namespace=test_role")).await;
        assert!(error.contains("may not read the table `session.layouts`"), "{error}");
        server.as_root("drop user test_role").await;
    }
}

/// Every operation, alone and together, with data and people that a statement could trip over.
async fn everything(store: &MysqlStore, when: &str) {
    let people = ["Ann", "ann", "ann ", "a\\", "\\'", "a'b\"c`d", "a||b", "%", "Änn", "😀"];
    let call = now();
    let all: Vec<(StoreKey, Record)> = (0..)
        .zip(people)
        .map(|(n, person)| {
            let data: Vec<u8> = if n == 1 { Vec::new() } else { (0..=255).collect() };
            let mut record = record(&data);
            record.principal = Some(Principal::new(person).unwrap());
            (key(n), record)
        })
        .collect();
    together(&all, async |(key, record)| assert_eq!(store.create(&call, key, record).await.unwrap(), Outcome::Done))
        .await;
    together(&all, async |(key, record)| assert_eq!(store.create(&call, key, record).await.unwrap(), Outcome::Done))
        .await;
    together(&all, async |(key, record)| {
        assert_eq!(store.load(&call, key).await.unwrap().as_ref(), Some(record), "{when}");
    })
    .await;
    together(&all, async |(key, record)| {
        let newer = Record::new(Version::random(), record.created_at, record.expires_at, None, record.data.clone());
        assert_eq!(store.save(&call, key, record.version, &newer).await.unwrap(), Outcome::Done, "{when}");
        assert_eq!(store.load(&call, key).await.unwrap(), Some(newer.clone()), "{when}");
        assert_eq!(store.save(&call, key, record.version, record).await.unwrap(), Outcome::Conflict, "{when}");
        assert_eq!(store.save(&call, key, newer.version, record).await.unwrap(), Outcome::Done, "{when}");
        let later = record.expires_at.plus(seconds(1));
        assert_eq!(store.touch(&call, key, later).await.unwrap(), Outcome::Done, "{when}");
        assert_eq!(store.load(&call, key).await.unwrap().unwrap().expires_at, later, "{when}");
    })
    .await;
    for (key, record) in &all {
        let person = record.principal.as_ref().unwrap();
        let found = store.sessions_of(&call, person, NonZeroU32::MAX).await.unwrap();
        assert_eq!(found.iter().map(|(key, _)| key).collect::<Vec<_>>(), [key], "{when}");
    }
    assert_eq!(store.scan(&call, None, NonZeroU32::MAX).await.unwrap().records.len(), all.len(), "{when}");
    let ann = Principal::new("ann").unwrap();
    assert_eq!(store.delete_all(&call, &ann, Some(&key(1))).await.unwrap(), 0, "{when}");
    assert_eq!(store.delete_all(&call, &ann, None).await.unwrap(), 1, "{when}");
    let purged = store.purge(&Call::new(call.now.plus(hours(20_000))), NonZeroU32::MAX).await.unwrap();
    assert_eq!(purged.removed, 0, "{when}: what the server's clock calls live stays");
    together(&all, async |(key, record)| {
        let gone = record.principal.as_ref() == Some(&ann);
        let outcome = if gone { Outcome::Missing } else { Outcome::Done };
        assert_eq!(store.delete(&call, key, Some(record.version)).await.unwrap(), outcome, "{when}");
    })
    .await;
    let past = call.now.minus(minutes(30));
    let old = Record::new(Version::random(), past, past.plus(minutes(29)), None, Bytes::new());
    assert_eq!(store.create(&Call::new(past), &key(1), &old).await.unwrap(), Outcome::Done, "{when}");
    assert_eq!(store.purge(&call, NonZeroU32::MAX).await.unwrap().removed, 1, "{when}: what is expired goes");
}

/// Runs `what` for all of them at once, so that the calls travel together.
async fn together<T>(all: &[T], what: impl AsyncFn(&T)) {
    join_all(all.iter().map(|one| what(one))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_of_an_applications_connections_change_nothing() {
    for kind in KINDS {
        let server = Server::get(kind);
        let mut settings = vec![
            "set sql_mode = ''",
            "set sql_mode = 'ANSI'",
            "set sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT,NO_BACKSLASH_ESCAPES,IGNORE_SPACE,HIGH_NOT_PRECEDENCE'",
            "set sql_mode = 'TRADITIONAL,PAD_CHAR_TO_FULL_LENGTH,NO_UNSIGNED_SUBTRACTION'",
            "set names latin1",
            "set names utf8mb4 collate utf8mb4_unicode_ci, time_zone = '+13:00'",
            "set time_zone = '-03:30'",
        ];
        if matches!(kind, Kind::Mariadb) {
            settings.push("set sql_mode = 'ORACLE'");
        } else {
            // A mode that MariaDB does not have, and one that MySQL does not.
            settings.push("set sql_mode = 'TIME_TRUNCATE_FRACTIONAL', sql_safe_updates = 1");
        }
        for setting in settings {
            let (pool, store) = pooled(&server, "test_settings", setting).await;
            everything(&store, &format!("{kind:?}, {setting}")).await;
            pool.close().await;
        }
        let store = fresh(&server, "test_settings", "&timezone=%2B13:00&charset=latin1").await;
        everything(&store, "options in the URL").await;
    }
}

/// Sixteen tasks that add to one number, half of them on each store.
async fn count(one: &MysqlStore, two: &MysqlStore) {
    put(one, 1, &record(&0_u32.to_le_bytes())).await;
    let mut tasks = JoinSet::new();
    for task in 0..16 {
        let store = if task % 2 == 0 { one.clone() } else { two.clone() };
        tasks.spawn(async move {
            for _ in 0..10 {
                loop {
                    let old = store.load(&now(), &key(1)).await.unwrap().unwrap();
                    let n = u32::from_le_bytes(old.data[..].try_into().unwrap()) + 1;
                    match store.save(&now(), &key(1), old.version, &record(&n.to_le_bytes())).await.unwrap() {
                        Outcome::Done => break,
                        outcome => assert_eq!(outcome, Outcome::Conflict),
                    }
                }
            }
        });
    }
    tasks.join_all().await;
    let end = one.load(&now(), &key(1)).await.unwrap().unwrap();
    assert_eq!(end.data[..], 160_u32.to_le_bytes());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_isolation_level_loses_or_refuses_anything() {
    for kind in KINDS {
        let server = Server::get(kind);
        for level in ["read uncommitted", "read committed", "repeatable read", "serializable"] {
            let set = format!("set session transaction isolation level {level}");
            let (pool, one) = pooled(&server, "test_isolation", &set).await;
            let two = MysqlStore::from_pool(pool.clone()).namespace("test_isolation").open().await.unwrap();
            count(&one, &two).await;
            // A hundred writes at once of keys that nobody has, others that are there, and a purge among them.
            let purges = one.clone();
            let purging = tokio::spawn(async move {
                for _ in 0..20 {
                    assert_eq!(purges.purge(&now(), NonZeroU32::MAX).await.unwrap().removed, 0);
                }
            });
            let mut writers = JoinSet::new();
            for n in 2..102 {
                let store = if n % 2 == 0 { one.clone() } else { two.clone() };
                writers.spawn(async move {
                    let first = record(&[n]);
                    assert_eq!(store.touch(&now(), &key(n), first.expires_at).await.unwrap(), Outcome::Missing);
                    put(&store, n, &first).await;
                    let saved = store.save(&now(), &key(n), first.version, &record(&[n])).await.unwrap();
                    assert_eq!(saved, Outcome::Done);
                    assert_eq!(store.delete(&now(), &key(n), None).await.unwrap(), Outcome::Done);
                });
            }
            writers.join_all().await;
            purging.await.unwrap();
            pool.close().await;
        }
    }
}

#[tokio::test]
async fn connections_without_autocommit_are_refused() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_autocommit", "").await);
        let pool = MySqlPoolOptions::new().after_connect(|connection, _| {
            Box::pin(async move { connection.execute("set autocommit = 0").await.map(drop) })
        });
        let pool = pool.connect(&server.url("")).await.unwrap();
        let error = MysqlStore::from_pool(pool).namespace("test_autocommit").open().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.to_string().contains("autocommit is off"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_max_allowed_packet_cannot_carry_is_too_large_and_all_else_fits() {
    for kind in KINDS {
        let server = Server::own(kind);
        server.as_root("set global max_allowed_packet = 65536").await;
        let store = MysqlStore::connect(&server.url("namespace=test_packet")).await.unwrap();
        let most = store.capabilities().max_data_len.unwrap();
        assert_eq!(most, 64 * 1024 - 1024, "{kind:?}");
        let long = record(&vec![0xff; most + 1]);
        assert_eq!(store.create(&now(), &key(1), &long).await.unwrap_err().kind(), ErrorKind::TooLarge, "{kind:?}");
        let mut longest = record(&vec![0xff; most]);
        longest.principal = Some(Principal::new("x".repeat(255)).unwrap());
        put(&store, 1, &longest).await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(longest.clone()), "{kind:?}");
        let mut writers = JoinSet::new();
        for n in 2..=250 {
            let (store, longest) = (store.clone(), longest.clone());
            writers.spawn(async move {
                let mut record = record(&vec![n; 20 * usize::from(n)]);
                record.principal = longest.principal;
                put(&store, n, &record).await;
                let saved = store.save(&now(), &key(n), record.version, &record).await.unwrap();
                assert_eq!(saved, Outcome::Done);
                assert_eq!(store.load(&now(), &key(n)).await.unwrap(), Some(record));
            });
        }
        writers.join_all().await;
        let later = Call::new(now().now.plus(hours(2)));
        assert_eq!(store.purge(&later, NonZeroU32::MAX).await.unwrap().removed, 0);
        // Somebody makes it smaller, and connections come that know no better than the server lets them.
        server.as_root("set global max_allowed_packet = 16384").await;
        let smaller = MysqlStore::connect(&server.url("namespace=test_packet")).await.unwrap();
        assert_eq!(smaller.capabilities().max_data_len, Some(15 * 1024), "{kind:?}");
        server.as_root("set global max_allowed_packet = 8192").await;
        let error = refused(&server.url("namespace=test_packet")).await;
        assert!(error.contains("max_allowed_packet is 8192"), "{error}");
    }
}

#[tokio::test]
async fn a_dropped_table_is_an_error_until_it_is_back() {
    for kind in KINDS {
        let server = Server::get(kind);
        let store = fresh(&server, "test_dropped", "").await;
        put(&store, 1, &record(b"x")).await;
        server.sql("drop table test_dropped").await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap_err().kind(), ErrorKind::Config);
        server.sql(&MysqlStore::schema("test_dropped").unwrap()).await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), None);
        put(&store, 1, &record(b"x")).await;
    }
}

#[tokio::test]
async fn a_row_that_somebody_locks_is_unavailable_in_time_and_holds_up_nobody_else() {
    for kind in KINDS {
        let server = Server::get(kind);
        let store = fresh(&server, "test_locked", "&timeout=4000").await;
        let (locked, free) = (record(b"locked"), record(b"free"));
        put(&store, 1, &locked).await;
        put(&store, 2, &free).await;
        let mut foreign = server.foreign().await;
        let lock = sqlx::raw_sql("begin; select * from test_locked where `key` = unhex(repeat('01', 32)) for update");
        lock.execute(&mut foreign).await.unwrap();
        let (call, one, two, newer) = (now(), key(1), key(2), record(b"newer"));
        // The first goes out at once and waits; the others travel together behind it.
        let (first, stuck, done) = tokio::join!(
            store.save(&call, &one, locked.version, &newer),
            store.delete(&call, &one, None),
            store.save(&call, &two, free.version, &newer)
        );
        assert_eq!(first.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(stuck.unwrap_err().kind(), ErrorKind::Unavailable);
        assert_eq!(done.unwrap(), Outcome::Done);
        sqlx::raw_sql("rollback").execute(&mut foreign).await.unwrap();
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(locked.clone()));
        assert_eq!(store.save(&now(), &key(1), locked.version, &newer).await.unwrap(), Outcome::Done);
        // Nothing that waited has left a transaction behind: nobody else waits for its locks.
        server.sql("set innodb_lock_wait_timeout = 1; delete from test_locked").await;
    }
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    for kind in KINDS {
        let server = Server::get(kind);
        drop(fresh(&server, "test_ended", "").await);
        server
            .as_root(&format!(
                "drop user if exists test_ended; create user test_ended identified by '{}'; \
                 grant all on conformance.* to test_ended",
                server.password()
            ))
            .await;
        let store = MysqlStore::connect(&server.url_of("test_ended", "namespace=test_ended")).await.unwrap();
        let kept = record(b"x");
        put(&store, 1, &kept).await;
        let mut root = sqlx::MySqlConnection::connect(&server.url_of("root", "")).await.unwrap();
        let find = "select cast(id as signed) from information_schema.processlist where user = 'test_ended'";
        let ids = root.fetch_all(find).await.unwrap();
        assert!(!ids.is_empty());
        for row in ids {
            let id: i64 = row.get(0);
            root.execute(sqlx::raw_sql(AssertSqlSafe(format!("kill {id}")))).await.unwrap();
        }
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(kept), "a read takes another connection by itself");
        let touched = store.touch(&now(), &key(1), SystemClock.now().plus(seconds(1))).await.unwrap();
        assert_eq!(touched, Outcome::Done);
        drop(store);
        server.as_root("drop user test_ended").await;
    }
}

#[tokio::test]
async fn what_cannot_be_opened_says_why() {
    for kind in KINDS {
        let server = Server::get(kind);
        for (options, part) in [
            ("pool=0", "pool must be"),
            ("queue=0", "queue must be"),
            ("timeout=0", "timeout must be"),
            ("namespace=Sessions", "namespace"),
        ] {
            let error = refused(&server.url(options)).await;
            assert!(error.contains(part), "{options}: {error}");
        }
        let url = server.url("");
        let (place, options) = url.split_once('?').unwrap();
        let (server_alone, _) = place.rsplit_once('/').unwrap();
        let error = refused(&format!("{server_alone}?{options}")).await;
        assert!(error.contains("names no database"), "{error}");
        let error = refused(&format!("{server_alone}/there_is_none?{options}")).await;
        assert!(error.contains("there_is_none"), "{error}");
        let error = refused(&url.replacen(server.password(), "hunter2", 1)).await;
        assert!(error.contains("denied") && !error.contains("hunter2"), "{error}");
        // A certificate that nobody has signed is not good enough for whoever wants a name.
        let error = refused(&url.replace("ssl-mode=preferred", "ssl-mode=verify_identity")).await;
        assert!(error.contains("ssl-mode"), "{error}");
    }
    let nobody = MysqlStore::connect("mysql://127.0.0.1:1/x?timeout=1000").await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::Unavailable, "{nobody}");
    let nobody = MySqlConnectOptions::from_str("mysql://127.0.0.1:1/x").unwrap();
    let nobody = MysqlStore::builder(nobody).timeout(seconds(1)).open().await.unwrap_err();
    assert_eq!(nobody.kind(), ErrorKind::Unavailable, "{nobody}");
}
