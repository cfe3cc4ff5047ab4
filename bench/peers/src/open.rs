//! A peer's store of a name and a URL.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use tower_sessions::MemoryStore;
use tower_sessions_moka_store::MokaStore;
use tower_sessions_mongodb_store::{MongoDBStore, mongodb};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{ClientLike, Config, Pool};
use tower_sessions_sqlx_store::sqlx::mysql::MySqlPoolOptions;
use tower_sessions_sqlx_store::sqlx::postgres::PgPoolOptions;
use tower_sessions_sqlx_store::sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous,
};
use tower_sessions_sqlx_store::{MySqlStore, PostgresStore, SqliteStore};
use work::Subject;

use crate::{core_0_11, core_0_14};

/// As many as this project's stores open.
const CONNECTIONS: u32 = 10;

pub(crate) async fn open(name: &str, url: &str, size: usize) -> Result<Arc<dyn Subject>> {
    macro_rules! filled {
        ($store:expr) => {
            Arc::new(core_0_14::Peer::filled($store, size).await?)
        };
    }
    let (_, kind) = name.split_once('/').context("a subject is called PROJECT/STORE")?;
    Ok(match kind {
        "memory" => filled!(MemoryStore::default()),
        "moka" => filled!(MokaStore::new(None)),
        "sqlite" => filled!(sqlite(url).await?),
        "postgres" => filled!(postgres(url).await?),
        "mysql" | "mariadb" => filled!(mysql(url).await?),
        "redis" | "valkey" => filled!(redis(url).await?),
        "mongo" => {
            let client = mongodb::Client::with_uri_str(url).await?;
            Arc::new(core_0_11::Peer::filled(MongoDBStore::new(client, "peers".into()), size).await?)
        }
        _ => bail!("no peer has a store called {kind}"),
    })
}

/// With the settings that this project's store uses: without them SQLite is slower by far.
pub(crate) async fn sqlite(url: &str) -> Result<SqliteStore> {
    let path = url.strip_prefix("sqlite://").context("a sqlite URL")?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(std::time::Duration::from_secs(30));
    let store = SqliteStore::new(SqlitePoolOptions::new().max_connections(CONNECTIONS).connect_with(options).await?);
    store.migrate().await?;
    Ok(store)
}

pub(crate) async fn postgres(url: &str) -> Result<PostgresStore> {
    let store = PostgresStore::new(PgPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?);
    store.migrate().await?;
    Ok(store)
}

async fn mysql(url: &str) -> Result<MySqlStore> {
    let pool = MySqlPoolOptions::new().max_connections(CONNECTIONS).connect(url).await?;
    // In the database of the URL: its own, which it would create, takes rights that few applications have.
    let database = url.rsplit('/').next().and_then(|rest| rest.split('?').next()).context("a database in the URL")?;
    let store = MySqlStore::new(pool).with_schema_name(database).map_err(anyhow::Error::msg)?;
    store.migrate().await?;
    Ok(store)
}

/// Six connections, as its documentation has it.
pub(crate) async fn redis(url: &str) -> Result<RedisStore<Pool>> {
    let pool = Pool::new(Config::from_url(url)?, None, None, None, 6)?;
    let _ends_with_the_program = pool.connect();
    pool.wait_for_connect().await?;
    Ok(RedisStore::new(pool))
}
