//! Reasons why a statement failed.

use session_core::{Error, ErrorKind};
use sqlx::Error as Driver;

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
            _ => (ErrorKind::Unavailable, format!("the connection to {server} failed")),
        };
        Self::Lost(Error::new(kind, text).with_source(error))
    }

    /// Translates an error that the server did not report while a store is opened. `server` names it in the error's text, and
    /// `tls_option` is the driver's option for TLS.
    pub fn at_open(error: &Driver, server: &str, tls_option: &str) -> Error {
        let text = match error {
            Driver::Configuration(_) => format!("the options of the connection to {server} are not valid"),
            error if is_tls(error) => {
                format!("no TLS connection to {server}; check its certificate and the option {tls_option}")
            }
            _ => return Self::of_driver(error, server).into(),
        };
        Error::new(ErrorKind::Config, text).with_source(error)
    }
}

/// Whether TLS could not be negotiated. The driver reports a certificate that is not trusted as invalid data.
fn is_tls(error: &Driver) -> bool {
    match error {
        Driver::Tls(_) => true,
        Driver::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
        _ => false,
    }
}
