#![doc = include_str!("../README.md")]

use std::sync::Arc;

use session_core::{Namespace, Result};
use session_store_sqlx::SqlStore;

mod builder;
mod error;
mod json;
mod operations;
mod schema;
mod setup;
mod url;

pub use builder::MysqlStoreBuilder;
use schema::Statements;

/// Sessions in MySQL or MariaDB. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct MysqlStore(Arc<SqlStore<Statements>>);

session_store_sqlx::store!(MysqlStore, Statements);

impl MysqlStore {
    /// Opens the store at `url`, of the form `mysql://user:password@host:port/database`. The scheme may also be `mariadb:`.
    ///
    /// Options of the store are `namespace`, `timeout` in ms, `create` (`true`, `false`), `pool` and `queue`; see
    /// [`MysqlStoreBuilder`]. The driver's options are allowed as well, above all `ssl-mode` and `ssl-ca`; see
    /// [`MySqlConnectOptions`](sqlx::mysql::MySqlConnectOptions). The default of `ssl-mode` is `VERIFY_IDENTITY` unless the server
    /// is on this machine: the connection is encrypted and the server's name verified.
    ///
    /// ```no_run
    /// use session_store_mysql::MysqlStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = MysqlStore::connect("mysql://shop@db.example/shop?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for an invalid URL, and the errors of [`MysqlStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        url::parse(url)?.open().await
    }

    /// Returns the SQL that creates a namespace's tables, for a migration tool. A semicolon ends each statement.
    /// Running it again changes nothing.
    ///
    /// ```
    /// let sql = session_store_mysql::MysqlStore::schema("web_sessions")?;
    /// assert!(sql.contains("create table if not exists `web_sessions`"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is not a valid namespace.
    pub fn schema(namespace: &str) -> Result<String> {
        let namespace = Namespace::new(namespace)?;
        Ok(schema::create(&namespace).map(|statement| statement + ";\n").concat())
    }
}
