//! Builder of a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use session_core::Result;
use session_store_kit::{Settings, setters, within};
use session_store_sqlx::{Bounds, Links, SetUp, Source, SqlStore};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Executor as _, MySql, MySqlPool};

use crate::schema::{self, Statements};
use crate::{MysqlStore, open};

/// Builder of a [`MysqlStore`], from [`MysqlStore::builder`] or [`MysqlStore::from_pool`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct MysqlStoreBuilder {
    place: Place,
    pub(crate) settings: Settings,
    pub(crate) create: bool,
    pub(crate) pool: usize,
}

#[derive(Clone)]
enum Place {
    Server(Box<MySqlConnectOptions>),
    Pool(MySqlPool),
}

impl MysqlStoreBuilder {
    fn at(place: Place) -> Self {
        Self { place, settings: Settings::new(), create: true, pool: 8 }
    }

    #[cfg(test)]
    pub(crate) fn ssl_mode(&self) -> Option<sqlx::mysql::MySqlSslMode> {
        match &self.place {
            Place::Server(options) => Some(options.get_ssl_mode()),
            Place::Pool(_) => None,
        }
    }

    setters! {
        namespace: "The table's name";
        /// On the store's own connections the server waits for a lock for at most a third of it, in whole seconds, at least 1 s.
        timeout: "how long opening may";
        /// If not, a migration tool can create them with [`MysqlStore::schema`].
        create: "tables are made where there are none";
        /// A few connections are enough because calls share batches. More connections make smaller batches.
        pool: "connections there are at most", "8";
        queue: "calls of a kind may wait";
    }

    /// Connects, checks the server and the tables, and returns the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, for an account or database that
    ///   the server refuses, for a server that is too old or has unsuitable settings, and for tables that are missing, have
    ///   another layout, or may not be used by the account.
    /// - [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) if the server does not answer within the time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<MysqlStore> {
        let namespace = self.settings.check()?;
        within("pool", self.pool, 1..=1000)?;
        let timeout = self.settings.timeout;
        let source = match self.place {
            // `set_up` sets the `sql_mode`, together with all other settings that the store relies on.
            Place::Server(options) => Source::Own(
                Box::new(options.pipes_as_concat(false).no_engine_substitution(false).disable_statement_logging()),
                Some(set_up(timeout)),
            ),
            Place::Pool(pool) => Source::Pool(pool),
        };
        let links = Links::new(source, self.pool, timeout);
        let server = open::prepare(&links, &namespace, self.create, timeout).await?;
        let statements = Statements::new(&namespace, timeout, server.purge_rows());
        let bounds = Bounds::new(self.settings, self.pool).encrypted(server.encrypted);
        let bounds = bounds.batch_bytes(server.batch_bytes()).max_data_len(server.max_data_len());
        Ok(MysqlStore(Arc::new(SqlStore::new(links, statements, bounds))))
    }
}

fn set_up(timeout: Duration) -> SetUp<MySql> {
    let sql: Arc<str> = schema::set_up(timeout).into();
    Box::new(move |connection| {
        let sql = Arc::clone(&sql);
        Box::pin(async move { connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.map(drop) })
    })
}

impl fmt::Debug for MysqlStoreBuilder {
    /// Leaves out the connection options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MysqlStoreBuilder")
            .field("settings", &self.settings)
            .field("create", &self.create)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

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
        MysqlStoreBuilder::at(Place::Server(Box::new(options)))
    }

    /// Returns a builder of a store on a pool that the application already has.
    ///
    /// Connections are used as they are, whatever their `sql_mode`, time zone and isolation level. Set an
    /// `innodb_lock_wait_timeout` and a `lock_wait_timeout` below the store's time-out on them, and leave `autocommit` on.
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
        let size = pool.options().get_max_connections() as usize;
        MysqlStoreBuilder::at(Place::Pool(pool)).pool(size.clamp(1, 8))
    }
}
