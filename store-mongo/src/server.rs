//! Sends calls to the server, and retries reads.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use futures_util::StreamExt as _;
use mongodb::bson::raw::{RawBsonRef, RawDocument};
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::Result as Driven;
use mongodb::options::{FindOptions, ReadPreference, SelectionCriteria};
use mongodb::{Collection, Database};
use session_core::{ErrorKind, Result};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Answers, Item, PerRuntime, RoundTrip};
use tokio::time::{Instant, timeout_at};

use crate::error;

/// Read preference of all reads. Servers other than the primary may be behind.
pub(crate) const PRIMARY: SelectionCriteria = SelectionCriteria::ReadPreference(ReadPreference::Primary);

/// A kind of call.
pub(crate) trait Op: Item {
    /// Whether to retry after a lost answer. Not for writes: if another save followed ours, the retry would report a false
    /// conflict.
    const READS: bool;

    /// Carries out a batch of at least one call. The outer error concerns the whole batch, an inner one a single call.
    fn run(items: &[Self], server: &Server) -> impl Future<Output = Driven<Vec<Result<Self::Output>>>> + Send
    where
        Self: Sized;
}

/// A call that is always sent on its own.
pub(crate) trait Alone: Item {
    /// Whether to retry after a lost answer; see [`Op::READS`].
    const READS: bool;

    /// Carries out the call. The outer error is one of the driver or the server, the inner one concerns the stored record.
    fn alone(&self, server: &Server) -> impl Future<Output = Driven<Result<Self::Output>>> + Send;
}

impl<A: Alone> Op for A {
    const READS: bool = A::READS;

    async fn run(items: &[Self], server: &Server) -> Driven<Vec<Result<Self::Output>>> {
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            answers.push(item.alone(server).await?);
        }
        Ok(answers)
    }
}

/// Collection and time-out, which all calls of a store share.
pub(crate) struct Server {
    /// Collection of the sessions, with the concerns that the store needs, whatever those of the client are.
    pub(crate) sessions: Collection<RawDocumentBuf>,
    pub(crate) timeout: Duration,
}

/// Round trips of one kind of call.
pub(crate) struct Trip<O> {
    pub(crate) servers: PerRuntime<Server>,
    pub(crate) of: PhantomData<fn(O)>,
}

impl<O: Op> RoundTrip for Trip<O> {
    type Item = O;

    /// Sends a batch, and a batch of reads once more after a lost answer. A command that is given up is dropped, and the driver
    /// then closes its connection.
    async fn run(&self, items: &[O]) -> Answers<O> {
        let server = self.servers.get()?;
        let begun = Instant::now();
        let deadline = begun + server.timeout;
        // The first attempt at a read takes half of the time-out at most, so that a dead connection leaves time for a second.
        let mut limit = if O::READS { begun + server.timeout / 2 } else { deadline };
        loop {
            let error = match timeout_at(limit, O::run(items, &server)).await {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(error)) => error::in_use(&error),
                Err(_) => TIMED_OUT,
            };
            if error.kind() != ErrorKind::Unavailable {
                // After this error each call of the batch is run again on its own.
                return Err(error);
            }
            if limit == deadline {
                tracing::warn!(%error, "the session database does not answer as it should");
                return Ok(items.iter().map(|_| Err(error.clone())).collect());
            }
            limit = deadline;
        }
    }
}

/// Records in one reply.
pub(crate) struct Found<T> {
    pub(crate) records: Vec<T>,
    /// Whether the reply holds all records that match.
    pub(crate) whole: bool,
}

impl Server {
    pub(crate) fn database(&self) -> Database {
        self.sessions.client().database(&self.sessions.namespace().db)
    }

    /// Asks the primary for its properties.
    pub(crate) async fn hello(&self) -> Driven<Document> {
        self.command(doc! { "hello": 1 }).await
    }

    /// Runs a command on the primary.
    pub(crate) async fn command(&self, command: Document) -> Driven<Document> {
        self.database().run_command(command).selection_criteria(PRIMARY).await
    }

    /// Returns the documents that match `filter`, as far as one reply holds them.
    ///
    /// The driver would fetch the rest of a long result on its own. A record that is written between two replies may then be
    /// missed: servers that keep documents in PostgreSQL continue by the position of the rows.
    pub(crate) async fn first<T>(
        &self,
        filter: Document,
        options: FindOptions,
        read: impl Fn(&RawDocument) -> T,
    ) -> Driven<Found<T>> {
        let mut replies = self.sessions.find(filter).with_options(options).batch().await?;
        let mut records = Vec::new();
        let Some(reply) = replies.next().await.transpose()? else { return Ok(Found { records, whole: true }) };
        for document in reply.doc_slices()? {
            if let RawBsonRef::Document(document) = document? {
                records.push(read(document));
            }
        }
        let open = reply.as_raw_document().get_document("cursor").and_then(|cursor| cursor.get_i64("id"));
        Ok(Found { records, whole: open.is_ok_and(|id| id == 0) })
    }
}
