//! Builder of a store.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use session_core::Result;
use session_store_kit::{Settings, setters, within};
use session_store_sqlx::{Bounds, Links, Source, SqlStore};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions as _, PgPool};

use crate::schema::{self, Statements};
use crate::{PostgresStore, open};

/// Builder of a [`PostgresStore`], from [`PostgresStore::builder`] or [`PostgresStore::from_pool`].
#[derive(Clone)]
#[must_use = "a builder does nothing until the store is opened"]
pub struct PostgresStoreBuilder {
    place: Place,
    pub(crate) settings: Settings,
    pub(crate) create: bool,
    pub(crate) pool: usize,
}

#[derive(Clone)]
enum Place {
    Server(Box<PgConnectOptions>),
    Pool(PgPool),
}

impl PostgresStoreBuilder {
    fn at(place: Place) -> Self {
        Self { place, settings: Settings::new(), create: true, pool: 8 }
    }

    #[cfg(test)]
    pub(crate) fn ssl_mode(&self) -> Option<sqlx::postgres::PgSslMode> {
        match &self.place {
            Place::Server(options) => Some(options.get_ssl_mode()),
            Place::Pool(_) => None,
        }
    }

    setters! {
        namespace: "The table's name";
        timeout: "how long opening may";
        /// If not, a migration tool can create them with [`PostgresStore::schema`].
        create: "tables are made where there are none";
        /// A few connections are enough because calls share batches. More connections make smaller batches.
        pool: "connections there are at most", "8";
        queue: "calls of a kind may wait";
    }

    /// Connects, checks the tables and returns the store.
    ///
    /// # Errors
    /// - [`ErrorKind::Config`](session_core::ErrorKind::Config) for options outside their ranges, for a role or database that the
    ///   server refuses, and for tables that are missing, have another layout, or may not be used by the role.
    /// - [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) if the server does not answer within the time-out.
    ///
    /// # Panics
    /// Outside a tokio runtime with time and I/O enabled.
    pub async fn open(self) -> Result<PostgresStore> {
        let namespace = schema::namespace(self.settings.check()?.as_str())?;
        within("pool", self.pool, 1..=1000)?;
        let source = match self.place {
            Place::Server(options) => Source::Own(Box::new(for_sessions(*options, self.settings.timeout)), None),
            Place::Pool(pool) => Source::Pool(pool),
        };
        let links = Links::new(source, self.pool, self.settings.timeout);
        let encrypted = open::prepare(&links, &namespace, self.create, self.settings.timeout).await?;
        let bounds = Bounds::new(self.settings, self.pool).encrypted(encrypted);
        Ok(PostgresStore(Arc::new(SqlStore::new(links, Statements::new(&namespace), bounds))))
    }
}

/// Adds the settings that the store relies on, whatever the server's defaults are.
fn for_sessions(options: PgConnectOptions, timeout: Duration) -> PgConnectOptions {
    let millis = timeout.as_millis().max(1);
    options.disable_statement_logging().options([
        // A statement should not run for much longer than its caller waits.
        ("statement_timeout", millis.to_string()),
        // A call may wait for a lock twice: in a batch, and after that on its own. Both waits fit into the time-out, so one
        // locked row does not fail the other calls of its batch.
        ("lock_timeout", (millis / 3).max(1).to_string()),
        // The statements are also correct under other isolation levels, but would be rolled back more often.
        ("default_transaction_isolation", "read committed".to_owned()),
        // There are only a few statements. Planning one for each execution costs more than the execution itself.
        ("plan_cache_mode", "force_generic_plan".to_owned()),
    ])
}

impl fmt::Debug for PostgresStoreBuilder {
    /// Leaves out the connection options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStoreBuilder")
            .field("settings", &self.settings)
            .field("create", &self.create)
            .field("pool", &self.pool)
            .finish_non_exhaustive()
    }
}

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
        PostgresStoreBuilder::at(Place::Server(Box::new(options)))
    }

    /// Returns a builder of a store on a pool that the application already has.
    ///
    /// Connections are used as they are. Set a `statement_timeout` and a `lock_timeout` on them, so that the server gives up
    /// statements when their callers do. Connections of the store's own are faster, because the driver's pool pings a connection
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
        let size = pool.options().get_max_connections() as usize;
        PostgresStoreBuilder::at(Place::Pool(pool)).pool(size.clamp(1, 8))
    }
}
