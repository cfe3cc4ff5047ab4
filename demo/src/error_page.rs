//! Status and page of a request that failed.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use session_tower::{ErrorKind, ErrorResponse};

use crate::app_state::AppState;
use crate::page::{Frame, Page};

/// Returns the status for a session error: as the layer's, except 413 for too large and 501 for unsupported.
pub(crate) fn status(error: &ErrorResponse) -> StatusCode {
    match error.kind() {
        ErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        _ => error.status(),
    }
}

/// Page for a request that failed.
#[derive(askama::Template)]
#[template(path = "failed.html")]
pub(crate) struct ErrorPage {
    frame: Frame,
    heading: &'static str,
    text: &'static str,
}

/// Returns the page for a session error.
pub(crate) fn failed(error: &ErrorResponse) -> Response {
    let (heading, text) = match error.kind() {
        ErrorKind::Unavailable => (
            "We cannot reach our books",
            "Nothing is lost: your session is where it was. Please try again in a moment.",
        ),
        ErrorKind::Conflict => {
            ("Another tab was faster", "You did the same in another tab just now. Please look and try again.")
        }
        ErrorKind::Gone => {
            ("This session has ended", "You signed in or out elsewhere meanwhile. Please start from the shop.")
        }
        ErrorKind::Unsupported => {
            ("We cannot do that here", "This shop's sessions are kept where they cannot be ended from elsewhere.")
        }
        ErrorKind::WrongType => (
            "We are moving to a new shop",
            "Nothing is lost: the new one has what you chose. Please try again in a moment.",
        ),
        ErrorKind::Unauthenticated => ("Who are you?", "Please sign in first."),
        ErrorKind::TooLarge => ("That is too much", "It does not fit into a session."),
        _ => ("Something went wrong", "It is our fault, and written down."),
    };
    page(status(error), heading, text).into_response()
}

/// Returns the page for a refused request.
pub(crate) fn refused(status: StatusCode, text: &'static str) -> (StatusCode, Page<ErrorPage>) {
    page(status, "We did not do that", text)
}

/// Returns the page for an unknown address.
pub(crate) async fn not_found(State(_): State<AppState>) -> (StatusCode, Page<ErrorPage>) {
    page(StatusCode::NOT_FOUND, "There is nothing here", "Perhaps the tea you looked for has been drunk.")
}

fn page(status: StatusCode, heading: &'static str, text: &'static str) -> (StatusCode, Page<ErrorPage>) {
    (status, Page(ErrorPage { frame: Frame::anonymous(), heading, text }))
}
