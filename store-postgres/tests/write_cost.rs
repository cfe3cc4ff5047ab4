//! What a save costs the server, by the server's own counts.

mod common;

use common::Server;
use session_conformance::fixtures::{key, now, record};
use session_core::{Outcome, Store, Version};
use session_store_postgres::PostgresStore;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::task::JoinSet;

/// Sessions that are stored, and how often each of them is saved.
const SESSIONS: u32 = 500;
const ROUNDS: u32 = 20;

/// Bytes of data in a session.
const SIZE: usize = 200;

async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(connection).await.expect("a number")
}

/// Saves each session as often as [`ROUNDS`] says, each time with a later expiry, as requests do.
async fn save_all(store: &PostgresStore) {
    let mut tasks = JoinSet::new();
    for n in 0..SESSIONS {
        let store = store.clone();
        tasks.spawn(async move {
            let mut stored = record(&[b'x'; SIZE]);
            assert_eq!(store.create(&now(), &key(n), &stored).await.unwrap(), Outcome::Done);
            for round in 1..=ROUNDS {
                let expected = stored.version;
                (stored.version, stored.expires_at) = (Version::random(), record(b"").expires_at);
                stored.data = vec![b'a' + u8::try_from(round).unwrap(); SIZE].into();
                assert_eq!(store.save(&now(), &key(n), expected, &stored).await.unwrap(), Outcome::Done);
            }
        });
    }
    tasks.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn saves_are_heap_only_updates() {
    // Nothing else writes here, so that the write-ahead log is that of the saves.
    let server = Server::own();
    let store = PostgresStore::connect(&server.url_with("namespace=cost")).await.unwrap();
    let mut foreign = server.foreign().await;
    let written = "select (pg_current_wal_insert_lsn() - '0/0')::bigint";
    let before = number(&mut foreign, written).await;
    save_all(&store).await;
    let written = number(&mut foreign, written).await - before;
    // The server's processes report their counts at the latest when they end.
    store.close().await.unwrap();
    let saves = i64::from(SESSIONS * ROUNDS);
    let counted = |column| format!("select {column} from pg_stat_user_tables where relname = 'cost'");
    while number(&mut foreign, &counted("n_tup_upd")).await < saves {
        tokio::task::yield_now().await;
    }
    let heap_only = number(&mut foreign, &counted("n_tup_hot_upd")).await;
    println!("{heap_only} of {saves} saves were heap-only updates; {} bytes of log for each save", written / saves);
    assert!(heap_only * 100 >= saves * 85, "{heap_only} of {saves} saves");
    assert!(written <= saves * 1200, "{} bytes of log for each save", written / saves);
}
