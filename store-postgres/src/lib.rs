#![doc = include_str!("../README.md")]

use std::sync::Arc;

use session_core::Result;
use session_store_sqlx::SqlStore;

mod builder;
mod error;
mod operations;
mod schema;
mod setup;
mod table;
mod url;
mod url_options;

pub use builder::PostgresStoreBuilder;
use schema::Statements;

/// Sessions in PostgreSQL. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct PostgresStore(Arc<SqlStore<Statements>>);

session_store_sqlx::store!(PostgresStore, Statements);

impl PostgresStore {
    /// Returns the SQL that creates a namespace's tables, for a migration tool. Running it again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is not a valid namespace.
    pub fn schema(namespace: &str) -> Result<String> {
        schema::namespace(namespace).map(|namespace| schema::create(&namespace))
    }
}
