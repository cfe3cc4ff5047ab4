//! Reasons why a command has no reply.

use std::io;

use redis::RedisError;
use session_core::{Error, ErrorKind};

use crate::error::{Moment, REPLICA, driver_error, is_full, is_starting};
use crate::no_master::NoMaster;

/// Reason why a command has no reply.
#[derive(Clone)]
pub(crate) enum Failure {
    /// The store gave up before the command was sent, or has no answer of the server.
    NotSent(Error),
    /// No node of the cluster serves a slot.
    #[cfg(feature = "cluster")]
    NotReady,
    /// The password for a new connection could not be had.
    NoPassword(Error),
    /// The server is a replica.
    Replica,
    /// The sentinels name no master, or one that cannot be used.
    Sentinel(NoMaster),
    /// No connection could be opened.
    NotConnected(RedisError),
    /// The server or the driver returned an error.
    Server(RedisError),
}

impl Failure {
    /// Returns the failure of a command that may or may not have been executed.
    pub(crate) fn lost() -> Self {
        Self::Server(io::Error::from(io::ErrorKind::TimedOut).into())
    }

    /// Whether the reason may pass soon: the server is starting, or has no room for a connection.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            Self::NotSent(_) | Self::NoPassword(_) | Self::Replica => false,
            Self::Sentinel(reason) => reason.is_passing(),
            #[cfg(feature = "cluster")]
            Self::NotReady => true,
            Self::NotConnected(error) | Self::Server(error) => is_starting(error) || is_full(error),
        }
    }

    /// Returns the error for the caller.
    pub(crate) fn error(self, moment: Moment) -> Error {
        match self {
            Self::NotSent(error) => error,
            Self::NoPassword(error) => match moment {
                Moment::Opening => error,
                // The store could connect before, so this is an outage.
                Moment::InUse => {
                    Error::fixed(ErrorKind::Unavailable, "the password for a new connection cannot be had")
                        .with_source(&error)
                }
            },
            #[cfg(feature = "cluster")]
            Self::NotReady => crate::error::NOT_READY,
            Self::Replica => Error::fixed(moment.kind(), REPLICA),
            Self::Sentinel(reason) => reason.error(moment),
            Self::NotConnected(error) | Self::Server(error) => driver_error(&error, moment),
        }
    }
}

impl From<Failure> for Error {
    /// Returns the error for the caller of a store in use.
    fn from(failure: Failure) -> Self {
        failure.error(Moment::InUse)
    }
}
