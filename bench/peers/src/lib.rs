//! The stores of tower-sessions, each opened as its own documentation shows, with as many connections as this project's store.
//!
//! [`clauses`](../../clauses) states a time-out, which is set wherever a driver supports it. Without a time-out the stores
//! are as documented.

use std::time::Duration;

use anyhow::{Context, Result};
use tower_sessions_mongodb_store::{MongoDBStore, mongodb};
use tower_sessions_redis_store::RedisStore;
use tower_sessions_redis_store::fred::prelude::{
    ClientLike, Config, ConnectionConfig, PerformanceConfig, Pool, ReconnectPolicy,
};
use tower_sessions_sqlx_store::sqlx::Database;
use tower_sessions_sqlx_store::sqlx::mysql::MySql;
use tower_sessions_sqlx_store::sqlx::pool::PoolOptions;
use tower_sessions_sqlx_store::sqlx::postgres::Postgres;
use tower_sessions_sqlx_store::sqlx::sqlite::{Sqlite, SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use tower_sessions_sqlx_store::{MySqlStore, PostgresStore, SqliteStore};

/// Core of the MongoDB store. It has no `create`.
pub use core_0_11;
pub use tower_sessions;
pub use tower_sessions_moka_store::MokaStore;
pub use tower_sessions_mongodb_store;
pub use tower_sessions_redis_store;
pub use tower_sessions_sqlx_store;

/// Number of connections, as in this project's stores.
const CONNECTIONS: u32 = 10;

/// Time-out for a driver; `None` leaves the driver's default.
pub type TimeOut = Option<Duration>;

/// Options of a pool. sqlx has a time-out for acquiring a connection, and none for a statement.
fn pool<DB: Database>(time_out: TimeOut) -> PoolOptions<DB> {
    let options = PoolOptions::new().max_connections(CONNECTIONS);
    match time_out {
        Some(time_out) => options.acquire_timeout(time_out),
        None => options,
    }
}

/// Opens the SQLite store with the settings of this project's store, without which SQLite is far slower.
pub async fn sqlite(url: &str) -> Result<SqliteStore> {
    let path = url.strip_prefix("sqlite://").context("a sqlite URL")?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(Duration::from_secs(30));
    let store = SqliteStore::new(pool::<Sqlite>(None).connect_with(options).await?);
    store.migrate().await?;
    Ok(store)
}

/// Opens the PostgreSQL store in its own schema, which it creates.
pub async fn postgres(url: &str, time_out: TimeOut) -> Result<PostgresStore> {
    let store = PostgresStore::new(pool::<Postgres>(time_out).connect(url).await?);
    store.migrate().await?;
    Ok(store)
}

/// Opens the MySQL store in the URL's database. Creating its own database would need rights that few applications have.
pub async fn mysql(url: &str, time_out: TimeOut) -> Result<MySqlStore> {
    let pool = pool::<MySql>(time_out).connect(url).await?;
    let database = url.rsplit('/').next().and_then(|rest| rest.split('?').next()).context("a database in the URL")?;
    let store = MySqlStore::new(pool).with_schema_name(database).map_err(anyhow::Error::msg)?;
    store.migrate().await?;
    Ok(store)
}

/// Opens the Redis store with six connections, as documented. The documentation sets no time-out and no reconnection.
/// With a time-out, lost connections are re-established, too.
pub async fn redis(url: &str, time_out: TimeOut) -> Result<RedisStore<Pool>> {
    let limits = time_out.map(|time_out| {
        let commands = PerformanceConfig { default_command_timeout: time_out, ..PerformanceConfig::default() };
        let connections = ConnectionConfig { connection_timeout: time_out, ..ConnectionConfig::default() };
        (commands, connections, ReconnectPolicy::new_constant(0, 100))
    });
    let (commands, connections, again) = match limits {
        Some((commands, connections, again)) => (Some(commands), Some(connections), Some(again)),
        None => (None, None, None),
    };
    let pool = Pool::new(Config::from_url(url)?, commands, connections, again, 6)?;
    let _ends_with_the_program = pool.connect();
    pool.wait_for_connect().await?;
    Ok(RedisStore::new(pool))
}

/// Opens the MongoDB store in the database `peers`. The driver has time-outs for selecting a server and for connecting, and none
/// for an answer.
pub async fn mongo(url: &str, time_out: TimeOut) -> Result<MongoDBStore> {
    let mut options = mongodb::options::ClientOptions::parse(url).await?;
    if time_out.is_some() {
        options.server_selection_timeout = time_out;
        options.connect_timeout = time_out;
    }
    Ok(MongoDBStore::new(mongodb::Client::with_options(options)?, "peers".into()))
}
