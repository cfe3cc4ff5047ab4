//! Reasons why a statement failed.

use session_core::Error;

/// Reason why a statement failed. It decides whether the statement is retried and whether the connection is kept.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The server rolled the statement back because of a concurrent one. A retry may work at once.
    Again(Error),
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
            Failure::Again(error) | Failure::Refused(error) | Failure::Ended(error) | Failure::Lost(error) => error,
        }
    }
}
