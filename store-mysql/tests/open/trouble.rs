//! Tests of a store in use whose tables, rows or connections another client removes or locks.

use super::*;

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
async fn a_row_that_is_locked_is_unavailable_in_time_and_delays_no_other_call() {
    for kind in KINDS {
        let server = Server::get(kind);
        let store = fresh(&server, "test_locked", "&timeout=4000").await;
        let (locked, free) = (record(b"locked"), record(b"free"));
        put(&store, 1, &locked).await;
        put(&store, 2, &free).await;
        let mut foreign = server.foreign().await;
        let hex = Handle::from(key(1));
        let lock = format!("begin; select * from test_locked where `key` = x'{hex}' for update");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut foreign).await.unwrap();
        let (call, one, two, newer) = (now(), key(1), key(2), record(b"newer"));
        // The first call is sent at once and waits. The others form the batch behind it.
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
        // No call that waited has left a transaction open, so another client gets all locks.
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
        let version = kept.version;
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
        let touched = store.touch(&now(), &key(1), version, SystemClock.now().plus(seconds(1))).await.unwrap();
        assert_eq!(touched, Outcome::Done);
        drop(store);
        server.as_root("drop user test_ended").await;
    }
}
