//! Responses for session errors.

use std::error::Error as StdError;
use std::fmt;

use axum_core::response::{IntoResponse, Response};
use http::header::CACHE_CONTROL;
use http::{HeaderValue, StatusCode};
use session_core::{Error, ErrorKind};
use session_http::CommitError;

/// `Result` of handlers that use a session and need no error type of their own.
///
/// `?` turns an [`Error`] into the [`ErrorResponse`]. Functions that are no handlers return `Result<T, Error>`.
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
pub type Result<T, E = ErrorResponse> = std::result::Result<T, E>;

/// Response for a session [`Error`]. It is the rejection of extractors, the error of handlers and the argument of
/// [`on_error`](crate::SessionLayerBuilder::on_error).
///
/// The status is 503 if the store is down, 409 if another request was faster or ended the session, 401 if the operation needs a signed-in
/// user, and 500 otherwise.
/// The body is a short text (in debug builds, how to add a missing layer), `Cache-Control` is `no-store`, and the error is logged.
/// `on_error` replaces this response with a page of the application.
/// Neither the client nor the log sees an id, a value or a password.
///
/// It is not [`Error`] itself, because that type belongs to `session-core`, which knows no HTTP, and only the crate of a type can make
/// responses of it. It is named after axum's own `axum::response::ErrorResponse`.
///
/// # With an error type of the application
///
/// One `From` is enough, because every call returns [`Error`]. `on_error` remains useful: the commit runs after the handler, so its
/// error does not pass through the application's type.
///
/// ```
/// use axum::response::{IntoResponse, Response};
/// use session_tower::{Error, ErrorResponse, Session, Sessions};
///
/// enum AppError {
///     NotFound,
///     Session(Error),
/// }
///
/// impl From<Error> for AppError {
///     fn from(error: Error) -> Self {
///         Self::Session(error)
///     }
/// }
///
/// impl IntoResponse for AppError {
///     fn into_response(self) -> Response {
///         match self {
///             Self::NotFound => axum::http::StatusCode::NOT_FOUND.into_response(),
///             Self::Session(error) => ErrorResponse::from(error).into_response(),
///         }
///     }
/// }
///
/// async fn item(session: Session, sessions: Sessions) -> Result<String, AppError> {
///     let item: String = session.get("item")?.ok_or(AppError::NotFound)?;
///     sessions.get("recent").await?.insert("item", &item)?;
///     Ok(item)
/// }
/// # let _ = axum::routing::get::<_, _, ()>(item);
/// ```
#[derive(Clone)]
pub struct ErrorResponse(Cause);

#[derive(Clone)]
enum Cause {
    Session(Error),
    /// The application's layers are not as they must be.
    Setup(Error),
    Commit(CommitError),
}

impl ErrorResponse {
    /// Response for layers that are not as they must be. In debug builds its body is the error's text, for the developer.
    pub(crate) const fn setup(error: Error) -> Self {
        Self(Cause::Setup(error))
    }

    /// Kind of the error, for programs that act on it.
    ///
    /// If several sessions could not be stored, it is the gravest of their kinds. A missing layer is [`ErrorKind::Config`].
    pub fn kind(&self) -> ErrorKind {
        match &self.0 {
            Cause::Session(error) | Cause::Setup(error) => error.kind(),
            Cause::Commit(error) => error.kind(),
        }
    }

    /// HTTP status of the response: 503, 409, 401 or 500.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(session_http::status(self.kind())).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Sessions that could not be stored, or `None` for an error of any other kind.
    pub fn commit(&self) -> Option<&CommitError> {
        match &self.0 {
            Cause::Session(_) | Cause::Setup(_) => None,
            Cause::Commit(error) => Some(error),
        }
    }

    fn cause(&self) -> &(dyn StdError + 'static) {
        match &self.0 {
            Cause::Session(error) | Cause::Setup(error) => error,
            Cause::Commit(error) => error,
        }
    }
}

impl From<Error> for ErrorResponse {
    fn from(error: Error) -> Self {
        Self(Cause::Session(error))
    }
}

impl From<CommitError> for ErrorResponse {
    fn from(error: CommitError) -> Self {
        Self(Cause::Commit(error))
    }
}

impl From<ErrorResponse> for Error {
    /// Returns the error of a rejection, for extractors of the application that extract a session themselves.
    fn from(response: ErrorResponse) -> Self {
        match response.0 {
            Cause::Session(error) | Cause::Setup(error) => error,
            Cause::Commit(error) => Self::new(error.kind(), error.to_string()),
        }
    }
}

impl fmt::Display for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self.cause(), f)
    }
}

impl fmt::Debug for ErrorResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.cause(), f)
    }
}

impl StdError for ErrorResponse {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause().source()
    }
}

impl IntoResponse for ErrorResponse {
    fn into_response(self) -> Response {
        let status = self.status();
        if status.is_server_error() {
            tracing::error!(error = ?self, "{self}");
        } else {
            tracing::debug!(error = ?self, "{self}");
        }
        // Details go to the log only: a client cannot act on them, but an attacker could.
        let explained;
        let text = match status {
            _ if cfg!(debug_assertions) && matches!(self.0, Cause::Setup(_)) => {
                explained = self.to_string();
                &explained
            }
            StatusCode::SERVICE_UNAVAILABLE => "Temporarily unavailable. Please try again.",
            StatusCode::CONFLICT => "Another request was faster. Please try again.",
            StatusCode::UNAUTHORIZED => "Please sign in.",
            _ => "Internal server error.",
        };
        let no_store = [(CACHE_CONTROL, HeaderValue::from_static("no-store"))];
        let mut response = (status, no_store, text.to_owned()).into_response();
        // The layer takes the error from here if `on_error` has to replace the response.
        response.extensions_mut().insert(self);
        response
    }
}
