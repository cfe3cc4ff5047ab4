//! Translation of errors of the server and the driver.
//!
//! The server's messages are not passed on, because they may quote keys. The names of its error codes are used instead.

use mongodb::error::{Error as Driver, ErrorKind as Kind, WriteFailure};
use session_core::{Error, ErrorKind};

/// Translates an error of a store in use. What an operator must mend is an outage, because the store could be opened before.
pub(crate) fn in_use(error: &Driver) -> Error {
    meaning(error, ErrorKind::Unavailable)
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

/// Whether the server or the driver says that an attempt to create something cannot succeed: rights, names, unsupported commands.
pub(crate) fn is_final(error: &Driver) -> bool {
    match said(error) {
        Some((code, _)) => matches!(code, UNAUTHORIZED | 18 | 11 | 8000 | 26 | 73 | 59 | 115 | 238 | 79),
        None => matches!(*error.kind, Kind::Authentication { .. } | Kind::InvalidArgument { .. }),
    }
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

/// Translates an error. `refused` is the kind of an error that an operator must mend, and of an error that is not known.
fn meaning(error: &Driver, refused: ErrorKind) -> Error {
    use ErrorKind::Unavailable;
    if let Some((code, name)) = said(error) {
        let unsure = matches!(&*error.kind, Kind::Write(WriteFailure::WriteConcernError(_)));
        let kind = if unsure { Unavailable } else { kind_of(code, refused) };
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
        Kind::InvalidTlsConfig { .. } => with_source(refused, "the configuration of TLS is not valid"),
        Kind::ConnectionPoolCleared { .. } => {
            Error::fixed(Unavailable, "the connection was closed because another one failed")
        }
        Kind::Authentication { .. } => Error::fixed(refused, REFUSED),
        Kind::IncompatibleServer { .. } => Error::fixed(refused, "the server is too old for the driver"),
        Kind::InvalidArgument { .. } => Error::fixed(refused, "the driver refuses an option"),
        Kind::Shutdown => Error::fixed(Unavailable, "the application has shut the client down"),
        _ => Error::fixed(refused, "the driver cannot read an answer of the server; check that it is MongoDB"),
    }
}

/// Translates an error code. They are listed in `src/mongo/base/error_codes.yml` in the server's source.
///
/// Codes that are not listed here are `refused`, among them those of missing rights, wrong names and unsupported commands.
const fn kind_of(code: i32, refused: ErrorKind) -> ErrorKind {
    use ErrorKind::{TooLarge, Unavailable};
    match code {
        // Hosts, networks, shutdowns, elections and failovers, limits of time, memory and disk, a missing majority.
        6 | 7 | 89 | 91 | 9001 | 11600 | 11601 => Unavailable,
        189 | 10058 | 10107 | 11602 | 13435 | 13436 | 134 | 216 => Unavailable,
        50 | 202 | 262 | 146 | 14031 | 112 | 24 | 46 | 462 => Unavailable,
        64 | 100 | 63 | 13388 | 133 | 150 | 234 => Unavailable,
        // A document or a message over the limit.
        10334 | 17419 | 17420 => TooLarge,
        _ => refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failover_is_unavailable_and_a_missing_right_only_in_use() {
        use ErrorKind::{Config, TooLarge, Unavailable};
        for code in [50, 64, 91, 189, 10107, 11600, 11602, 13435] {
            assert_eq!(kind_of(code, Config), Unavailable, "{code}");
        }
        // The last is a code that no server has.
        for code in [UNAUTHORIZED, 18, NAMESPACE_NOT_FOUND, 59, 1_000_000] {
            assert_eq!((kind_of(code, Config), kind_of(code, Unavailable)), (Config, Unavailable), "{code}");
        }
        assert_eq!(kind_of(10334, Config), TooLarge);
    }

    #[test]
    fn the_drivers_own_errors_are_config_only_at_open() {
        let error = Driver::custom("hunter2");
        for (shown, kind) in [(at_open(&error), ErrorKind::Config), (in_use(&error), ErrorKind::Unavailable)] {
            assert_eq!(shown.kind(), kind);
            assert!(!format!("{shown} {shown:?}").contains("hunter2"));
        }
    }
}
