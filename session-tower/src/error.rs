//! The error of handlers and extractors.

use std::error::Error as StdError;
use std::fmt;

use axum_core::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use session_core::ErrorKind;
use session_http::CommitError;

/// `Result` with this crate's [`Error`]: what a handler that uses a session returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong with a session, ready to be a handler's error or a rejection.
///
/// As a response it is 503 if the store is down, 409 if another request was faster or ended the session, else 500; a short text,
/// `Cache-Control: no-store`, and an event for the log. [`on_error`](crate::SessionLayerBuilder::on_error) puts a page of
/// the application's own in its place. It shows no id, no value and no password, neither to the client nor in the log.
///
/// ```
/// use session_tower::{Result, Session};
///
/// async fn visits(session: Session) -> Result<String> {
///     let visits = session.update("visits", |n: &mut u64| *n += 1)?;
///     Ok(format!("Visit number {visits}"))
/// }
/// # let _ = axum::routing::get::<_, _, ()>(visits);
/// ```
#[derive(Clone)]
pub struct Error(Repr);

#[derive(Clone)]
enum Repr {
    Session(session_core::Error),
    Commit(CommitError),
    Usage(&'static str),
}

impl Error {
    pub(crate) const fn usage(how_to_mend: &'static str) -> Self {
        Self(Repr::Usage(how_to_mend))
    }

    /// What went wrong, as far as a program can act on it.
    /// Of several sessions that could not be stored, the gravest kind; of a missing layer, [`ErrorKind::Config`].
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Repr::Session(error) => error.kind(),
            Repr::Commit(error) => error.kind(),
            Repr::Usage(_) => ErrorKind::Config,
        }
    }

    /// The status of the response: 503, 409 or 500.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(session_http::status(self.kind())).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Which sessions could not be stored, if that is what went wrong.
    pub fn commit(&self) -> Option<&CommitError> {
        match &self.0 {
            Repr::Commit(error) => Some(error),
            _ => None,
        }
    }
}

impl From<session_core::Error> for Error {
    fn from(error: session_core::Error) -> Self {
        Self(Repr::Session(error))
    }
}

impl From<CommitError> for Error {
    fn from(error: CommitError) -> Self {
        Self(Repr::Commit(error))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Session(error) => fmt::Display::fmt(error, f),
            Repr::Commit(error) => fmt::Display::fmt(error, f),
            Repr::Usage(how_to_mend) => f.write_str(how_to_mend),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::Session(error) => fmt::Debug::fmt(error, f),
            Repr::Commit(error) => f.debug_tuple("Commit").field(error).finish(),
            Repr::Usage(how_to_mend) => f.debug_tuple("Usage").field(how_to_mend).finish(),
        }
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0 {
            Repr::Session(error) => error.source(),
            Repr::Commit(error) => error.source(),
            Repr::Usage(_) => None,
        }
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = ?self, "{self}");
        } else {
            tracing::debug!(error = ?self, "{self}");
        }
        // The details are for the log: a client can do nothing about them, and an attacker might.
        let text = match status {
            StatusCode::SERVICE_UNAVAILABLE => "Temporarily unavailable. Please try again.",
            StatusCode::CONFLICT => "Another request was faster. Please try again.",
            _ => "Internal server error.",
        };
        let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        let mut response = (status, no_store, text).into_response();
        // For the layer, which may have a page of the application's own to show instead.
        response.extensions_mut().insert(self);
        response
    }
}
