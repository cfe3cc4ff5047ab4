//! Tests that are specific to MySQL and MariaDB: opening, settings that must have no effect, trouble while in use.
//! Each test runs on both servers.

#[path = "../common/mod.rs"]
mod common;
mod hostile;
mod opening;
mod settings;
mod table;
mod trouble;

use std::num::NonZeroU32;
use std::str::FromStr as _;

use common::{KINDS, Kind, Server};
use futures_util::future::join_all;
use session_conformance::fixtures::{count, count_up, key, now, put, put_count, record};
use session_core::{
    Bytes, Call, Clock, ErrorKind, Handle, Outcome, Principal, Record, Store, StoreKey, SystemClock, Version, hours,
    minutes, seconds,
};
use session_store_mysql::MysqlStore;
use sqlx::mysql::{MySqlConnectOptions, MySqlPool, MySqlPoolOptions};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, Row as _};
use tokio::task::JoinSet;

/// Opens a store on an empty namespace.
async fn fresh(server: &Server, namespace: &str, options: &str) -> MysqlStore {
    let store = MysqlStore::connect(&server.url_with(&format!("namespace={namespace}{options}"))).await.unwrap();
    server.sql(&format!("truncate `{namespace}`")).await;
    store
}

/// Opens a store on an application's connections, each set up with these statements.
async fn pooled(server: &Server, namespace: &str, statements: &str) -> (MySqlPool, MysqlStore) {
    // Running them here first shows the error of a statement that the server does not know.
    server.sql(statements).await;
    let statements = statements.to_owned();
    let pool = MySqlPoolOptions::new().max_connections(8).after_connect(move |connection, _| {
        let statements = statements.clone();
        Box::pin(async move { connection.execute(sqlx::raw_sql(AssertSqlSafe(statements))).await.map(drop) })
    });
    let pool = pool.connect(server.url()).await.unwrap();
    let store = MysqlStore::from_pool(pool.clone()).namespace(namespace).open().await.unwrap();
    server.sql(&format!("truncate `{namespace}`")).await;
    (pool, store)
}

async fn refused(url: &str) -> String {
    let error = MysqlStore::connect(url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config, "{error:?}");
    error.to_string()
}

/// Runs every operation, in single calls and in batches, with data and principals that a statement could misread.
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
        assert_eq!(store.touch(&call, key, newer.version, later).await.unwrap(), Outcome::Conflict, "{when}");
        assert_eq!(store.touch(&call, key, record.version, later).await.unwrap(), Outcome::Done, "{when}");
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

/// Runs `what` for all items at the same time, so that the calls share batches.
async fn together<T>(all: &[T], what: impl AsyncFn(&T)) {
    join_all(all.iter().map(|one| what(one))).await;
}
