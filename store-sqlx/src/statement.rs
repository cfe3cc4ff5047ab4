//! Prepared statements.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use sqlx::query::Query;
use sqlx::{AssertSqlSafe, Database};

/// A statement, prepared once per connection.
///
/// Its text may hold nothing from a caller but a namespace, whose characters have been checked.
///
/// ```
/// use sqlx::Postgres;
/// use session_store_sqlx::Sql;
///
/// let statement = Sql::<Postgres>::from(format!("select 1 from {} where key = $1", "sessions"));
/// let query = statement.query().bind(&[0_u8; 32][..]);
/// ```
pub struct Sql<DB> {
    text: Arc<str>,
    of: PhantomData<fn(DB)>,
}

impl<DB: Database> Sql<DB> {
    /// Returns a query with this statement, whose parameters are still to be bound.
    pub fn query<'q>(&self) -> Query<'q, DB, DB::Arguments> {
        sqlx::query(AssertSqlSafe(Arc::clone(&self.text)))
    }
}

impl<DB> From<String> for Sql<DB> {
    fn from(sql: String) -> Self {
        Self { text: sql.into(), of: PhantomData }
    }
}

impl<DB> Clone for Sql<DB> {
    fn clone(&self) -> Self {
        Self { text: Arc::clone(&self.text), of: PhantomData }
    }
}

impl<DB> fmt::Debug for Sql<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
