//! The shop's pages.

mod account;
mod cart;
mod catalogue;
mod inside;
mod page;

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use session_tower::{ErrorKind, ErrorResponse, Result, Session, days};

use crate::guard;
use crate::serve::Served;
use page::{Frame, Page};

/// Idle time-out for users who want to be remembered.
pub(crate) const REMEMBERED_IDLE: Duration = days(14);

pub(crate) fn routes() -> Router<Served> {
    Router::new()
        .route("/", get(shelf))
        .route("/cart", get(cart::show).post(cart::change))
        .route("/cart/check-out", post(cart::check_out))
        .route("/sign-in", get(account::sign_in_page).post(account::sign_in))
        .route("/sign-out", post(account::sign_out))
        .route("/account", get(account::show))
        .route("/account/end-one", post(account::end_one))
        .route("/account/end-others", post(account::end_others))
        .route("/session", get(inside::show))
        .route("/session/new-id", post(inside::new_id))
        .route("/session/end", post(inside::end))
        .route("/style.css", get(style))
}

#[derive(askama::Template)]
#[template(path = "shelf.html")]
struct Shelf {
    frame: Frame,
    teas: &'static [catalogue::Tea],
}

async fn shelf(session: Session) -> Result<Page<Shelf>> {
    Ok(Page(Shelf { frame: Frame::of(&session, "shop")?, teas: catalogue::TEAS }))
}

async fn style() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, include_str!("../../templates/style.css"))
}

#[derive(askama::Template)]
#[template(path = "failed.html")]
pub(crate) struct Failed {
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
        ErrorKind::TooLarge => ("That is too much", "It does not fit into a session."),
        _ => ("Something went wrong", "It is our fault, and written down."),
    };
    page(guard::status(error), heading, text).into_response()
}

/// Returns the page for a refused request.
pub(crate) fn refused(status: StatusCode, text: &'static str) -> (StatusCode, Page<Failed>) {
    page(status, "We did not do that", text)
}

/// Returns the page for an unknown address.
pub(crate) async fn not_found(State(_): State<Served>) -> (StatusCode, Page<Failed>) {
    page(StatusCode::NOT_FOUND, "There is nothing here", "Perhaps the tea you looked for has been drunk.")
}

fn page(status: StatusCode, heading: &'static str, text: &'static str) -> (StatusCode, Page<Failed>) {
    (status, Page(Failed { frame: Frame::anonymous(), heading, text }))
}
