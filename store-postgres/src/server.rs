//! How a batch gets to the server and back.

use std::future::Future;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use session_core::Result;
use sqlx::PgConnection;
use store_batch::{Answers, Item, RoundTrip};
use tokio::time::{Instant, timeout_at};

use crate::error::{self, Failure, TIMED_OUT};
use crate::links::Links;
use crate::schema::Statements;

/// A kind of call.
pub(crate) trait Op: Item {
    /// Whether it may be sent again when nobody knows whether it was done. A write may not, though it would do no harm
    /// if it was the last one: somebody may have built on it meanwhile, and would make it look refused.
    const READS: bool;

    /// Carries out at least one of them. The outer error is that of all, the inner ones concern one each.
    fn run(
        items: &[Self],
        sql: &Statements,
        connection: &mut PgConnection,
    ) -> impl Future<Output = sqlx::Result<Vec<Result<Self::Output>>>> + Send
    where
        Self: Sized;
}

/// What all batches of a store share.
pub(crate) struct Server {
    pub(crate) links: Links,
    pub(crate) sql: Statements,
    pub(crate) timeout: Duration,
}

/// The way of one kind of call.
pub(crate) struct Trip<O> {
    pub(crate) server: Arc<Server>,
    pub(crate) of: PhantomData<fn(O)>,
}

impl<O: Op> RoundTrip for Trip<O> {
    type Item = O;

    async fn run(&self, items: &[O]) -> Answers<O> {
        let begun = Instant::now();
        let deadline = begun + self.server.timeout;
        // A connection that died without a word must not cost a load all of its time.
        let mut limit = if O::READS { begun + self.server.timeout / 2 } else { deadline };
        let mut second = !O::READS;
        loop {
            match self.server.once::<O>(items, limit).await {
                Ok(answers) => return Ok(answers),
                Err(Failure::Again(error)) if Instant::now() >= limit => return Err(error),
                Err(Failure::Again(error)) => tracing::debug!(%error, "a statement was undone and is sent again"),
                // Each alone has another chance.
                Err(Failure::Refused(error)) => return Err(error),
                Err(Failure::Lost(_)) if !second => {
                    second = true;
                    limit = deadline;
                }
                Err(Failure::Lost(error)) => return Ok(items.iter().map(|_| Err(error.clone())).collect()),
            }
        }
    }
}

impl Server {
    async fn once<O: Op>(&self, items: &[O], limit: Instant) -> Result<Vec<Result<O::Output>>, Failure> {
        let mut link = self.links.take(limit).await.map_err(|error| Failure::Lost(error::in_use(&error).into()))?;
        let connection = link.connection().map_err(Failure::Refused)?;
        let failure = match timeout_at(limit, O::run(items, &self.sql, connection)).await {
            Ok(Ok(answers)) => {
                self.links.keep(link);
                return Ok(answers);
            }
            Ok(Err(error)) => error::in_use(&error),
            Err(_) => Failure::Lost(TIMED_OUT),
        };
        if let Failure::Lost(error) = &failure {
            tracing::warn!(%error, "a connection to the session database is given up");
            self.links.give_up_idle();
        } else {
            self.links.keep(link);
        }
        Err(failure)
    }
}
