//! Builders of a store.

use session_store_sqlx::SqlStoreBuilder;
use sqlx::PgPool;
use sqlx::postgres::PgConnectOptions;

use crate::PostgresStore;

/// Builder of a [`PostgresStore`], from [`PostgresStore::builder`] or [`PostgresStore::from_pool`].
pub type PostgresStoreBuilder = SqlStoreBuilder<PostgresStore>;

impl PostgresStore {
    /// Returns a builder of a store on the server that `options` name.
    ///
    /// ```no_run
    /// use session_core::seconds;
    /// use sqlx::postgres::{PgConnectOptions, PgSslMode};
    /// use session_store_postgres::PostgresStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let server = PgConnectOptions::new().host("db.example").database("shop").ssl_mode(PgSslMode::VerifyFull);
    /// let store = PostgresStore::builder(server).namespace("web_sessions").timeout(seconds(2)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(options: PgConnectOptions) -> PostgresStoreBuilder {
        PostgresStoreBuilder::on_server(options)
    }

    /// Returns a builder of a store on a pool that the application already has.
    ///
    /// Connections are used as they are. Set a `statement_timeout` and a `lock_timeout` on them, so that the server gives up
    /// statements when their callers do, and `row_security = off`, so that row-level security raises an error instead of hiding
    /// sessions. Connections of the store's own are faster, because the driver's pool pings a connection
    /// each time it is taken and given back.
    ///
    /// The tokio runtimes that use the store share the pool's connections. A connection works only while the runtime that made
    /// it runs, so calls from another runtime can time out when that one is idle or gone.
    ///
    /// ```no_run
    /// use session_store_postgres::PostgresStore;
    ///
    /// # async fn example(pool: sqlx::PgPool) -> session_core::Result<()> {
    /// let store = PostgresStore::from_pool(pool).namespace("web_sessions").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_pool(pool: PgPool) -> PostgresStoreBuilder {
        PostgresStoreBuilder::on_pool(pool)
    }
}
