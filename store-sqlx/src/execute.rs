//! Sends batches to the server, and retries those that may be sent again.

use std::sync::Arc;
use std::time::Duration;

use session_core::{Error, Result};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Answers, Item, RoundTrip};
use tokio::time::{Instant, timeout_at};

use crate::dialect::{Answered, Connection, Dialect};
use crate::failure::Failure;
use crate::operations::{Access, Create, Delete, List, Load, Save, Sweep, Touch, readable};
use crate::pool::Pool;

/// Connections and dialect that all batches of a store share on one runtime.
pub(crate) struct Server<D: Dialect> {
    pub(crate) pool: Pool<D::Database>,
    pub(crate) dialect: Arc<D>,
    pub(crate) timeout: Duration,
}

/// A kind of call, which a method of the dialect carries out.
pub(crate) trait Operation: Item {
    const ACCESS: Access;

    /// Carries out a batch of at least one call.
    fn run<D: Dialect>(
        items: &[Self],
        dialect: &D,
        connection: &mut Connection<D>,
    ) -> impl Future<Output = Answered<Self::Output>> + Send
    where
        Self: Sized;
}

/// Implements [`Operation`] for calls that a method of the dialect carries out in batches.
macro_rules! operations {
    ($($call:ident: $method:ident, $access:ident;)*) => {$(
        impl Operation for $call {
            const ACCESS: Access = Access::$access;

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

operations! {
    Load: load, Read;
    Create: create, Write;
    Save: save, Write;
    Touch: touch, Write;
    Delete: delete, Write;
}

impl Operation for List {
    const ACCESS: Access = Access::Read;

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

impl Operation for Sweep {
    const ACCESS: Access = Access::Write;

    async fn run<D: Dialect>(items: &[Self], dialect: &D, connection: &mut Connection<D>) -> Answered<Self::Output> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            answers.push(Ok(dialect.sweep(item, connection).await?));
        }
        Ok(answers)
    }
}

impl<D: Dialect, O: Operation> RoundTrip<O> for Server<D> {
    async fn run(&self, items: &[O]) -> Answers<O> {
        let begun = Instant::now();
        let deadline = begun + self.timeout;
        let mut limit = O::ACCESS.first_deadline(begun, self.timeout);
        let mut second = O::ACCESS == Access::Write;
        loop {
            match self.once(items, limit).await {
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
    async fn once<O: Operation>(&self, items: &[O], limit: Instant) -> Result<Vec<Result<O::Output>>, Failure> {
        let pooled = self.pool.take(limit).await;
        let mut pooled = pooled.map_err(|error| Failure::Lost(Error::from(D::failure(&error))))?;
        let connection = pooled.connection().map_err(Failure::Refused)?;
        let failure = match timeout_at(limit, O::run(items, &*self.dialect, connection)).await {
            Ok(Ok(answers)) => {
                self.pool.keep(pooled);
                return Ok(answers);
            }
            Ok(Err(error)) => D::failure(&error),
            Err(_) => Failure::Lost(TIMED_OUT),
        };
        match &failure {
            Failure::Again(_) | Failure::Refused(_) => self.pool.keep(pooled),
            Failure::Ended(_) => {}
            Failure::Lost(error) => {
                tracing::warn!(%error, "a connection to the session database is given up");
                self.pool.give_up_idle();
            }
        }
        Err(failure)
    }
}
