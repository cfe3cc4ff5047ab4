//! What became of a statement that did not work.

use session_core::{Error, ErrorKind};

/// Why a statement did not work, as far as it decides what is done next.
#[derive(Clone, Debug)]
pub enum Failure {
    /// The server undid it because of another one: the same again may work at once.
    Again(Error),
    /// The server answered that it did not do it. The connection is whole.
    Refused(Error),
    /// The server answered that it did not do it, and the connection is of no use any more.
    Ended(Error),
    /// There was no answer: whether it was done is unknown, and the connection is of no use any more.
    Lost(Error),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Again(error) | Failure::Refused(error) | Failure::Ended(error) | Failure::Lost(error) => error,
        }
    }
}

/// What is answered when the server does not answer.
pub const TIMED_OUT: Error = Error::fixed(ErrorKind::Unavailable, "no answer within the time-out");
