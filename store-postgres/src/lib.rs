#![doc = include_str!("../README.md")]

use std::sync::Arc;

use session_core::Result;
use session_store_sqlx::SqlStore;

mod builder;
mod error;
mod limits;
mod operations;
mod schema;
mod session;
mod setup;
mod statement;
mod table;
mod url;
mod url_options;

pub use builder::PostgresStoreBuilder;
use operations::Calls;
pub use session_store_sqlx::Pooler;

/// Sessions in PostgreSQL. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct PostgresStore(Arc<SqlStore<Calls>>);

session_store_sqlx::store!(PostgresStore, Calls);

impl PostgresStore {
    /// Returns the SQL that creates a namespace's tables, for a migration tool. Running it again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is not a valid namespace.
    pub fn schema(namespace: &str) -> Result<String> {
        schema::namespace(namespace).map(|namespace| schema::create(&namespace))
    }
}
