//! Reasons why a statement failed.

use std::io;

use session_core::{Error, ErrorKind};
use sqlx::Error as Driver;

use crate::role::TakesNoWrites;

/// Reason why a statement failed. It decides whether the statement is retried and whether the connection is kept.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The server rolled the statement back because of a concurrent one. A retry may work at once.
    Again(Error),
    /// The server ended a wait for a lock, and undid the statement. The connection is still usable.
    Locked(Error),
    /// The server refused the statement. The connection is still usable.
    Refused(Error),
    /// The server refused the statement, and the connection is no longer usable.
    Ended(Error),
    /// The server has become one that takes no writes. The statement had no effect. All connections to the server are closed, because a
    /// new one may reach the server that has taken its place.
    Demoted(Error),
    /// There was no answer. The statement may or may not have been executed, and the connection is no longer usable.
    Lost(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Again(error)
            | Failure::Locked(error)
            | Failure::Refused(error)
            | Failure::Ended(error)
            | Failure::Demoted(error)
            | Failure::Lost(error) => error,
        }
    }
}

impl Failure {
    /// Classifies an error that the server did not report. `server` names it in the error's text.
    pub fn of_driver(error: &Driver, server: &str) -> Self {
        let (kind, text) = match error {
            Driver::Encode(_) | Driver::Decode(_) | Driver::ColumnDecode { .. } | Driver::ColumnNotFound(_) => {
                (ErrorKind::Other, format!("the driver for {server} cannot convert a value"))
            }
            // The driver's own text speaks of a pool, also if the server does not answer.
            Driver::PoolTimedOut => {
                let text = format!("no connection to {server} within the time-out");
                return Self::Lost(Error::new(ErrorKind::Unavailable, text));
            }
            error if TakesNoWrites::of(error).is_some() => {
                (ErrorKind::Unavailable, format!("the server of {server} takes no writes"))
            }
            _ => (ErrorKind::Unavailable, format!("the connection to {server} failed")),
        };
        Self::Lost(Error::new(kind, text).with_source(error))
    }

    /// Translates an error that the server did not report while a store is opened. `server` names it in the error's text, and
    /// `tls_option` is the driver's option for TLS.
    pub fn at_open(error: &Driver, server: &str, tls_option: &str) -> Error {
        if let Some(why) = TakesNoWrites::of(error) {
            return Error::fixed(ErrorKind::Config, why);
        }
        let text = match error {
            Driver::Configuration(_) => format!("the options of the connection to {server} are not valid"),
            Driver::Protocol(said) if said.contains("authentication") => {
                format!(
                    "the driver has no such authentication of a user of {server}; give the user one with a password"
                )
            }
            Driver::Protocol(_) => {
                format!("the server does not speak the protocol of {server}; check host and port, and what runs there")
            }
            error if is_tls(error) => {
                format!("no TLS connection to {server}; {} (option {tls_option})", tls_remedy(error))
            }
            _ => return Self::of_driver(error, server).into(),
        };
        Error::new(ErrorKind::Config, text).with_source(error)
    }
}

/// Returns why a server was not reached, if that is certain: it is not there, or does not answer.
pub(crate) fn unreachable(error: &Driver) -> Option<&'static str> {
    match error {
        Driver::PoolTimedOut => Some("no answer within the time-out from the server"),
        // The text of a failure to look up a name is the only mark of it.
        Driver::Io(error) if error.to_string().contains("lookup address") => Some("no address is known for the server"),
        Driver::Io(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => Some("nothing listens"),
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::TimedOut => {
                Some("no way through the network to the server")
            }
            _ => None,
        },
        _ => None,
    }
}

/// Whether TLS could not be negotiated. The driver reports a certificate that is not trusted as invalid data, and a certificate's
/// file that it cannot read like a server that it cannot reach.
fn is_tls(error: &Driver) -> bool {
    match error {
        Driver::Tls(_) => true,
        Driver::Io(error) => error.kind() == io::ErrorKind::InvalidData,
        _ => false,
    }
}

/// Returns what to do about a failure of TLS. The texts are those of rustls and of the driver.
fn tls_remedy(error: &Driver) -> &'static str {
    let said = error.to_string();
    let is = |word: &str| said.contains(word);
    if is("UnknownIssuer") || is("SelfSigned") || is("CaUsedAsEndEntity") {
        "its certificate is of an authority that is not known: give the authority's certificate in the URL"
    } else if is("not valid for name") || is("NotValidForName") {
        "its certificate is for another name: connect by a name that the certificate has"
    } else if is("Expired") || is("expired") {
        "its certificate has expired, or the clock of this machine is wrong: renew it"
    } else if is("does not support") {
        "it has none: set it up on the server"
    } else {
        "check its certificate"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_to_connect_says_what_to_check() {
        let io = |kind, text: &'static str| Driver::Io(io::Error::new(kind, text));
        let invalid = io::ErrorKind::InvalidData;
        for (error, part) in [
            (io(invalid, "invalid peer certificate: UnknownIssuer"), "give the authority's certificate"),
            (io(invalid, "invalid peer certificate: certificate not valid for name \"a\""), "by a name that"),
            (io(invalid, "invalid peer certificate: Expired"), "renew it"),
            (io(invalid, "received corrupt message"), "check its certificate"),
            (Driver::Tls("server does not support TLS".into()), "set it up on the server"),
            (Driver::Protocol("unexpected response from SSLRequest: 0x48".into()), "check host and port"),
            (Driver::Protocol("unknown authentication plugin: dialog".into()), "give the user one with a password"),
            (Driver::Configuration("x".into()), "options of the connection"),
        ] {
            let error = Failure::at_open(&error, "a server", "sslmode");
            assert_eq!(error.kind(), ErrorKind::Config, "{error}");
            assert!(error.to_string().contains(part), "{error}");
        }
        let silent = Failure::at_open(&Driver::PoolTimedOut, "a server", "sslmode");
        assert_eq!(silent.kind(), ErrorKind::Unavailable);
        assert!(!format!("{silent:?}").contains("pool timed out"), "{silent:?}");
    }

    #[test]
    fn a_server_that_is_not_reached_is_told_from_one_that_refuses() {
        let lookup = io::Error::other("failed to lookup address information: Name or service not known");
        assert!(unreachable(&Driver::Io(lookup)).is_some());
        assert!(unreachable(&Driver::Io(io::ErrorKind::ConnectionRefused.into())).is_some());
        assert!(unreachable(&Driver::Io(io::ErrorKind::NotFound.into())).is_none(), "a file or a socket");
        assert!(unreachable(&Driver::Tls("x".into())).is_none());
    }
}
