//! Conversion of the server's and the driver's errors.

use redis::{ErrorKind as Driver, RedisError, ServerErrorKind as Server};
use session_core::{Error, ErrorKind};

/// Error of an attempt that ended with its runtime.
pub(crate) const STOPPED: Error =
    Error::fixed(ErrorKind::Unavailable, "the attempt to connect was cancelled: its runtime has ended");
pub(crate) const UNEXPECTED_REPLY: Error = Error::fixed(ErrorKind::Other, "unexpected reply from the server");

/// Converts a driver error into the error for the caller.
pub(crate) fn driver_error(error: &RedisError) -> Error {
    let (kind, message) = kind(error);
    Error::fixed(kind, message).with_source(error)
}

/// Returns whether the connection must be replaced, because it broke or because its server is no longer the primary.
pub(crate) fn ends_connection(error: &RedisError) -> bool {
    matches!(error.kind(), Driver::Io | Driver::Parse | Driver::Server(Server::ReadOnly))
        || error.is_unrecoverable_error()
}

fn kind(error: &RedisError) -> (ErrorKind, &'static str) {
    use ErrorKind::{Config, Corrupt, Other, Unavailable};
    match error.kind() {
        Driver::Io => (Unavailable, "the server cannot be reached"),
        Driver::Parse => (
            Unavailable,
            "the reply is not in the Redis protocol: check the address and whether the server requires TLS",
        ),
        Driver::AuthenticationFailed => (Config, "the server rejected the user or password: check the credentials"),
        Driver::InvalidClientConfig => (Config, "the driver rejected the settings of the connection"),
        Driver::RESP3NotSupported => {
            (Config, "the server does not support RESP3: Redis 7.0 or later, or Valkey, is needed")
        }
        Driver::Server(Server::BusyLoading) => (Unavailable, "the server is loading its data"),
        Driver::Server(Server::ReadOnly) => (Unavailable, "the server is now a replica"),
        Driver::Server(Server::MasterDown) => (Unavailable, "the server has lost its primary"),
        Driver::Server(Server::TryAgain | Server::ClusterDown) => (Unavailable, "the cluster is not ready"),
        Driver::Server(Server::Moved | Server::Ask | Server::CrossSlot) => (Config, CLUSTER),
        Driver::Server(Server::NoPerm) => {
            (Config, "the server's user lacks a permission: the README of session-store-redis lists the commands")
        }
        _ => match error.code() {
            Some("OOM") => (Unavailable, "the server's memory is full"),
            Some("BUSY") => (Unavailable, "the server is busy with a long-running script"),
            Some("MISCONF" | "NOREPLICAS") => (Unavailable, "the server does not accept writes at present"),
            Some("NOAUTH" | "WRONGPASS") => (Config, "the server rejected the user or password: check the credentials"),
            Some("WRONGTYPE") => {
                (Corrupt, "the stored value is not a string: another program has written under the key")
            }
            _ => (Other, "the server refused a command"),
        },
    }
}

pub(crate) const CLUSTER: &str = "the server is part of a cluster: use a URL that begins with redis+cluster:// or call `cluster(true)`, with the feature `cluster` of session-store-redis";

/// Error text for a single server where a cluster node is expected.
#[cfg(feature = "cluster")]
pub(crate) const NO_CLUSTER: &str = "the server is not part of a cluster: use a URL that begins with redis://";

#[cfg(feature = "cluster")]
pub(crate) const NOT_READY: Error =
    Error::fixed(ErrorKind::Unavailable, "the cluster is not ready: no node serves a slot");

#[cfg(test)]
mod tests {
    use std::io;

    use redis::Value;

    use super::*;

    /// Returns the error that the driver makes of an error reply.
    fn reply(line: &str) -> RedisError {
        let reply = redis::parse_redis_value(format!("-{line}\r\n").as_bytes()).and_then(Value::extract_error);
        reply.expect_err("an error")
    }

    #[test]
    fn an_outage_is_unavailable_and_a_wrong_setting_is_config() {
        for line in [
            "LOADING Redis is loading the dataset in memory",
            "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down",
            "CLUSTERDOWN The cluster is down",
            "OOM command not allowed when used memory > 'maxmemory'.",
            "BUSY Redis is busy running a script.",
            "MISCONF Redis is configured to save RDB snapshots",
            "NOREPLICAS Not enough good replicas to write.",
        ] {
            assert_eq!(driver_error(&reply(line)).kind(), ErrorKind::Unavailable, "{line}");
        }
        for line in [
            "MOVED 3999 127.0.0.1:6381",
            "CROSSSLOT Keys in request don't hash to the same slot",
            "NOAUTH Authentication required.",
            "NOPERM this user has no permissions to run the 'get' command",
            "WRONGPASS invalid username-password pair or user is disabled.",
        ] {
            assert_eq!(driver_error(&reply(line)).kind(), ErrorKind::Config, "{line}");
        }
        assert_eq!(driver_error(&reply("WRONGTYPE Operation against a key")).kind(), ErrorKind::Corrupt);
        assert_eq!(driver_error(&reply("ERR unknown command")).kind(), ErrorKind::Other);
        let broken = RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(driver_error(&broken).kind(), ErrorKind::Unavailable);
        assert!(ends_connection(&broken) && ends_connection(&reply("READONLY You can't write")));
        assert!(!ends_connection(&reply("OOM command not allowed")));
    }
}
