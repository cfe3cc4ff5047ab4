//! Error of handlers and extractors.

use std::error::Error as StdError;
use std::fmt;

use axum_core::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use session_core::ErrorKind;
use session_http::CommitError;

/// `Result` with this crate's [`Error`], for handlers that use a session.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Error of a session operation, usable as a handler's error and as a rejection.
///
/// As a response, its status is 503 if the store is down, 409 if another request was faster or ended the session, and 500 otherwise.
/// The body is a short text, `Cache-Control` is `no-store`, and the error is logged.
/// [`on_error`](crate::SessionLayerBuilder::on_error) replaces this response with a page of the application.
/// Neither the client nor the log sees an id, a value or a password.
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

    /// Kind of the error, for programs that act on it.
    ///
    /// If several sessions could not be stored, it is the gravest of their kinds. A missing layer is [`ErrorKind::Config`].
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Repr::Session(error) => error.kind(),
            Repr::Commit(error) => error.kind(),
            Repr::Usage(_) => ErrorKind::Config,
        }
    }

    /// HTTP status of the response: 503, 409 or 500.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(session_http::status(self.kind())).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Sessions that could not be stored, or `None` for an error of any other kind.
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
        // Details go to the log only: a client cannot act on them, but an attacker could.
        let text = match status {
            StatusCode::SERVICE_UNAVAILABLE => "Temporarily unavailable. Please try again.",
            StatusCode::CONFLICT => "Another request was faster. Please try again.",
            _ => "Internal server error.",
        };
        let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        let mut response = (status, no_store, text).into_response();
        // The layer takes the error from here if `on_error` has to replace the response.
        response.extensions_mut().insert(self);
        response
    }
}
