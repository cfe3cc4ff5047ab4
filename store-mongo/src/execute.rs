//! Sends calls to the server, and retries reads.

use std::future::Future;
use std::time::Duration;

use futures_util::StreamExt as _;
use mongodb::bson::raw::{RawBsonRef, RawDocument};
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::Result as Driven;
use mongodb::options::{FindOptions, ReadPreference, SelectionCriteria};
use mongodb::{Collection, Database};
use session_core::{ErrorKind, Result};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::Trip;
use session_store_kit::operations::Access;
use tokio::time::timeout_at;

use crate::error;

/// Read preference of all reads. Servers other than the primary may be behind.
pub(crate) const PRIMARY: SelectionCriteria = SelectionCriteria::ReadPreference(ReadPreference::Primary);

/// Collection and time-out, which all calls of a store share.
pub(crate) struct Server {
    /// Collection of the sessions, with the concerns that the store needs, whatever those of the client are.
    pub(crate) sessions: Collection<RawDocumentBuf>,
    pub(crate) timeout: Duration,
}

/// Records in one reply.
pub(crate) struct Reply<T> {
    pub(crate) records: Vec<T>,
    /// Whether the reply holds all records that match.
    pub(crate) whole: bool,
}

impl Server {
    /// Runs a batch of `calls` calls, and runs reads once more after a lost answer. The outer error of `run` concerns the whole
    /// batch, an inner one a single call.
    ///
    /// A command that is given up is dropped, and the driver then closes its connection.
    pub(crate) async fn send<T, F>(
        &self,
        access: Access,
        calls: usize,
        trip: Trip,
        run: impl Fn() -> F,
    ) -> Result<Vec<Result<T>>>
    where
        F: Future<Output = Driven<Vec<Result<T>>>>,
    {
        let deadline = trip.deadline;
        let mut limit = access.first_deadline(deadline);
        loop {
            let error = match timeout_at(limit, run()).await {
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
                return Ok((0..calls).map(|_| Err(error.clone())).collect());
            }
            limit = deadline;
        }
    }

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
    ) -> Driven<Reply<T>> {
        let mut replies = self.sessions.find(filter).with_options(options).batch().await?;
        let mut records = Vec::new();
        let Some(reply) = replies.next().await.transpose()? else { return Ok(Reply { records, whole: true }) };
        for document in reply.doc_slices()? {
            if let RawBsonRef::Document(document) = document? {
                records.push(read(document));
            }
        }
        let open = reply.as_raw_document().get_document("cursor").and_then(|cursor| cursor.get_i64("id"));
        Ok(Reply { records, whole: open.is_ok_and(|id| id == 0) })
    }
}
