//! Connection pool: a connection is taken for one batch, kept for the next, and closed when it fails.
//!
//! The driver's own pool pings a connection each time it is given back and again when it is taken. That adds two round trips
//! to each statement. This pool pings a connection only after it has been idle for a second.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use session_core::{Error, ErrorKind, Result};
use sqlx::pool::PoolConnection;
use sqlx::{Connection as _, Database};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::connecting::{Connecting, NoServer};
pub use crate::connecting::{Options, SetUp};
use crate::locks::ServerLimits;
use crate::places::{Place, Places, Purpose};

/// Idle time after which a connection is pinged before it is used again.
const FRESH: Duration = Duration::from_secs(1);
/// Maximum time for such a ping. A quarter of the call's time-out applies instead if that is shorter.
const PING: Duration = Duration::from_secs(1);
/// Maximum idle time of a connection.
const IDLE: Duration = Duration::from_secs(600);
/// Maximum age of a connection, so that the store follows a server to a new address.
const LIFE: Duration = Duration::from_secs(1800);

/// Time after which a pool that was refused a connection tries to have one more again.
const GROWS: Duration = Duration::from_secs(10);
/// Pause before a pool without any connection asks again for the first.
const PAUSE: Duration = Duration::from_millis(50);

/// Source of a store's connections.
pub enum Source<DB: Database> {
    /// Connections that the store makes to the first of these servers that can be used, and prepares with the function, if there
    /// is one. There is at least one server.
    Own(Vec<Options<DB>>, Option<SetUp<DB>>),
    /// The application's own pool, to which a connection returns after each batch.
    ///
    /// All tokio runtimes share it, and a connection works only while the runtime that made it runs.
    Pool(sqlx::Pool<DB>),
}

impl<DB: Database> fmt::Debug for Source<DB> {
    /// Leaves out the connection options, which hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Own(..) => "Own",
            Self::Pool(_) => "Pool",
        })
    }
}

/// Connections of one store on one tokio runtime.
///
/// A connection works only while the runtime that made it runs, so runtimes share no connections.
pub struct Pool<DB: Database> {
    source: Arc<Source<DB>>,
    connecting: Arc<Connecting<DB>>,
    ping: Duration,
    /// Whether the server refused a connection because it has too many.
    is_full: fn(&sqlx::Error) -> bool,
    size: usize,
    places: Arc<Places>,
    /// Time at which the pool tries to have one more connection, if it has fewer than `size`.
    grows: Mutex<Option<Instant>>,
    idle: Mutex<Vec<Idle<DB>>>,
}

struct Idle<DB: Database> {
    connection: DB::Connection,
    made: Instant,
    since: Instant,
    limits: Option<ServerLimits>,
}

/// A connection in use. It is closed unless it is [kept](Pool::keep).
pub struct Pooled<DB: Database> {
    connection: Option<Either<DB>>,
    made: Instant,
    /// The server's limits, if they are not those with which the connection was made.
    pub(crate) limits: Option<ServerLimits>,
    _place: Place,
}

enum Either<DB: Database> {
    Own(DB::Connection),
    Pooled(PoolConnection<DB>),
}

impl<DB: Database> Pool<DB> {
    /// Returns a pool of at most `size` connections. `timeout` is the time-out of a call. `is_full` tells whether the server refused
    /// a connection because it has too many.
    pub fn new(source: Source<DB>, size: usize, timeout: Duration, is_full: fn(&sqlx::Error) -> bool) -> Self {
        Self::from(Arc::new(source), size, PING.min(timeout / 4), is_full)
    }

    fn from(source: Arc<Source<DB>>, size: usize, ping: Duration, is_full: fn(&sqlx::Error) -> bool) -> Self {
        let (connecting, places) = (Arc::default(), Places::new(size));
        Self { source, connecting, ping, is_full, size, places, grows: Mutex::default(), idle: Mutex::default() }
    }

    /// Sets how the store's own connections are made.
    #[must_use]
    pub(crate) fn connecting(mut self, connecting: Connecting<DB>) -> Self {
        self.connecting = Arc::new(connecting);
        self
    }

    /// Returns an empty pool of the same size and source, for another runtime.
    pub(crate) fn elsewhere(&self) -> Self {
        let elsewhere = Self::from(Arc::clone(&self.source), self.size, self.ping, self.is_full);
        Self { connecting: Arc::clone(&self.connecting), ..elsewhere }
    }

    /// Locks the idle connections. No change under this lock is ever left half done, so a poisoned lock is used like any other.
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<DB>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the connections are the store's own, and so are their settings.
    pub(crate) fn is_own(&self) -> bool {
        matches!(*self.source, Source::Own(..))
    }

    /// Returns the maximum number of connections.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    /// Takes a connection: one used within the last second, one that has just answered a ping, or a new one.
    ///
    /// If the server has too many connections, waits for one of the pool's own. From then on the pool has fewer, and tries to have
    /// more again some time later.
    ///
    /// # Errors
    /// The driver's errors, and [`PoolTimedOut`](sqlx::Error::PoolTimedOut) if there is no connection by `until` and the server has
    /// refused none.
    pub async fn take(&self, purpose: Purpose, until: Instant) -> Result<Pooled<DB>, sqlx::Error> {
        self.grow();
        // The server's last refusal says more than that time is over.
        let mut refusal = None;
        loop {
            let Ok(place) = timeout_at(until, self.places.take(purpose)).await else {
                return Err(refusal.unwrap_or(sqlx::Error::PoolTimedOut));
            };
            if let Some(Idle { connection, made, limits, .. }) = self.take_idle(until).await {
                return Ok(Pooled { connection: Some(Either::Own(connection)), made, limits, _place: place });
            }
            let connected = timeout_at(until, self.connect(until)).await.unwrap_or(Err(sqlx::Error::PoolTimedOut));
            let full = match connected {
                Ok(connection) => {
                    let made = Instant::now();
                    return Ok(Pooled { connection: Some(connection), made, limits: None, _place: place });
                }
                Err(error) if NoServer::any(&error, self.is_full) => error,
                Err(sqlx::Error::PoolTimedOut) => return Err(refusal.unwrap_or(sqlx::Error::PoolTimedOut)),
                Err(error) => return Err(error),
            };
            let pause = Instant::now() + PAUSE;
            if place.refuse() {
                tracing::debug!(size = self.places.size(), "the session database allows fewer connections");
                *self.grows.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + GROWS);
            } else if pause < until {
                // sleep: the server does not tell when another client has closed a connection.
                sleep_until(pause).await;
            } else {
                return Err(full);
            }
            refusal = Some(full);
        }
    }

    /// Lets the pool have one more connection, some time after the server refused one.
    fn grow(&self) {
        let mut grows = self.grows.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if grows.is_none_or(|at| now < at) {
            return;
        }
        *grows = (self.places.size() + 1 < self.size).then(|| now + GROWS);
        drop(grows);
        self.places.grow(self.size);
    }

    /// Takes an idle connection that works.
    async fn take_idle(&self, until: Instant) -> Option<Idle<DB>> {
        loop {
            let mut last = self.idle().pop()?;
            let now = Instant::now();
            if now >= last.made + LIFE || now >= last.since + IDLE {
                continue;
            }
            let sound = last.since + FRESH > now
                || matches!(timeout_at(until.min(now + self.ping), last.connection.ping()).await, Ok(Ok(())));
            if sound {
                return Some(last);
            }
            self.give_up_idle();
        }
    }

    async fn connect(&self, until: Instant) -> Result<Either<DB>, sqlx::Error> {
        match &*self.source {
            Source::Own(servers, set_up) => {
                Ok(Either::Own(self.connecting.connect(servers, set_up.as_ref(), until).await?))
            }
            Source::Pool(pool) => Ok(Either::Pooled(pool.acquire().await?)),
        }
    }

    /// Keeps a connection that has answered, for the next batch.
    pub fn keep(&self, mut pooled: Pooled<DB>) {
        if let Some(Either::Own(connection)) = pooled.connection.take_if(|own| matches!(own, Either::Own(_))) {
            let now = Instant::now();
            let mut idle = self.idle();
            // The first connection has been idle for longest. Removing one at a time is enough because connections come back
            // more often than they expire.
            if idle.first().is_some_and(|first| now >= first.since + IDLE) {
                drop(idle.remove(0));
            }
            idle.push(Idle { connection, made: pooled.made, since: now, limits: pooled.limits });
            return;
        }
        // A pooled connection that is dropped here goes back to its pool.
        drop(pooled.connection.take());
    }

    /// Closes the idle connections as the protocol has it, so that the server notes no lost client. Takes at most `timeout`.
    pub(crate) async fn close(&self, timeout: Duration) {
        let idle = std::mem::take(&mut *self.idle());
        let closed = timeout_at(Instant::now() + timeout, async {
            for Idle { connection, .. } in idle {
                // A connection that is lost already is closed, too.
                let _ = connection.close().await;
            }
        });
        // Those that are left are dropped.
        let _ = closed.await;
    }

    /// Closes all idle connections without a word. After one connection fails, the idle ones are probably dead as well, and each of them would
    /// cost a call its time-out.
    pub fn give_up_idle(&self) {
        let dead = std::mem::take(&mut *self.idle());
        drop(dead);
    }
}

impl<DB: Database> fmt::Debug for Pool<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("source", &self.source).finish_non_exhaustive()
    }
}

impl<DB: Database> Pooled<DB> {
    /// Returns the driver's connection.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if the connection has been given back, which [`Pool::keep`] rules out because it consumes it.
    pub fn connection(&mut self) -> Result<&mut DB::Connection> {
        match &mut self.connection {
            Some(Either::Own(connection)) => Ok(connection),
            Some(Either::Pooled(connection)) => Ok(connection),
            None => Err(Error::fixed(ErrorKind::Other, "a connection was used after it was given back")),
        }
    }
}

impl<DB: Database> fmt::Debug for Pooled<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pooled").finish_non_exhaustive()
    }
}

impl<DB: Database> Drop for Pooled<DB> {
    /// Closes a connection that was not kept. It may be in the middle of an answer, and a pool would wait for the rest.
    fn drop(&mut self) {
        if let Some(Either::Pooled(connection)) = self.connection.take() {
            drop(connection.detach());
        }
    }
}
