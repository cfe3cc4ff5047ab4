#![doc = include_str!("../README.md")]

use std::sync::Arc;

use session_core::{Namespace, Result};
use store_sqlx::SqlStore;

mod builder;
mod error;
mod json;
mod open;
mod ops;
mod schema;
mod url;

pub use builder::MysqlStoreBuilder;
use schema::Statements;

/// Sessions in MySQL or MariaDB. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct MysqlStore(Arc<SqlStore<Statements>>);

store_sqlx::store!(MysqlStore);

impl MysqlStore {
    /// Opens what `url` names: `mysql://user:password@host:port/database`, with `mariadb:` as well.
    ///
    /// Options: `namespace`, `timeout` in ms, `create` (`true`, `false`), `pool`, `queue`, which [`MysqlStoreBuilder`] explains,
    /// and the driver's, of which `ssl-mode` and `ssl-ca` matter most; see
    /// [`MySqlConnectOptions`](sqlx::mysql::MySqlConnectOptions). Unless the server is on this machine or `ssl-mode` says otherwise
    /// it is `VERIFY_IDENTITY`: the connection is encrypted and the server's name verified.
    ///
    /// ```no_run
    /// use store_mysql::MysqlStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = MysqlStore::connect("mysql://shop@db.example/shop?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a URL that is wrong, and what [`MysqlStoreBuilder::open`] answers.
    pub async fn connect(url: &str) -> Result<Self> {
        url::parse(url)?.open().await
    }

    /// The SQL that makes what a namespace needs, for a migration tool: statements with a semicolon after each.
    /// Running it again changes nothing.
    ///
    /// ```
    /// let sql = store_mysql::MysqlStore::schema("web_sessions")?;
    /// assert!(sql.contains("create table if not exists `web_sessions`"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is none.
    pub fn schema(namespace: &str) -> Result<String> {
        let namespace = Namespace::new(namespace)?;
        Ok(schema::create(&namespace).map(|statement| statement + ";\n").concat())
    }
}
