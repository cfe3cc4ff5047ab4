//! How a batch gets to the server and back.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use session_core::{Error, Outcome, Record, Result, StoreKey};
use sqlx::Database;
use store_batch::{Answers, Item, PerRuntime, RoundTrip};
use tokio::time::{Instant, timeout_at};

use crate::calls::{Create, Delete, List, Load, Save, Sweep, Touch, readable};
use crate::failure::{Failure, TIMED_OUT};
use crate::links::Links;

/// What a batch of calls of one kind answers: the outer error is that of all, the inner ones concern one each.
pub type Answered<T> = sqlx::Result<Vec<Result<T>>>;

/// A connection of a dialect's database.
pub type Connection<D> = <<D as Dialect>::Database as Database>::Connection;

/// The statements of one database and what its errors mean: all that tells a store on sqlx from another.
///
/// A method gets at least one item, of each key only one where they write, and a connection that is its own.
/// It leaves no transaction behind when it answers an error of the server's; when it is dropped the connection is closed.
pub trait Dialect: Send + Sync + 'static {
    /// The driver.
    type Database: Database;

    /// What an error means while a store is in use: where a connection cannot be made that could be made once, that is an outage.
    fn failure(error: &sqlx::Error) -> Failure;

    /// Reads records.
    fn load(
        &self,
        items: &[Load],
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<Option<Record>>> + Send;

    /// Stores records where no live ones are.
    fn create(
        &self,
        items: &[Create],
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<Outcome>> + Send;

    /// Replaces records.
    fn save(&self, items: &[Save], connection: &mut Connection<Self>)
    -> impl Future<Output = Answered<Outcome>> + Send;

    /// Moves expiries out.
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

    /// Reads several records. One that cannot be read has an error in its place.
    fn list(
        &self,
        list: &List,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = Answered<(StoreKey, Record)>> + Send;

    /// Removes several records: how many, and of the expired whether there may be more.
    fn sweep(
        &self,
        sweep: &Sweep,
        connection: &mut Connection<Self>,
    ) -> impl Future<Output = sqlx::Result<(u64, bool)>> + Send;
}

/// A kind of call.
pub(crate) trait Op: Item {
    /// Whether it may be sent again when nobody knows whether it was done. A write may not, though it would do no harm
    /// if it was the last one: somebody may have built on it meanwhile, and would make it look refused.
    const READS: bool;

    /// Carries out at least one of them.
    fn run<D: Dialect>(
        items: &[Self],
        dialect: &D,
        connection: &mut Connection<D>,
    ) -> impl Future<Output = Answered<Self::Output>> + Send
    where
        Self: Sized;
}

/// Which method of a dialect carries out which calls, many at once.
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

/// What all batches of a store share on one runtime.
pub(crate) struct Server<D: Dialect> {
    pub(crate) links: Links<D::Database>,
    pub(crate) dialect: Arc<D>,
    pub(crate) timeout: Duration,
}

/// The way of one kind of call.
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
        // A connection that died without a word must not cost a load all of its time.
        let mut limit = if O::READS { begun + server.timeout / 2 } else { deadline };
        let mut second = !O::READS;
        loop {
            match server.once::<O>(items, limit).await {
                Ok(answers) => return Ok(answers),
                Err(Failure::Again(error)) if Instant::now() >= limit => return Err(error),
                Err(Failure::Again(error)) => tracing::debug!(%error, "a statement was undone and is sent again"),
                // Each alone has another chance.
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
