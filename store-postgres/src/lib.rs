#![doc = include_str!("../README.md")]

use std::sync::Arc;

use session_core::Result;
use session_store_sqlx::SqlStore;

mod builder;
mod error;
mod operations;
mod schema;
mod setup;
mod url;

pub use builder::PostgresStoreBuilder;
use schema::Statements;

/// Sessions in PostgreSQL. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct PostgresStore(Arc<SqlStore<Statements>>);

session_store_sqlx::store!(PostgresStore, Statements);

impl PostgresStore {
    /// Opens the store at `url`, of the form `postgres://user:password@host:port/database`. The scheme may also be `postgresql:`.
    ///
    /// Options of the store are `namespace`, `timeout` in ms, `create` (`true`, `false`), `pool` and `queue`; see
    /// [`PostgresStoreBuilder`]. The driver's options are allowed as well, above all `sslmode` and `sslrootcert`; see
    /// [`PgConnectOptions`](sqlx::postgres::PgConnectOptions). The default of `sslmode` is `verify-full` unless the server is on
    /// this machine: the connection is encrypted and the server's name verified.
    ///
    /// ```no_run
    /// use session_store_postgres::PostgresStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = PostgresStore::connect("postgres://shop@db.example/shop?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`PostgresStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        url::parse(url)?.open().await
    }

    /// Returns the SQL that creates a namespace's tables, for a migration tool. Running it again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is not a valid namespace.
    pub fn schema(namespace: &str) -> Result<String> {
        schema::namespace(namespace).map(|namespace| schema::create(&namespace))
    }
}
