//! Differences between databases.

use session_core::{Outcome, Record, Result, StoreKey};
use sqlx::Database;

use crate::failure::Failure;
use crate::operations::{Create, Delete, List, Load, Save, Sweep, Touch};

/// Answers of a batch of calls of one kind. The outer error concerns the whole batch, an inner one a single call.
pub type Answered<T> = sqlx::Result<Vec<Result<T>>>;

/// A connection of a dialect's database.
pub type Connection<D> = <<D as Dialect>::Database as Database>::Connection;

/// Statements of one database, and the meaning of its errors. Stores on sqlx differ in nothing else.
///
/// A method gets at least one item and has the connection to itself. A batch of writes holds at most one item per key.
/// A method that returns an error of the server leaves no transaction open. If its future is dropped, the connection is closed.
pub trait Dialect: Send + Sync + 'static {
    /// Driver of the database.
    type Database: Database;

    /// Classifies an error of a store in use. A failure to connect is an outage, because the store could connect before.
    fn failure(error: &sqlx::Error) -> Failure;

    /// Reads records.
    fn load(
        &self,
        items: &[Load],
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<Option<Record>>> + Send;

    /// Creates records where there is no live record.
    fn create(
        &self,
        items: &[Create],
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<Outcome>> + Send;

    /// Replaces records.
    fn save(&self, items: &[Save], connection: &mut Connection<Self>)
    -> impl Future<Output = Answered<Outcome>> + Send;

    /// Extends the expiry of records.
    fn touch(
        &self,
        items: &[Touch],
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<Outcome>> + Send;

    /// Removes records.
    fn delete(
        &self,
        items: &[Delete],
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<Outcome>> + Send;

    /// Reads several records. A record that cannot be read yields an error in its place.
    fn list(
        &self,
        list: &List,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<(StoreKey, Record)>> + Send;

    /// Removes several records. Returns their number, and whether there may be more expired records.
    fn sweep(
        &self,
        sweep: &Sweep,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = sqlx::Result<(u64, bool)>> + Send;
}
