//! Calls on the threads of a store. The writer commits many in one transaction; a reader answers many from one snapshot.

use std::sync::Arc;
use std::time::Instant;

use redb::WriteTransaction;
use session_core::{Error, Namespace, Result};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::{Answers, Reply, Request, RequestKind, Worker};

use crate::Durability;
use crate::database::{Handle, PANICKED, unpanicked};
use crate::error;
use crate::flush::Flusher;
use crate::open_file::OpenFile;
use crate::read;
use crate::schema::Prefix;
use crate::write::Tables;

/// What the threads of a store share.
pub(crate) struct Namespaced {
    pub(crate) handle: Arc<Handle>,
    pub(crate) namespace: Namespace,
    pub(crate) prefix: Prefix,
}

impl Namespaced {
    /// Returns the open database, for a batch of `requests`.
    fn ready(&self, requests: &[Request]) -> Result<Arc<OpenFile>> {
        let last = requests.iter().map(|request| request.deadline).max();
        self.handle.0.ready(Some(&self.namespace), last.unwrap_or_else(Instant::now))
    }
}

/// The only thread of a store that writes.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Namespaced>,
    pub(crate) durability: Durability,
    /// Writes delayed commits to disk.
    pub(crate) flusher: Option<Flusher>,
}

impl Worker for Writer {
    type Item = Request;

    fn run(&mut self, requests: &[Request]) -> Answers<Request> {
        let database = &self.shared.handle.0;
        let open = match self.shared.ready(requests) {
            Ok(open) => open,
            Err(error) => return Ok(all(requests, &error)),
        };
        match unpanicked(|| self.write(&open, requests)).unwrap_or_else(|| Ok(Committed::Panicked)) {
            Ok(Committed::Panicked) => {
                database.discard(&open);
                Ok(all(requests, &PANICKED))
            }
            // Also if nothing was committed: the replies may tell of what another store of this process has just committed.
            Ok(Committed::Nothing(replies) | Committed::Yes(replies)) => match unpanicked(|| open.publish()) {
                Some(Ok(())) if database.is_in_place(open.file()) => Ok(replies),
                Some(Ok(())) => Ok(all(requests, &error::REPLACED)),
                Some(Err(error)) => {
                    database.discard(&open);
                    Ok(all(requests, &error::in_use(&error)))
                }
                None => {
                    database.discard(&open);
                    Ok(all(requests, &PANICKED))
                }
            },
            Ok(Committed::Unknown(error)) => Ok(all(requests, &self.failed(&open, &error))),
            // Nothing was written, so each call is run again on its own.
            Err(error) => Err(self.failed(&open, &error).into()),
        }
    }
}

/// How a transaction ended.
enum Committed {
    /// No call changed anything, so nothing had to be committed.
    Nothing(Vec<Result<Reply>>),
    Yes(Vec<Result<Reply>>),
    /// The commit failed, so the transaction may be stored or not.
    Unknown(redb::Error),
    /// redb panicked, so the same holds, and what is left of the database must not be used again.
    Panicked,
}

impl Writer {
    /// Executes the calls in one transaction.
    ///
    /// # Errors
    /// The error of an operation, after which nothing is written.
    fn write(&self, open: &OpenFile, requests: &[Request]) -> Result<Committed, redb::Error> {
        let mut transaction = open.begin_write()?;
        if self.durability == Durability::Delayed {
            transaction.set_durability(redb::Durability::None)?;
        }
        let (replies, changed) = self.execute(&transaction, requests)?;
        if !changed {
            transaction.abort()?;
            return Ok(Committed::Nothing(replies));
        }
        Ok(match transaction.commit() {
            Ok(()) => {
                if requests.iter().any(|request| makes_room(&request.kind)) {
                    self.shared.handle.0.note_room();
                }
                if let Some(flusher) = &self.flusher {
                    flusher.notify();
                }
                Committed::Yes(replies)
            }
            Err(error) => Committed::Unknown(error.into()),
        })
    }

    /// Returns the replies, and whether any call has changed anything.
    fn execute(
        &self,
        transaction: &WriteTransaction,
        requests: &[Request],
    ) -> Result<(Vec<Result<Reply>>, bool), redb::Error> {
        // Some callers may have timed out while this thread waited for another store's transaction. Their calls must not be executed any more.
        let begun = Instant::now();
        let full = self.shared.handle.0.is_full();
        let mut tables = Tables::open(transaction, &self.shared.prefix, full)?;
        let mut replies = Vec::with_capacity(requests.len());
        for request in requests {
            replies.push(if request.deadline <= begun { Err(TIMED_OUT) } else { tables.execute(request)? });
        }
        Ok((replies, tables.changed))
    }

    /// Converts the error of a batch. redb uses no file again that it has failed to read or write.
    fn failed(&self, open: &Arc<OpenFile>, error: &redb::Error) -> Error {
        let database = &self.shared.handle.0;
        if error::is_disk_full(error) {
            database.note_full();
        }
        database.discard(open);
        error::in_use(error)
    }
}

/// Whether the call may remove records.
const fn makes_room(kind: &RequestKind) -> bool {
    matches!(kind, RequestKind::Delete(..) | RequestKind::DeleteAll(..) | RequestKind::Purge(_))
}

/// A thread that reads.
pub(crate) struct Reader(pub(crate) Arc<Namespaced>);

impl Worker for Reader {
    type Item = Request;

    /// Answers all calls from one snapshot. It is taken after the calls were made, so each sees everything reported before it.
    fn run(&mut self, requests: &[Request]) -> Answers<Request> {
        let database = &self.0.handle.0;
        let open = match self.0.ready(requests) {
            Ok(open) => open,
            Err(error) => return Ok(all(requests, &error)),
        };
        let snapshot = open.snapshot();
        let read = |request| read::execute(&snapshot, &self.0.prefix, request);
        match unpanicked(|| requests.iter().map(read).collect::<Result<_, redb::Error>>()) {
            Some(Ok(replies)) => Ok(replies),
            Some(Err(error)) => {
                database.discard(&open);
                Err(error::in_use(&error).into())
            }
            None => {
                database.discard(&open);
                Ok(all(requests, &PANICKED))
            }
        }
    }
}

/// Answers all calls with the same error.
fn all(requests: &[Request], error: &Error) -> Vec<Result<Reply>> {
    requests.iter().map(|_| Err(error.clone())).collect()
}
