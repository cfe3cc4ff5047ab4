//! Responses for what is refused or fails.

use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use session_tower::{Error, ErrorResponse};

/// Why a sign-in or a logout is not carried out. The texts are fixed, so they need no escaping and show no secret.
#[derive(Debug)]
pub(super) enum Failure {
    /// An answer or a token does not hold.
    Refused(&'static str),
    /// The provider does not answer as it should.
    Provider(&'static str),
    /// The store is down, or the session has ended meanwhile.
    Session(ErrorResponse),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Session(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let page = |why| Html(format!("<p>You are not signed in: {why}.</p><a href=/sign-in>Begin again</a>"));
        match self {
            Self::Refused(why) => (StatusCode::BAD_REQUEST, page(why)).into_response(),
            // With this status the attempt stays, so that the browser can ask for the page again.
            Self::Provider(why) => (StatusCode::BAD_GATEWAY, page(why)).into_response(),
            Self::Session(error) => error.into_response(),
        }
    }
}
