//! How a store connects: to which of its servers, with which password, and for how long it tries.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session_core::{Error, ErrorKind, Result};
use session_store_kit::PasswordSource;
use sqlx::{ConnectOptions as _, Database, Error as Driver};
use tokio::time::{Instant, timeout, timeout_at};

/// Options of a connection to a database.
pub type Options<DB> = <<DB as Database>::Connection as sqlx::Connection>::Options;

/// Prepares each connection that the store makes, before its first statement.
pub type SetUp<DB> = Box<
    dyn for<'c> Fn(
            &'c mut <DB as Database>::Connection,
        ) -> Pin<Box<dyn Future<Output = Result<(), sqlx::Error>> + Send + 'c>>
        + Send
        + Sync,
>;

/// How a store makes its own connections.
pub(crate) struct Connecting<DB: Database> {
    /// Maximum time of an attempt, besides the time-out of the call that needs the connection.
    pub(crate) limit: Option<Duration>,
    pub(crate) password: Option<PasswordSource>,
    /// Returns the options with another password.
    pub(crate) with: fn(Options<DB>, &str) -> Options<DB>,
    /// Returns host and port, or the socket, as an error names them.
    pub(crate) address: fn(&Options<DB>) -> String,
    /// Whether an error concerns the way of connecting, so that no other server is tried.
    pub(crate) ends: fn(&Driver) -> bool,
    /// Position of the server that took the last connection.
    pub(crate) last: AtomicUsize,
}

impl<DB: Database> Connecting<DB> {
    /// Connects to the first of `servers` that can be used, and prepares the connection. Returns by `until`.
    ///
    /// It begins with the server that took the last connection. Each attempt has an equal share of the time that is left, so a
    /// server that answers nothing leaves time for the others. Names are looked up again for each attempt.
    ///
    /// # Errors
    /// The error of the only server, or [`NoServer`] with those of all.
    pub(crate) async fn connect(
        &self,
        servers: &[Options<DB>],
        set_up: Option<&SetUp<DB>>,
        until: Instant,
    ) -> Result<DB::Connection, Driver> {
        let mut refusals = Vec::new();
        let first = self.last.load(Ordering::Relaxed);
        for (at, left) in (0..servers.len()).map(|n| ((first + n) % servers.len(), servers.len() - n)) {
            let now = Instant::now();
            let share = until.saturating_duration_since(now) / u32::try_from(left).unwrap_or(u32::MAX);
            let attempt = timeout_at(now + share, self.attempt(&servers[at], set_up)).await;
            match attempt.unwrap_or(Err(Driver::PoolTimedOut)) {
                Ok(connection) => {
                    self.last.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) if servers.len() == 1 || (self.ends)(&error) => return Err(error),
                Err(error) => refusals.push(Refusal { address: (self.address)(&servers[at]), error }),
            }
        }
        Err(Driver::Configuration(Box::new(NoServer(refusals))))
    }

    /// Connects to one server, with the password of this moment.
    async fn attempt(&self, options: &Options<DB>, set_up: Option<&SetUp<DB>>) -> Result<DB::Connection, Driver> {
        let connecting = async {
            match &self.password {
                None => options.connect().await,
                Some(source) => {
                    let password = source.ask().await.map_err(unasked)?;
                    (self.with)(options.clone(), &password).connect().await
                }
            }
        };
        let mut connection = match self.limit {
            None => connecting.await?,
            Some(limit) => timeout(limit, connecting).await.map_err(|_| Driver::PoolTimedOut)??,
        };
        if let Some(set_up) = set_up {
            set_up(&mut connection).await?;
        }
        Ok(connection)
    }
}

impl<DB: Database> Default for Connecting<DB> {
    fn default() -> Self {
        Self {
            limit: None,
            password: None,
            with: |options, _| options,
            address: |_| "a server".to_owned(),
            ends: |_| false,
            last: AtomicUsize::new(0),
        }
    }
}

impl<DB: Database> fmt::Debug for Connecting<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Error of a connection to several servers, none of which could be used.
#[derive(Debug)]
pub(crate) struct NoServer(pub(crate) Vec<Refusal>);

/// Reason why one server could not be used.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) address: String,
    pub(crate) error: Driver,
}

impl NoServer {
    /// Returns the errors of the servers if `error` is such an error.
    pub(crate) fn of(error: &Driver) -> Option<&[Refusal]> {
        match error {
            Driver::Configuration(error) => error.downcast_ref::<Self>().map(|Self(refusals)| &**refusals),
            _ => None,
        }
    }

    /// Whether `error`, or that of one of several servers, is as `is` says.
    pub(crate) fn any(error: &Driver, is: impl Fn(&Driver) -> bool) -> bool {
        match Self::of(error) {
            Some(refusals) => refusals.iter().any(|refusal| is(&refusal.error)),
            None => is(error),
        }
    }
}

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("none of the servers can be used")?;
        for (at, Refusal { address, error }) in self.0.iter().enumerate() {
            write!(f, "{} {address} ({error})", if at == 0 { ":" } else { "," })?;
        }
        Ok(())
    }
}

impl std::error::Error for NoServer {}

/// Returns the driver's error for a password that could not be had. Only an outage is one for later calls.
fn unasked(error: Error) -> Driver {
    match error.kind() {
        ErrorKind::Unavailable => Driver::Io(io::Error::other(error)),
        _ => Driver::Configuration(error.into()),
    }
}
