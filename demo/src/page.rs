//! Parts that all pages share.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use session_tower::{Result, Session};

use super::cart::Cart;

/// Key of the messages for the next page.
const NOTICES: &str = "notices";

/// Frame around a page: the user, the size of the cart, and messages.
#[derive(Debug)]
pub(super) struct Frame {
    /// Navigation entry that the page belongs to.
    pub(super) here: &'static str,
    pub(super) user: Option<String>,
    pub(super) in_cart: u32,
    pub(super) notices: Vec<String>,
}

impl Frame {
    /// Makes the frame and takes the messages, which are gone once the session is stored.
    pub(super) fn of(session: &Session, here: &'static str) -> Result<Self> {
        Ok(Self {
            here,
            user: session.principal().map(|principal| principal.as_str().to_owned()),
            in_cart: Cart::of(session)?.pieces(),
            notices: session.flashes(NOTICES)?,
        })
    }

    /// Makes a frame for pages without a session.
    pub(super) const fn anonymous() -> Self {
        Self { here: "", user: None, in_cart: 0, notices: Vec::new() }
    }
}

/// Redirects to another page, which then shows `notice`.
pub(super) fn redirect(session: &Session, to: &str, notice: &str) -> Result<Redirect> {
    session.flash(NOTICES, notice)?;
    Ok(Redirect::to(to))
}

/// A template as a response.
#[derive(Debug)]
pub(crate) struct Page<T>(pub(super) T);

impl<T: Template> IntoResponse for Page<T> {
    fn into_response(self) -> Response {
        match self.0.render() {
            Ok(html) => Html(html).into_response(),
            Err(error) => {
                tracing::error!(%error, "a page cannot be rendered");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
