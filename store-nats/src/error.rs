//! Errors of connections and of the server, as errors of the store.

use std::error::Error as StdError;
use std::io;

use async_nats::{ConnectError, ConnectErrorKind};
use rustls::Error as Tls;
use session_core::{Error, ErrorKind};

const fn unavailable(message: &'static str) -> Error {
    Error::fixed(ErrorKind::Unavailable, message)
}

const fn config(message: &'static str) -> Error {
    Error::fixed(ErrorKind::Config, message)
}

pub(crate) const LOST: Error = unavailable("the connection to the server was lost");

pub(crate) const NO_LEADER: Error =
    unavailable("the bucket has no leader: too few of its servers are reachable, or they are electing one");

pub(crate) const STOPPED: Error = unavailable("the store was closed; open it again");

pub(crate) const UNEXPECTED: Error = unavailable("unexpected reply from the server");

pub(crate) const FULL: Error =
    unavailable("the server has no room for the session: raise the limits of the bucket or of JetStream");

pub(crate) const TOO_LARGE: Error = Error::fixed(
    ErrorKind::TooLarge,
    "the server has refused the session for its size; raise `max_payload`, and `max_msg_size` of the bucket",
);

pub(crate) const CHANGED: Error =
    unavailable("the server's settings have changed since the store was opened; opening it again says how");

pub(crate) const REFUSED: Error = unavailable("the server does not permit the user a call that it permitted before");

const STRANGE: Error =
    config("what answers at this address is no NATS server, or one that begins with TLS (`handshake_first`)");

const CERTIFICATE: Error = config(
    "the server's certificate is not accepted: it is of another name, expired, or signed by an authority that is not in `tls-ca`",
);

const PLAIN: Error =
    config("the server does not use TLS: give it a block `tls` in its configuration, or set `tls=false`");

const WRONG_LOGIN: Error =
    config("the server refuses the login: compare user and password, token, key or credentials with its configuration");

/// Returns the error of a connection that could not be made.
pub(crate) fn not_connected(error: &ConnectError) -> Error {
    match error.kind() {
        ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication => return WRONG_LOGIN,
        ConnectErrorKind::TimedOut => return session_store_kit::TIMED_OUT,
        _ => {}
    }
    match cause(error) {
        Some(Cause::Tls(Tls::InvalidCertificate(_))) => CERTIFICATE,
        Some(Cause::Tls(Tls::InvalidMessage(_))) => PLAIN,
        Some(Cause::Io(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData)) => STRANGE,
        _ => unavailable("no connection").with_source(error),
    }
}

enum Cause<'e> {
    Tls(&'e Tls),
    Io(io::ErrorKind),
}

/// Returns what the sources of an error tell.
fn cause<'e>(error: &'e (dyn StdError + 'static)) -> Option<Cause<'e>> {
    let mut at = Some(error);
    let mut found = None;
    while let Some(error) = at {
        if let Some(tls) = error.downcast_ref() {
            return Some(Cause::Tls(tls));
        }
        if let Some(error) = error.downcast_ref::<io::Error>() {
            if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
                return Some(Cause::Tls(tls));
            }
            found = Some(Cause::Io(error.kind()));
        }
        at = error.source();
    }
    found
}

/// Returns an error of opening as the error of a call: a mistake that appears while the store is in use is an outage.
pub(crate) fn in_use(error: Error) -> Error {
    if error.kind() == ErrorKind::Config { CHANGED.with_source(&error) } else { error }
}
