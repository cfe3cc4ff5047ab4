//! How calls get to the server and back.

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
use store_batch::{Answers, Item, PerRuntime, RoundTrip};
use tokio::time::{Instant, timeout_at};

use crate::error::{self, TIMED_OUT};

/// Where everything is read: the others may be behind.
pub(crate) const PRIMARY: SelectionCriteria = SelectionCriteria::ReadPreference(ReadPreference::Primary);

/// A kind of call.
pub(crate) trait Op: Item {
    /// Whether it may be sent again when nobody knows whether it was done. A write may not, though it would do no harm
    /// if it was the last one: somebody may have built on it meanwhile, and would make it look refused.
    const READS: bool;

    /// Carries out at least one of them. The outer error is that of all, the inner ones concern one each.
    fn run(items: &[Self], server: &Server) -> impl Future<Output = Driven<Vec<Result<Self::Output>>>> + Send
    where
        Self: Sized;
}

/// A call that is never sent with another.
pub(crate) trait Alone: Item {
    /// As [`Op::READS`].
    const READS: bool;

    /// Carries it out. The outer error may be the server's trouble with anything, the inner one is about what this call asks for.
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

/// What all calls of a store share.
pub(crate) struct Server {
    /// With the concerns that the store needs, whatever the client's are.
    pub(crate) sessions: Collection<RawDocumentBuf>,
    pub(crate) timeout: Duration,
}

/// The way of one kind of call.
pub(crate) struct Trip<O> {
    pub(crate) servers: PerRuntime<Server>,
    pub(crate) of: PhantomData<fn(O)>,
}

impl<O: Op> RoundTrip for Trip<O> {
    type Item = O;

    /// What is given up half-way is dropped, which the driver bears: it closes the connection.
    async fn run(&self, items: &[O]) -> Answers<O> {
        let server = self.servers.get()?;
        let begun = Instant::now();
        let deadline = begun + server.timeout;
        // A connection that died without a word must not cost a read all of its time.
        let mut limit = if O::READS { begun + server.timeout / 2 } else { deadline };
        loop {
            let error = match timeout_at(limit, O::run(items, &server)).await {
                Ok(Ok(answers)) => return Ok(answers),
                Ok(Err(error)) => error::in_use(&error),
                Err(_) => TIMED_OUT,
            };
            if error.kind() != ErrorKind::Unavailable {
                // Each alone has another chance.
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

/// Records that were found.
pub(crate) struct Found<T> {
    pub(crate) records: Vec<T>,
    /// Whether that is all of them.
    pub(crate) whole: bool,
}

impl Server {
    pub(crate) fn database(&self) -> Database {
        self.sessions.client().database(&self.sessions.namespace().db)
    }

    /// What the primary says of itself.
    pub(crate) async fn hello(&self) -> Driven<Document> {
        self.command(doc! { "hello": 1 }).await
    }

    /// Runs a command on the primary.
    pub(crate) async fn command(&self, command: Document) -> Driven<Document> {
        self.database().run_command(command).selection_criteria(PRIMARY).await
    }

    /// What one reply holds of the documents that `filter` finds.
    ///
    /// The driver would ask for the rest of a long answer by itself. Between two replies a record may be written again, and a server
    /// need not show it then: those that lie on PostgreSQL look for the rest by where rows lie.
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
