//! Conversion of the server's and the driver's errors.
//!
//! An error keeps the server's code and never its text, because the server quotes commands' arguments and names of users.

use redis::{ErrorKind as Driver, RedisError, ServerErrorKind as Server};
use session_core::{Error, ErrorKind};

/// Phase in which an error occurs. What an operator must mend is an outage in use, because the store could be opened before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    Opening,
    InUse,
}

impl Moment {
    /// Returns the kind of error for a refusal that an operator must mend.
    pub(crate) const fn kind(self) -> ErrorKind {
        match self {
            Self::Opening => ErrorKind::Config,
            Self::InUse => ErrorKind::Unavailable,
        }
    }
}

/// Error of an attempt that ended with its runtime.
pub(crate) const STOPPED: Error =
    Error::fixed(ErrorKind::Unavailable, "the attempt to connect was cancelled: its runtime has ended");
pub(crate) const UNEXPECTED_REPLY: Error = Error::fixed(
    ErrorKind::Unavailable,
    "unexpected reply from the server: check whether it is Redis or Valkey, and whether a proxy changes replies",
);

/// Converts a driver error into the error for the caller.
pub(crate) fn driver_error(error: &RedisError, moment: Moment) -> Error {
    match error.kind() {
        #[cfg(feature = "tls")]
        Driver::Io if has_untrusted_certificate(error) => Error::fixed(
            moment.kind(),
            "the server's certificate is not trusted: check the host's name, or give its authority to the driver with \
             RedisStore::from_client",
        )
        .with_source(error),
        // Its source is an error of the system or of TLS. All other errors may quote what was sent.
        Driver::Io => Error::fixed(ErrorKind::Unavailable, "the server cannot be reached").with_source(error),
        Driver::Parse => Error::fixed(
            moment.kind(),
            "the reply is not in the Redis protocol: check host and port, and whether the server requires TLS (rediss://)",
        ),
        Driver::AuthenticationFailed => Error::fixed(moment.kind(), CREDENTIALS),
        Driver::InvalidClientConfig => {
            Error::fixed(ErrorKind::Config, "the driver rejected the settings of the connection: check the URL")
        }
        Driver::RESP3NotSupported => Error::fixed(moment.kind(), NO_HELLO),
        _ => answered(error, moment),
    }
}

/// Whether rustls has rejected the server's certificate.
#[cfg(feature = "tls")]
fn has_untrusted_certificate(error: &RedisError) -> bool {
    use std::error::Error as _;
    use std::sync::Arc;

    let shared = error.source().and_then(|source| source.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>());
    let io = shared.and_then(|source| source.downcast_ref::<std::io::Error>());
    let tls = io.and_then(|error| error.get_ref()).and_then(|error| error.downcast_ref::<rustls::Error>());
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

/// Returns whether the connection must be replaced: it broke, its server is no longer the primary, or the error belongs to the connection.
pub(crate) fn ends_connection(error: &RedisError) -> bool {
    match error.kind() {
        Driver::Io | Driver::Parse | Driver::Server(Server::ReadOnly) => true,
        Driver::Server(Server::ResponseError) => error.detail().is_some_and(|text| text.starts_with(PROTOCOL)),
        Driver::Server(_) => false,
        _ => error.is_unrecoverable_error() || code(error).is_none_or(|code| !OF_COMMANDS.contains(&code)),
    }
}

/// Codes of errors that belong to one command, besides those that the driver knows.
const OF_COMMANDS: [&str; 8] =
    ["OOM", "BUSY", "MISCONF", "NOREPLICAS", "WRONGTYPE", "UNKILLABLE", "BUSYKEY", "BUSYGROUP"];

/// Whether the server has no room for another connection. It closes such a connection after this answer.
pub(crate) fn is_full(error: &RedisError) -> bool {
    detail(error).starts_with("max number of clients") || detail(error).starts_with("max clients")
}

/// Whether the server will answer soon: it is still starting, or its cluster is still forming.
pub(crate) fn is_starting(error: &RedisError) -> bool {
    matches!(error.kind(), Driver::Server(Server::BusyLoading | Server::MasterDown | Server::ClusterDown))
}

/// Beginning of the texts of errors after which the server closes the connection.
const PROTOCOL: &str = "Protocol error";

/// Returns the error's text after the code. It decides about the kind and is never shown.
fn detail(error: &RedisError) -> &str {
    error.detail().unwrap_or_default()
}

/// Returns the error's code: its first word, if that has the form of a code.
fn code(error: &RedisError) -> Option<&str> {
    error.code().filter(|code| code.len() <= 20 && code.bytes().all(|byte| byte.is_ascii_uppercase()))
}

fn answered(error: &RedisError, moment: Moment) -> Error {
    use ErrorKind::{Corrupt, TooLarge, Unavailable};
    let (kind, message) = match code(error) {
        Some("LOADING") => (Unavailable, "the server is loading its data (LOADING)"),
        Some("READONLY") => (moment.kind(), REPLICA),
        Some("MASTERDOWN") => (Unavailable, "the server has lost its primary (MASTERDOWN)"),
        Some("TRYAGAIN" | "CLUSTERDOWN") => (Unavailable, "the cluster is not ready (CLUSTERDOWN or TRYAGAIN)"),
        Some("MOVED" | "ASK" | "CROSSSLOT") => (moment.kind(), CLUSTER),
        Some("OOM") => (Unavailable, "the server's memory is full (OOM)"),
        Some("BUSY" | "UNKILLABLE") => (Unavailable, "the server is busy with a long-running script (BUSY)"),
        Some("MISCONF") => (Unavailable, "the server takes no writes because it cannot write its snapshot (MISCONF)"),
        Some("NOREPLICAS") => (Unavailable, "the server takes no writes because it has too few replicas (NOREPLICAS)"),
        Some("NOAUTH" | "WRONGPASS") => (moment.kind(), CREDENTIALS),
        Some("NOPERM") => (moment.kind(), NO_RIGHT),
        Some("DENIED") => (
            moment.kind(),
            "the server refuses other machines because it is in protected mode (DENIED): set a password on the server",
        ),
        Some("WRONGTYPE") => {
            (Corrupt, "the stored value is not a string: another program has written under the key (WRONGTYPE)")
        }
        Some("ERR") => match detail(error) {
            text if text.starts_with("Protocol error: invalid bulk length") => (TooLarge, TOO_LARGE),
            _ if is_full(error) => {
                (Unavailable, "the server has no room for another connection: raise its `maxclients`")
            }
            text if text.starts_with("DB index") => {
                (moment.kind(), "the server has no database of this number: choose another, or raise its `databases`")
            }
            text if text.starts_with("AUTH <password> called without any password") => {
                (moment.kind(), "the server has no password for the default user: remove the password, or set one")
            }
            text if text.contains("ACL failure") || text.contains("user executing the script") => {
                (moment.kind(), NO_RIGHT)
            }
            text if text.starts_with("unknown command 'HELLO'") || text.starts_with("unknown command `HELLO`") => {
                (moment.kind(), NO_HELLO)
            }
            text if text.starts_with("unknown command") || text.contains("ommand called from script") => (
                moment.kind(),
                "the server does not know a command that the store needs: the README of session-store-redis lists them",
            ),
            _ => return unforeseen("ERR", moment),
        },
        Some(code) => return unforeseen(code, moment),
        None => (moment.kind(), "the server refused a command"),
    };
    Error::fixed(kind, message)
}

fn unforeseen(code: &str, moment: Moment) -> Error {
    Error::new(moment.kind(), format!("the server refused a command ({code})"))
}

pub(crate) const TOO_OLD: Error =
    Error::fixed(ErrorKind::Config, "the server is too old: Redis 7.0 or later, or Valkey, is needed");

/// Error text for a replica where a primary is expected.
pub(crate) const REPLICA: &str = "the server is a replica, whose data may be old and which takes no writes (READONLY): name the primary, or its sentinels";

const CREDENTIALS: &str = "the server rejected the user or password: check the credentials";

const NO_RIGHT: &str =
    "the server's user lacks a permission (NOPERM): the README of session-store-redis lists the commands";

const NO_HELLO: &str =
    "the server has no command HELLO: Redis 7.0 or later, or Valkey, is needed, without `rename-command HELLO`";

const TOO_LARGE: &str = "the session's record is larger than the server's `proto-max-bulk-len`";

pub(crate) const SENTINEL: &str =
    "the server is a sentinel: use a URL that begins with redis+sentinel:// and ends with the name of the master";

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

    /// Error replies of servers, with the kinds at open and in use, and whether they end the connection.
    const REPLIES: [(&str, ErrorKind, ErrorKind, bool); 28] = {
        use ErrorKind::{Config, Corrupt, TooLarge, Unavailable};
        [
            ("LOADING Redis is loading the dataset in memory", Unavailable, Unavailable, false),
            ("READONLY You can't write against a read only replica.", Config, Unavailable, true),
            ("MASTERDOWN Link with MASTER is down", Unavailable, Unavailable, false),
            ("CLUSTERDOWN The cluster is down", Unavailable, Unavailable, false),
            ("TRYAGAIN Multiple keys request during rehashing of slot", Unavailable, Unavailable, false),
            ("OOM command not allowed when used memory > 'maxmemory'.", Unavailable, Unavailable, false),
            ("BUSY Redis is busy running a script.", Unavailable, Unavailable, false),
            ("UNKILLABLE The busy script has already executed write commands", Unavailable, Unavailable, false),
            ("MISCONF Redis is configured to save RDB snapshots", Unavailable, Unavailable, false),
            ("NOREPLICAS Not enough good replicas to write.", Unavailable, Unavailable, false),
            ("ERR max number of clients reached", Unavailable, Unavailable, false),
            ("ERR max number of clients + cluster connections reached", Unavailable, Unavailable, false),
            ("MOVED 3999 127.0.0.1:6381", Config, Unavailable, false),
            ("CROSSSLOT Keys in request don't hash to the same slot", Config, Unavailable, false),
            ("NOAUTH Authentication required.", Config, Unavailable, true),
            ("WRONGPASS invalid username-password pair or user is disabled.", Config, Unavailable, true),
            ("NOPERM User hunter2 has no permissions to run the 'get' command", Config, Unavailable, false),
            ("DENIED Redis is running in protected mode because", Config, Unavailable, true),
            ("ERR DB index is out of range", Config, Unavailable, false),
            ("ERR AUTH <password> called without any password configured", Config, Unavailable, false),
            (
                "ERR ACL failure in script: User hunter2 has no permissions to run the 'set' command",
                Config,
                Unavailable,
                false,
            ),
            ("ERR unknown command 'EVALSHA', with args beginning with: 'hunter2'", Config, Unavailable, false),
            ("ERR Unknown Redis command called from script script: hunter2", Config, Unavailable, false),
            ("ERR Protocol error: invalid bulk length", TooLarge, TooLarge, true),
            ("WRONGTYPE Operation against a key holding the wrong kind of value", Corrupt, Corrupt, false),
            ("EXECABORT Transaction discarded because of: hunter2", Config, Unavailable, false),
            ("NOSCRIPT No matching script. Please use EVAL.", Config, Unavailable, false),
            ("hunter2 is what a proxy says", Config, Unavailable, true),
        ]
    };

    #[test]
    fn the_code_of_an_error_decides_and_its_text_is_not_shown() {
        for (line, opening, in_use, ends) in REPLIES {
            let error = reply(line);
            for (moment, kind) in [(Moment::Opening, opening), (Moment::InUse, in_use)] {
                let shown = driver_error(&error, moment);
                assert_eq!(shown.kind(), kind, "{line} {moment:?}");
                assert!(!format!("{shown} {shown:?}").contains("hunter2"), "{shown:?}");
            }
            assert_eq!(ends_connection(&error), ends, "{line}");
        }
        let unforeseen = driver_error(&reply("SPLINES hunter2"), Moment::Opening);
        assert!(unforeseen.to_string().ends_with("(SPLINES)"), "{unforeseen}");
    }

    #[test]
    fn a_broken_connection_is_unavailable_with_its_reason() {
        let broken = RedisError::from(io::Error::from(io::ErrorKind::ConnectionReset));
        assert_eq!(driver_error(&broken, Moment::Opening).kind(), ErrorKind::Unavailable);
        assert!(format!("{:?}", driver_error(&broken, Moment::InUse)).contains("reset"));
        assert!(ends_connection(&broken));
        let garbage = redis::parse_redis_value(b"HTTP/1.1 400 hunter2\r\n").unwrap_err();
        assert_eq!(driver_error(&garbage, Moment::Opening).kind(), ErrorKind::Config);
        let shown = driver_error(&garbage, Moment::InUse);
        assert_eq!(shown.kind(), ErrorKind::Unavailable);
        assert!(!format!("{shown:?}").contains("hunter2"));
        assert!(ends_connection(&garbage));
    }

    #[test]
    fn a_server_that_is_full_or_starting_is_recognized() {
        assert!(is_full(&reply("ERR max number of clients reached")) && !is_full(&reply("ERR max")));
        assert!(is_starting(&reply("LOADING Redis is loading")) && !is_starting(&reply("OOM full")));
    }
}
