//! Sends batches to the server, and retries those that may be sent again.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use session_core::{Error, Outcome, Record, Result, StoreKey};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Answers, Item, PerRuntime, RoundTrip};
use sqlx::Database;
use tokio::time::{Instant, timeout_at};

use crate::failure::Failure;
use crate::links::Links;
use crate::operations::{Create, Delete, List, Load, Save, Sweep, Touch, readable};

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

/// A kind of call.
pub(crate) trait Op: Item {
    /// Whether to retry after a lost answer. Not for writes: if another save followed ours, the retry would report a false
    /// conflict.
    const READS: bool;

    /// Carries out a batch of at least one call.
    fn run<D: Dialect>(
        items: &[Self],
        dialect: &D,
        connection: &mut Connection<D>,
    ) -> impl Future<Output = Answered<Self::Output>> + Send
    where
        Self: Sized;
}

/// Implements [`Op`] for calls that a dialect's method carries out in batches.
macro_rules! ops {
    ($($call:ident: $method:ident, $reads:literal;)*) => {$(
        impl Op for $call {
            const READS: bool = $reads;

            async fn run<D: Dialect>(
                items: &[Self],
                dialect: &D,
                connection: &mut Connection<D>,
            ) -> Answered<Self::Output> {
                dialect.$method(items, connection).await
            }
        }
    )*};
}

ops! {
    Load: load, true;
    Create: create, false;
    Save: save, false;
    Touch: touch, false;
    Delete: delete, false;
}

impl Op for List {
    const READS: bool = true;

    async fn run<D: Dialect>(items: &[Self], dialect: &D, connection: &mut Connection<D>) -> Answered<Self::Output> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let mut list = item.clone();
            let records = loop {
                let found = dialect.list(&list, connection).await?;
                if let Some(records) = readable(found, item.limit, &mut list.limit) {
                    break records;
                }
            };
            answers.push(Ok(records));
        }
        Ok(answers)
    }
}

impl Op for Sweep {
    const READS: bool = false;

    async fn run<D: Dialect>(items: &[Self], dialect: &D, connection: &mut Connection<D>) -> Answered<Self::Output> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            answers.push(Ok(dialect.sweep(item, connection).await?));
        }
        Ok(answers)
    }
}

/// Connections and dialect that all batches of a store share on one runtime.
pub(crate) struct Server<D: Dialect> {
    pub(crate) links: Links<D::Database>,
    pub(crate) dialect: Arc<D>,
    pub(crate) timeout: Duration,
}

/// Round trips of one kind of call.
pub(crate) struct Trip<D: Dialect, O> {
    pub(crate) servers: PerRuntime<Server<D>>,
    pub(crate) of: PhantomData<fn(O)>,
}

impl<D: Dialect, O> fmt::Debug for Trip<D, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trip").finish_non_exhaustive()
    }
}

impl<D: Dialect, O: Op> RoundTrip for Trip<D, O> {
    type Item = O;

    async fn run(&self, items: &[O]) -> Answers<O> {
        let server = self.servers.get()?;
        let begun = Instant::now();
        let deadline = begun + server.timeout;
        // The first attempt at a read takes half of the time-out at most, so that a dead connection leaves time for a second.
        let mut limit = if O::READS { begun + server.timeout / 2 } else { deadline };
        let mut second = !O::READS;
        loop {
            match server.once::<O>(items, limit).await {
                Ok(answers) => return Ok(answers),
                Err(Failure::Again(error)) if Instant::now() >= limit => return Err(error),
                Err(Failure::Again(error)) => tracing::debug!(%error, "a statement was undone and is sent again"),
                // After this error each call of the batch is run again on its own.
                Err(Failure::Refused(error) | Failure::Ended(error)) => return Err(error),
                Err(Failure::Lost(_)) if !second => {
                    second = true;
                    limit = deadline;
                }
                Err(Failure::Lost(error)) => return Ok(items.iter().map(|_| Err(error.clone())).collect()),
            }
        }
    }
}

impl<D: Dialect> Server<D> {
    async fn once<O: Op>(&self, items: &[O], limit: Instant) -> Result<Vec<Result<O::Output>>, Failure> {
        let link = self.links.take(limit).await;
        let mut link = link.map_err(|error| Failure::Lost(Error::from(D::failure(&error))))?;
        let connection = link.connection().map_err(Failure::Refused)?;
        let failure = match timeout_at(limit, O::run(items, &*self.dialect, connection)).await {
            Ok(Ok(answers)) => {
                self.links.keep(link);
                return Ok(answers);
            }
            Ok(Err(error)) => D::failure(&error),
            Err(_) => Failure::Lost(TIMED_OUT),
        };
        match &failure {
            Failure::Again(_) | Failure::Refused(_) => self.links.keep(link),
            Failure::Ended(_) => {}
            Failure::Lost(error) => {
                tracing::warn!(%error, "a connection to the session database is given up");
                self.links.give_up_idle();
            }
        }
        Err(failure)
    }
}
