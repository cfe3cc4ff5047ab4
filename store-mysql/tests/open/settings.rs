//! Tests of settings of connections and servers that must have no effect, or that the store has to respect.

use super::*;

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
            // MariaDB does not have this mode, and MySQL does not have the mode above.
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

/// Increments one number from sixteen tasks, half of them on each store, and checks that no increment is lost.
async fn count_on(one: &MysqlStore, two: &MysqlStore) {
    put_count(one).await;
    tokio::join!(count_up(one, 8, 10), count_up(two, 8, 10));
    assert_eq!(count(one).await, 160);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_isolation_level_loses_or_refuses_anything() {
    for kind in KINDS {
        let server = Server::get(kind);
        for level in ["read uncommitted", "read committed", "repeatable read", "serializable"] {
            let set = format!("set session transaction isolation level {level}");
            let (pool, one) = pooled(&server, "test_isolation", &set).await;
            let two = MysqlStore::from_pool(pool.clone()).namespace("test_isolation").open().await.unwrap();
            count_on(&one, &two).await;
            // A hundred concurrent writes of missing and of stored keys, with purges among them.
            let purges = one.clone();
            let purging = tokio::spawn(async move {
                for _ in 0..20 {
                    assert_eq!(purges.purge(&now(), NonZeroU32::MAX).await.unwrap().removed, 0);
                }
            });
            let mut writers = JoinSet::new();
            for n in 2..102_u32 {
                let store = if n % 2 == 0 { one.clone() } else { two.clone() };
                writers.spawn(async move {
                    let first = record(&n.to_le_bytes());
                    let touched = store.touch(&now(), &key(n), first.version, first.expires_at).await;
                    assert_eq!(touched.unwrap(), Outcome::Missing);
                    put(&store, n, &first).await;
                    let saved = store.save(&now(), &key(n), first.version, &record(&n.to_le_bytes())).await.unwrap();
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
        let pool = pool.connect(server.url()).await.unwrap();
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
        let store = MysqlStore::connect(&server.url_with("namespace=test_packet")).await.unwrap();
        let most = store.capabilities().max_data_len.unwrap();
        assert_eq!(most, 64 * 1024 - 1024, "{kind:?}");
        let long = record(&vec![0xff; most + 1]);
        assert_eq!(store.create(&now(), &key(1), &long).await.unwrap_err().kind(), ErrorKind::TooLarge, "{kind:?}");
        let mut longest = record(&vec![0xff; most]);
        longest.principal = Some(Principal::new("x".repeat(255)).unwrap());
        put(&store, 1, &longest).await;
        assert_eq!(store.load(&now(), &key(1)).await.unwrap(), Some(longest.clone()), "{kind:?}");
        let mut writers = JoinSet::new();
        for n in 2..=250_u8 {
            let (store, longest) = (store.clone(), longest.clone());
            writers.spawn(async move {
                let mut record = record(&vec![n; 20 * usize::from(n)]);
                record.principal = longest.principal;
                put(&store, n.into(), &record).await;
                let saved = store.save(&now(), &key(n.into()), record.version, &record).await.unwrap();
                assert_eq!(saved, Outcome::Done);
                assert_eq!(store.load(&now(), &key(n.into())).await.unwrap(), Some(record));
            });
        }
        writers.join_all().await;
        let later = Call::new(now().now.plus(hours(2)));
        assert_eq!(store.purge(&later, NonZeroU32::MAX).await.unwrap().removed, 0);
        // The limit is lowered later, and new connections learn the new one from the server.
        server.as_root("set global max_allowed_packet = 16384").await;
        let smaller = MysqlStore::connect(&server.url_with("namespace=test_packet")).await.unwrap();
        assert_eq!(smaller.capabilities().max_data_len, Some(15 * 1024), "{kind:?}");
        server.as_root("set global max_allowed_packet = 8192").await;
        let error = refused(&server.url_with("namespace=test_packet")).await;
        assert!(error.contains("max_allowed_packet is 8192"), "{error}");
    }
}

/// Runs without TLS, so that a batch may have more rows than one statement takes.
#[tokio::test]
async fn creates_that_take_several_statements_each_have_their_own_answer() {
    for kind in KINDS {
        let server = Server::get(kind);
        // MySQL accepts the hash of a password without TLS only after a login over TLS.
        drop(fresh(&server, "test_creates", "").await);
        let url = server.url_with("namespace=test_creates&pool=1").replace("ssl-mode=preferred", "ssl-mode=disabled");
        let store = MysqlStore::connect(&url).await.unwrap();
        let (call, first, second) = (now(), record(b"first"), record(b"second"));
        let create = async |keys: std::ops::Range<u32>, record: &Record| {
            let keys: Vec<_> = keys.map(key).collect();
            let created = join_all(keys.iter().map(|key| store.create(&call, key, record))).await;
            created.into_iter().map(|outcome| outcome.unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(create(0..100, &first).await, [Outcome::Done; 100]);
        let again = create(50..150, &second).await;
        assert_eq!(again[..50], [Outcome::Exists; 50]);
        assert_eq!(again[50..], [Outcome::Done; 50]);
        for n in 0..150 {
            let there = if n < 100 { &first } else { &second };
            assert_eq!(store.load(&call, &key(n)).await.unwrap().as_ref(), Some(there), "{kind:?}, {n}");
        }
    }
}
