//! The connection of one runtime, and the limits on its calls.

use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use futures_util::FutureExt as _;
use session_core::{Error, Result};
use session_store_kit::TIMED_OUT;
use session_store_kit::batch::Pass;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use crate::address::Address;
use crate::connection::{Connection, Failure, Options};
use crate::error;
use crate::proof::Proof;
use crate::revisions::Revisions;
use crate::schema::Subjects;
use crate::shared::SharedWork;

/// Longest time for an attempt to connect to one of several servers.
const ATTEMPT: Duration = Duration::from_secs(2);

/// What all runtimes share.
pub(crate) struct Target {
    pub(crate) addresses: Vec<Address>,
    pub(crate) options: Options,
    pub(crate) subjects: Subjects,
    pub(crate) timeout: Duration,
    /// Maximum length of a record's data.
    pub(crate) max_data_len: usize,
    /// Whether several servers have the bucket, so that one of them may believe to lead although it does not.
    pub(crate) replicated: bool,
    /// Milliseconds by which the servers' clock is ahead of this machine's.
    pub(crate) ahead: i64,
    pub(crate) revisions: Revisions,
}

/// Part of the store that belongs to one runtime. Each call keeps it, and so it keeps the store from being closed.
pub(crate) struct Local {
    pub(crate) at: Arc<Target>,
    connection: Mutex<Option<Arc<Connection>>>,
    connecting: SharedWork<Arc<Connection>>,
    /// Position of the address that the next connection is made to.
    next: AtomicUsize,
    /// One permit for each call in flight.
    permits: Semaphore,
    pub(crate) proof: Proof,
    _pass: Pass,
}

impl Local {
    pub(crate) fn new(at: Arc<Target>, first: Option<Connection>, start: usize, calls: usize, pass: Pass) -> Self {
        Self {
            at,
            connection: Mutex::new(first.map(Arc::new)),
            connecting: SharedWork::new(),
            next: AtomicUsize::new(start),
            permits: Semaphore::new(calls.min(Semaphore::MAX_PERMITS)),
            proof: Proof::new(),
            _pass: pass,
        }
    }

    /// Waits for a permit and runs a call, both within the time-out.
    pub(crate) async fn call<T>(&self, work: Pin<&mut impl Future<Output = Result<T>>>) -> Result<T> {
        let limited = async {
            let _permit = self.permits.acquire().await.map_err(|_| error::STOPPED)?;
            work.await
        };
        let begun = Instant::now();
        match timeout(self.at.timeout, limited).await {
            Ok(result) => result,
            Err(_) => {
                // A connection on which nothing has come all the time is dead, or its server hangs.
                if let Some(connection) = self.current().filter(|connection| connection.is_silent_since(begun)) {
                    self.replace(&connection);
                }
                Err(TIMED_OUT)
            }
        }
    }

    /// Sends a request that changes nothing. It is sent once more if the first one has no reply: the connection broke, or the server
    /// was silent for half of the time.
    pub(crate) async fn ask(self: &Arc<Self>, subject: &str, payload: Bytes) -> Result<Bytes> {
        let half = Instant::now() + self.at.timeout / 2;
        let connection = self.connection().await?;
        match timeout_at(half, connection.request(subject, None, payload.clone())).await {
            Ok(Ok(reply)) => return Ok(reply),
            Ok(Err(Failure::Lost)) | Err(_) => self.replace(&connection),
            Ok(Err(failure)) => return Err(self.failed(&connection, failure)),
        }
        let connection = self.connection().await?;
        let reply = connection.request(subject, None, payload).await;
        reply.map_err(|failure| self.failed(&connection, failure))
    }

    /// Sends a request that may change something. It is never sent again.
    pub(crate) async fn send(self: &Arc<Self>, subject: &str, headers: HeaderMap, payload: Bytes) -> Result<Bytes> {
        let connection = self.connection().await?;
        let reply = connection.request(subject, Some(headers), payload).await;
        reply.map_err(|failure| self.failed(&connection, failure))
    }

    fn failed(&self, connection: &Arc<Connection>, failure: Failure) -> Error {
        if matches!(failure, Failure::Lost | Failure::Forbidden) {
            self.replace(connection);
        }
        failure.into()
    }

    /// Returns the connection, or else makes one. Calls that need one at the same time share the attempt.
    pub(crate) async fn connection(self: &Arc<Self>) -> Result<Arc<Connection>> {
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let local = Arc::clone(self);
        self.connecting.join(move || async move { local.connect().await }.boxed()).await
    }

    fn current(&self) -> Option<Arc<Connection>> {
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        connection.as_ref().filter(|connection| !connection.has_ended()).map(Arc::clone)
    }

    /// Connects to the first server that answers, beginning with the one after the last.
    async fn connect(&self) -> Result<Arc<Connection>> {
        // Another attempt may have ended between the look at the connection and the begin of this one.
        if let Some(connection) = self.current() {
            return Ok(connection);
        }
        let (addresses, first) = (&self.at.addresses, self.next.load(Ordering::Relaxed));
        let limit = attempt_limit(self.at.timeout, addresses.len());
        let mut failed = error::LOST;
        for n in 0..addresses.len() {
            let at = (first + n) % addresses.len();
            match Connection::open(&addresses[at], &self.at.options, limit).await {
                Ok(connection) => {
                    let connection = Arc::new(connection);
                    self.next.store(at, Ordering::Relaxed);
                    *self.connection.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&connection));
                    return Ok(connection);
                }
                Err(error) => failed = error::in_use(error),
            }
        }
        Err(failed)
    }

    /// Gives up a connection that is silent or broken, for the next server. Calls in flight on it go on.
    fn replace(&self, connection: &Arc<Connection>) {
        let mut current = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, connection)) {
            *current = None;
            self.next.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Returns the time limit for an attempt to connect to one of `servers` servers.
pub(crate) fn attempt_limit(timeout: Duration, servers: usize) -> Duration {
    let servers = u32::try_from(servers).unwrap_or(u32::MAX);
    if servers == 1 { timeout * 3 / 4 } else { (timeout / servers.saturating_add(1)).min(ATTEMPT) }
}
