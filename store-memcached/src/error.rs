//! Errors of connections and of the server, as errors of the store.

use std::io;

use session_core::{Error, ErrorKind};

use crate::protocol::Reply;

pub(crate) const LOST: Error = Error::fixed(ErrorKind::Unavailable, "the connection to the server was lost");

const STRANGE: Error = Error::fixed(
    ErrorKind::Config,
    "what answers at this address is no Memcached server, or one that expects TLS; see `tls` in the documentation",
);

const FULL: Error = Error::fixed(
    ErrorKind::Unavailable,
    "the server has no memory for the session: start it with more (`-m`), and without `-M`",
);

const REFUSED: Error = Error::fixed(ErrorKind::Unavailable, "the server has refused a command");

const TOO_LARGE: Error =
    Error::fixed(ErrorKind::TooLarge, "the server has refused the session for its size; start it with a larger `-I`");

pub(crate) const NEEDS_LOGIN: Error = Error::fixed(
    ErrorKind::Config,
    "the server asks for a user and a password: name them in the URL, as in memcached://user:password@host",
);

pub(crate) const WRONG_LOGIN: Error =
    Error::fixed(ErrorKind::Config, "the server refuses the user or the password; compare them with its file (`-Y`)");

pub(crate) const NEEDS_NO_LOGIN: Error = Error::fixed(
    ErrorKind::Config,
    "the server asks for no password and was sent none: leave user and password out of the URL, or start it with `-Y`",
);

/// Returns the error of a connection that broke or could not be made.
pub(crate) fn broken(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => STRANGE,
        _ => LOST.with_source(error),
    }
}

/// Returns the error of an unexpected reply. The server's words are not passed on, because they could repeat a part of a command.
pub(crate) fn unexpected(reply: &Reply) -> Error {
    match reply {
        Reply::Error(line) if line.contains("too large") => TOO_LARGE,
        Reply::Error(line) if line.contains("out of memory") => FULL,
        Reply::Error(line) if line.contains("unauthenticated") => NEEDS_LOGIN,
        Reply::Error(_) => REFUSED,
        _ => STRANGE,
    }
}

/// Returns an error of opening as the error of a call: a mistake that appears while the store is in use is an outage.
pub(crate) fn in_use(error: Error) -> Error {
    match error.kind() {
        ErrorKind::Config => Error::fixed(
            ErrorKind::Unavailable,
            "the server's settings have changed since the store was opened; opening it again says how",
        )
        .with_source(&error),
        _ => error,
    }
}
