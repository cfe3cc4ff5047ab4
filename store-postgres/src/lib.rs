#![doc = include_str!("../README.md")]

use std::sync::Arc;

use session_core::Result;
use store_sqlx::SqlStore;

mod builder;
mod error;
mod open;
mod ops;
mod schema;
mod url;

pub use builder::PostgresStoreBuilder;
use schema::Statements;

/// Sessions in PostgreSQL. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct PostgresStore(Arc<SqlStore<Statements>>);

store_sqlx::store!(PostgresStore);

impl PostgresStore {
    /// Opens what `url` names: `postgres://user:password@host:port/database`, with `postgresql:` as well.
    ///
    /// Options: `namespace`, `timeout` in ms, `create` (`true`, `false`), `pool`, `queue`, which [`PostgresStoreBuilder`] explains,
    /// and the driver's, of which `sslmode` and `sslrootcert` matter most; see
    /// [`PgConnectOptions`](sqlx::postgres::PgConnectOptions). Unless the server is on this machine or `sslmode` says otherwise
    /// it is `verify-full`: the connection is encrypted and the server's name verified.
    ///
    /// ```no_run
    /// use store_postgres::PostgresStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = PostgresStore::connect("postgres://shop@db.example/shop?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a URL that is wrong, and what [`PostgresStoreBuilder::open`] answers.
    pub async fn connect(url: &str) -> Result<Self> {
        url::parse(url)?.open().await
    }

    /// The SQL that makes what a namespace needs, for a migration tool. Running it again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is none.
    pub fn schema(namespace: &str) -> Result<String> {
        schema::namespace(namespace).map(|namespace| schema::create(&namespace))
    }
}
