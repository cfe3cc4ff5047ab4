//! Translation of errors of the server and the driver.
//!
//! The server's messages are not passed on, because they may quote keys. The names of its error codes are used instead.

use mongodb::error::{Error as Driver, ErrorKind as Kind, WriteFailure};
use session_core::{Error, ErrorKind};

/// Translates an error of a store in use. A failed login is an outage, because the store could log in before.
pub(crate) fn in_use(error: &Driver) -> Error {
    match &*error.kind {
        Kind::Authentication { .. } => Error::fixed(ErrorKind::Unavailable, REFUSED),
        _ => meaning(error, ErrorKind::Other),
    }
}

/// Translates an error of a store that is being opened. An error whose cause is not known is one that a new attempt does not cure.
pub(crate) fn at_open(error: &Driver) -> Error {
    match &*error.kind {
        Kind::ServerSelection { message, .. } => match mistake(message) {
            // The source would repeat the options of the URL.
            Some(why) => Error::fixed(ErrorKind::Config, why),
            None => meaning(error, ErrorKind::Config),
        },
        _ => meaning(error, ErrorKind::Config),
    }
}

/// Whether the server or the driver says that an attempt to create something cannot succeed.
pub(crate) fn is_final(error: &Driver) -> bool {
    meaning(error, ErrorKind::Other).kind() == ErrorKind::Config
}

/// Returns the mistake that keeps the driver from every server, if its message names one. The texts are those of rustls and of the
/// driver.
fn mistake(message: &str) -> Option<&'static str> {
    let is = |word: &str| message.contains(word);
    if is("UnknownIssuer") || is("SelfSigned") || is("CaUsedAsEndEntity") {
        Some("the server's certificate is of an authority that is not known; give its certificate by tlsCAFile")
    } else if is("not valid for name") || is("NotValidForName") {
        Some("the server's certificate is for another name; connect by a name that the certificate has")
    } else if is("invalid peer certificate") {
        Some("the server's certificate is not valid; check it, and the clock of this machine")
    } else if is("InvalidContentType") || is("corrupt message") {
        Some("the server has no TLS; set it up there, or use tls=false within a network of your own")
    } else if is("over maximum") || is("wire protocol opcode") {
        Some("what answers does not speak MongoDB's protocol; check hosts and ports, and what runs there")
    } else if is("ReplicaSetNoPrimary") && !is("Servers:") {
        // The driver has removed every server that is of another set.
        Some("the servers belong to no replica set or to another one than the URL's replicaSet; correct or remove it")
    } else {
        None
    }
}

/// Whether the server answered with this code.
pub(crate) fn is(error: &Driver, wanted: i32) -> bool {
    said(error).is_some_and(|(code, _)| code == wanted)
}

/// Error code of a second document with the same key.
pub(crate) const DUPLICATE_KEY: i32 = 11000;
/// Error code of a missing collection.
pub(crate) const NAMESPACE_NOT_FOUND: i32 = 26;
/// Error code of a missing right.
pub(crate) const UNAUTHORIZED: i32 = 13;

const REFUSED: &str = "the server refuses user or password; check both, and authSource, the database of the user";

/// Returns the server's error code and its name, if the server reported the error.
fn said(error: &Driver) -> Option<(i32, &str)> {
    match &*error.kind {
        Kind::Command(said) => Some((said.code, &said.code_name)),
        Kind::Write(WriteFailure::WriteError(said)) => Some((said.code, said.code_name.as_deref().unwrap_or_default())),
        // Written, but not confirmed by a majority, so the write may be rolled back.
        Kind::Write(WriteFailure::WriteConcernError(said)) => Some((said.code, &said.code_name)),
        _ => None,
    }
}

/// Returns the error for the caller, with the kind `otherwise` if its cause is not known.
fn meaning(error: &Driver, otherwise: ErrorKind) -> Error {
    use ErrorKind::{Config, Other, Unavailable};
    if let Some((code, name)) = said(error) {
        let unsure = matches!(&*error.kind, Kind::Write(WriteFailure::WriteConcernError(_)));
        let kind = match kind_of(code) {
            _ if unsure => Unavailable,
            Other => otherwise,
            kind => kind,
        };
        return Error::new(kind, format!("the server answered {name} ({code})"));
    }
    // The sources of these errors name the server and the failure on the way to it. Other sources may quote the request, and are
    // left out.
    let with_source = |kind, what| Error::fixed(kind, what).with_source(&*error.kind);
    match &*error.kind {
        Kind::Io(_) => with_source(Unavailable, "the connection failed"),
        Kind::ServerSelection { .. } => with_source(
            Unavailable,
            "no server answers that takes writes; check hosts and ports, that the servers run, and tls in the URL",
        ),
        Kind::DnsResolve { .. } => with_source(Unavailable, "the server's name cannot be resolved"),
        Kind::InvalidTlsConfig { .. } => with_source(Config, "the configuration of TLS is not valid"),
        Kind::ConnectionPoolCleared { .. } => {
            Error::fixed(Unavailable, "the connection was closed because another one failed")
        }
        Kind::Authentication { .. } => Error::fixed(Config, REFUSED),
        Kind::IncompatibleServer { .. } => Error::fixed(Config, "the server is too old for the driver"),
        Kind::InvalidArgument { .. } => Error::fixed(Config, "the driver refuses an option"),
        Kind::Shutdown => Error::fixed(Unavailable, "the application has shut the client down"),
        _ => Error::fixed(otherwise, "the driver cannot read an answer of the server; check that it is MongoDB"),
    }
}

/// Translates an error code. They are listed in `src/mongo/base/error_codes.yml` in the server's source.
const fn kind_of(code: i32) -> ErrorKind {
    use ErrorKind::{Config, Other, TooLarge, Unavailable};
    match code {
        // Hosts, networks, shutdowns, elections and failovers, limits of time, memory and disk, a missing majority.
        6 | 7 | 89 | 91 | 9001 | 11600 | 11601 => Unavailable,
        189 | 10058 | 10107 | 11602 | 13435 | 13436 | 134 | 216 => Unavailable,
        50 | 202 | 262 | 146 | 14031 | 112 | 24 | 46 | 462 => Unavailable,
        64 | 100 | 63 | 13388 | 133 | 150 | 234 => Unavailable,
        // Rights, names, unsupported commands.
        13 | 18 | 11 | 8000 | 26 | 73 | 59 | 115 | 238 | 79 => Config,
        // A document or a message over the limit.
        10334 | 17419 | 17420 => TooLarge,
        _ => Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failover_is_unavailable_and_a_missing_right_is_not() {
        for code in [50, 64, 91, 189, 10107, 11600, 11602, 13435] {
            assert_eq!(kind_of(code), ErrorKind::Unavailable, "{code}");
        }
        for code in [UNAUTHORIZED, 18, NAMESPACE_NOT_FOUND, 59] {
            assert_eq!(kind_of(code), ErrorKind::Config, "{code}");
        }
        assert_eq!(kind_of(10334), ErrorKind::TooLarge);
        assert_eq!(kind_of(DUPLICATE_KEY), ErrorKind::Other);
    }
}
