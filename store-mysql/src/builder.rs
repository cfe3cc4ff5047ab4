//! Builders of a store.

use session_store_sqlx::SqlStoreBuilder;
use sqlx::MySqlPool;
use sqlx::mysql::MySqlConnectOptions;

use crate::MysqlStore;

/// Builder of a [`MysqlStore`], from [`MysqlStore::builder`] or [`MysqlStore::from_pool`].
///
/// On the store's own connections the server limits a batch's wait for a lock to a fiftieth of the time-out, in whole seconds, but
/// at least to 1 s. A call whose row stays locked waits on its own, almost until its deadline.
pub type MysqlStoreBuilder = SqlStoreBuilder<MysqlStore>;

impl MysqlStore {
    /// Returns a builder of a store on the server that `options` name.
    ///
    /// ```no_run
    /// use session_core::seconds;
    /// use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};
    /// use session_store_mysql::MysqlStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let server = MySqlConnectOptions::new().host("db.example").database("shop").ssl_mode(MySqlSslMode::VerifyIdentity);
    /// let store = MysqlStore::builder(server).namespace("web_sessions").timeout(seconds(2)).open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(options: MySqlConnectOptions) -> MysqlStoreBuilder {
        MysqlStoreBuilder::on_server(options)
    }

    /// Returns a builder of a store on a pool that the application already has.
    ///
    /// Connections are used as they are, whatever their `sql_mode`, time zone, isolation level, `completion_type` and
    /// `sql_select_limit`. Set an `innodb_lock_wait_timeout` and a `lock_wait_timeout` below the store's time-out on them, leave
    /// `autocommit` on and `sql_safe_updates` off, and give them back outside a transaction.
    /// Connections of the store's own are faster, because the driver's pool pings a connection each time it is taken and given
    /// back.
    ///
    /// The tokio runtimes that use the store share the pool's connections. A connection works only while the runtime that made
    /// it runs, so calls from another runtime can time out when that one is idle or gone.
    ///
    /// ```no_run
    /// use session_store_mysql::MysqlStore;
    ///
    /// # async fn example(pool: sqlx::MySqlPool) -> session_core::Result<()> {
    /// let store = MysqlStore::from_pool(pool).namespace("web_sessions").open().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn from_pool(pool: MySqlPool) -> MysqlStoreBuilder {
        MysqlStoreBuilder::on_pool(pool)
    }
}
