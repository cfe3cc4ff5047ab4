//! How a store connects: with which password, and for how long it tries.

use std::fmt;
use std::io;
use std::time::Duration;

use session_core::{Error, ErrorKind, Result};
use session_store_kit::PasswordSource;
use sqlx::{ConnectOptions as _, Database};
use tokio::time::timeout;

/// Options of a connection to a database.
pub type Options<DB> = <<DB as Database>::Connection as sqlx::Connection>::Options;

/// How a store makes its own connections.
pub(crate) struct Connecting<DB: Database> {
    /// Maximum time of an attempt, besides the time-out of the call that needs the connection.
    pub(crate) limit: Option<Duration>,
    pub(crate) password: Option<PasswordSource>,
    /// Returns the options with another password.
    pub(crate) with: fn(Options<DB>, &str) -> Options<DB>,
}

impl<DB: Database> Connecting<DB> {
    /// Connects as `options` say, with the password of this moment.
    ///
    /// # Errors
    /// The driver's errors, and [`PoolTimedOut`](sqlx::Error::PoolTimedOut) after the limit.
    pub(crate) async fn connect(&self, options: &Options<DB>) -> Result<DB::Connection, sqlx::Error> {
        let connecting = async {
            match &self.password {
                None => options.connect().await,
                Some(source) => {
                    let password = source.ask().await.map_err(unasked)?;
                    (self.with)(options.clone(), &password).connect().await
                }
            }
        };
        match self.limit {
            None => connecting.await,
            Some(limit) => timeout(limit, connecting).await.map_err(|_| sqlx::Error::PoolTimedOut)?,
        }
    }
}

impl<DB: Database> Default for Connecting<DB> {
    fn default() -> Self {
        Self { limit: None, password: None, with: |options, _| options }
    }
}

impl<DB: Database> fmt::Debug for Connecting<DB> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("limit", &self.limit).finish_non_exhaustive()
    }
}

/// Returns the driver's error for a password that could not be had. Only an outage is one for later calls.
fn unasked(error: Error) -> sqlx::Error {
    match error.kind() {
        ErrorKind::Unavailable => sqlx::Error::Io(io::Error::other(error)),
        _ => sqlx::Error::Configuration(error.into()),
    }
}
