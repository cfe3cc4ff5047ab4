//! Differences between databases.

use session_core::{Error, Outcome, Record, Result, StoreKey};
use session_store_kit::batch::Undone;
use sqlx::Database;
use tokio::time::Instant;

use crate::failure::Failure;
use crate::locks::{Locks, ServerLimits};
use crate::operations::{Create, Delete, List, Load, Save, Sweep, Touch};

/// Answers of a batch of calls of one kind. The outer error concerns the whole batch, an inner one a single call.
pub type Answered<T> = sqlx::Result<Vec<Result<T>>>;

/// Answers of a batch of writes. Calls that certainly had no effect may be left [undone](session_store_kit::batch::Undone).
pub type Written = sqlx::Result<std::result::Result<Vec<Result<Outcome>>, Undone<Outcome>>>;

/// A connection of a dialect's database.
pub type Connection<D> = <<D as Dialect>::Database as Database>::Connection;

/// Statements of one database, and the meaning of its errors. Stores on sqlx differ in nothing else.
///
/// A method gets at least one item and has the connection to itself. A batch of writes holds at most one item per key.
/// A method that returns an error of the server leaves no transaction open, and nothing changed if it may be run again.
/// If its future is dropped, the connection is closed.
pub trait Dialect: Send + Sync + 'static {
    /// Driver of the database.
    type Database: Database;

    /// Classifies an error of a store in use. A failure to connect is an outage, because the store could connect before.
    fn failure(error: &sqlx::Error) -> Failure;

    /// Whether the server refused a connection because there are too many. Others of this store may still work.
    fn is_full(error: &sqlx::Error) -> bool;

    /// Sets the server's limits for the following statements of a connection.
    fn limit(
        &self,
        limits: ServerLimits,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = sqlx::Result<()>> + Send;

    /// Returns this dialect for statements that bring these limits along, if it sends them with each statement. Then
    /// [`limit`](Self::limit) is not called.
    fn bringing(&self, limits: ServerLimits) -> Option<Self>
    where
        Self: Sized,
    {
        let _ = limits;
        None
    }

    /// Looks closer at a [`Failure::Locked`], whose error the server may use for something else as well. It may ask the server.
    fn locked(&self, error: Error, connection: &mut Connection<Self>) -> impl Future<Output = Failure> + Send {
        let _ = connection;
        async { Failure::Locked(error) }
    }

    /// Reads records.
    fn load(
        &self,
        items: &[Load],
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<Option<Record>>> + Send;

    /// Creates records where there is no live record.
    fn create(&self, items: &[Create], connection: &mut Connection<Self>) -> impl Future<Output = Written> + Send;

    /// Replaces records.
    fn save(
        &self,
        items: &[Save],
        locks: Locks,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Written> + Send;

    /// Extends the expiry of records.
    fn touch(
        &self,
        items: &[Touch],
        locks: Locks,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Written> + Send;

    /// Removes records.
    fn delete(
        &self,
        items: &[Delete],
        locks: Locks,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Written> + Send;

    /// Reads several records. A record that cannot be read yields an error in its place.
    fn list(
        &self,
        list: &List,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<(StoreKey, Record)>> + Send;

    /// Removes several records, and begins no statement after `until`. Returns their number, and whether there may be more expired
    /// records.
    fn sweep(
        &self,
        sweep: &Sweep,
        until: Instant,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = sqlx::Result<(u64, bool)>> + Send;
}
