#![doc = include_str!("../README.md")]

use std::sync::Arc;

use session_core::{Namespace, Result};
use session_store_sqlx::SqlStore;

mod builder;
mod error;
mod galera;
mod json;
mod operations;
mod schema;
mod setup;
mod table;
mod url;
mod url_options;
mod widths;

pub use builder::MysqlStoreBuilder;
use schema::Statements;

/// Sessions in MySQL or MariaDB. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct MysqlStore(Arc<SqlStore<Statements>>);

session_store_sqlx::store!(MysqlStore, Statements);

impl MysqlStore {
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
