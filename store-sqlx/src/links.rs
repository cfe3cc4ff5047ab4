//! Connections: taken for one batch, kept for the next, given up when they fail.
//!
//! The driver's own pool asks the server whether a connection is sound each time one is given back, and again when it is
//! taken: two round trips around each statement. Here only one that has been idle is asked.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{Error, ErrorKind, Result};
use sqlx::pool::PoolConnection;
use sqlx::{ConnectOptions as _, Connection as _, Database, Pool};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

/// From so long without use on a connection is asked whether it is sound before it is relied on.
const FRESH: Duration = Duration::from_secs(1);
/// How long that answer may take at most, or a quarter of the time-out.
const PING: Duration = Duration::from_secs(1);
/// How long a connection is kept without use, and how long altogether, so that it follows a server to another address.
const IDLE: Duration = Duration::from_secs(600);
const LIFE: Duration = Duration::from_secs(1800);

type Options<DB> = <<DB as Database>::Connection as sqlx::Connection>::Options;

/// What is done to each connection of the store's own before its first statement.
pub type SetUp<DB> = Box<
    dyn for<'c> Fn(
            &'c mut <DB as Database>::Connection,
        ) -> Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + 'c>>
        + Send
        + Sync,
>;

/// Where connections come from.
pub enum Source<DB: Database> {
    /// They are made by the store, and prepared.
    Own(Box<Options<DB>>, Option<SetUp<DB>>),
    /// The application's own pool. Connections are back in it after each batch.
    ///
    /// Tokio runtimes share it, so a connection works only while the runtime that made it runs.
    Pool(Pool<DB>),
}

impl<DB: Database> fmt::Debug for Source<DB> {
    /// Without the options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own(..) => "Own",
            Self::Pool(_) => "Pool",
        })
    }
}

/// The connections of one store on one tokio runtime.
///
/// A connection works only while the runtime that made it runs, so runtimes share none.
pub struct Links<DB: Database> {
    source: Arc<Source<DB>>,
    ping: Duration,
    size: usize,
    room: Semaphore,
    idle: Mutex<Vec<Idle<DB>>>,
}

struct Idle<DB: Database> {
    connection: DB::Connection,
    made: Instant,
    since: Instant,
}

/// A connection in use. One that is not [kept](Links::keep) is closed.
pub struct Link<'a, DB: Database> {
    connection: Option<Either<DB>>,
    made: Instant,
    _room: SemaphorePermit<'a>,
}

enum Either<DB: Database> {
    Own(DB::Connection),
    Pooled(PoolConnection<DB>),
}

impl<DB: Database> Links<DB> {
    /// At most `size` at once. `timeout` is what a call may take.
    pub fn new(source: Source<DB>, size: usize, timeout: Duration) -> Self {
        Self::from(Arc::new(source), size, PING.min(timeout / 4))
    }

    fn from(source: Arc<Source<DB>>, size: usize, ping: Duration) -> Self {
        Self { source, ping, size, room: Semaphore::new(size), idle: Mutex::default() }
    }

    /// As many connections from the same source, for another runtime.
    pub(crate) fn elsewhere(&self) -> Self {
        Self::from(Arc::clone(&self.source), self.size, self.ping)
    }

    /// Only pushes and pops happen under this lock, so a poisoned one guards nothing half done.
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<DB>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection that worked a moment ago, or that has just been tried, or that is new.
    ///
    /// # Errors
    /// The driver's, and [`PoolTimedOut`](sqlx::Error::PoolTimedOut) when there is none by `until`.
    pub async fn take(&self, until: Instant) -> Result<Link<'_, DB>, sqlx::Error> {
        let room = timeout_at(until, self.room.acquire()).await.map_err(|_| sqlx::Error::PoolTimedOut)?;
        let room = room.map_err(|_| sqlx::Error::PoolClosed)?;
        loop {
            let last = self.idle().pop();
            let Some(Idle { mut connection, made, since }) = last else { break };
            let now = Instant::now();
            if now >= made + LIFE || now >= since + IDLE {
                continue;
            }
            let sound = since + FRESH > now
                || matches!(timeout_at(until.min(now + self.ping), connection.ping()).await, Ok(Ok(())));
            if sound {
                return Ok(Link { connection: Some(Either::Own(connection)), made, _room: room });
            }
            self.give_up_idle();
        }
        let connection = timeout_at(until, self.connect()).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
        Ok(Link { connection: Some(connection), made: Instant::now(), _room: room })
    }

    async fn connect(&self) -> Result<Either<DB>, sqlx::Error> {
        match &*self.source {
            Source::Own(options, set_up) => {
                let mut connection = options.connect().await?;
                if let Some(set_up) = set_up {
                    set_up(&mut connection).await?;
                }
                Ok(Either::Own(connection))
            }
            Source::Pool(pool) => Ok(Either::Pooled(pool.acquire().await?)),
        }
    }

    /// Keeps a connection that has answered for the next batch.
    pub fn keep(&self, mut link: Link<'_, DB>) {
        if let Some(Either::Own(connection)) = link.connection.take_if(|own| matches!(own, Either::Own(_))) {
            let now = Instant::now();
            let mut idle = self.idle();
            // The first has been idle for longest. One at a time is enough: connections come back more often than they grow old.
            if idle.first().is_some_and(|first| now >= first.since + IDLE) {
                drop(idle.remove(0));
            }
            idle.push(Idle { connection, made: link.made, since: now });
            return;
        }
        // Dropped outside the link it goes back to its pool.
        drop(link.connection.take());
    }

    /// When one fails the idle ones of the same age are likely to be dead, too, and each would cost somebody a time-out.
    pub fn give_up_idle(&self) {
        let dead = std::mem::take(&mut *self.idle());
        drop(dead);
    }
}

impl<DB: Database> fmt::Debug for Links<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Links").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<DB: Database> Link<'_, DB> {
    /// The connection itself.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if it has been given back, which no program of ours does.
    pub fn connection(&mut self) -> Result<&mut DB::Connection> {
        match &mut self.connection {
            Some(Either::Own(connection)) => Ok(connection),
            Some(Either::Pooled(connection)) => Ok(connection),
            None => Err(Error::fixed(ErrorKind::Other, "a connection was used after it was given back")),
        }
    }
}

impl<DB: Database> fmt::Debug for Link<'_, DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

impl<DB: Database> Drop for Link<'_, DB> {
    /// What is not kept may stand in the midst of an answer. A pool would wait for the rest of it.
    fn drop(&mut self) {
        if let Some(Either::Pooled(connection)) = self.connection.take() {
            drop(connection.detach());
        }
    }
}
