//! Parts that all pages share.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use session_tower::{Result, Session};

/// Key of the messages for the next page.
const NOTICES: &str = "notices";

/// Frame around a page: the user, the size of the cart, and messages.
#[derive(Debug)]
pub(crate) struct Frame {
    /// Navigation entry that the page belongs to.
    pub(crate) here: &'static str,
    pub(crate) user: Option<String>,
    /// Number of tins in the cart.
    pub(crate) in_cart: u32,
    pub(crate) notices: Vec<String>,
}

impl Frame {
    /// Makes the frame and takes the messages, which are gone once the session is stored.
    pub(crate) fn of(session: &Session, here: &'static str, in_cart: u32) -> Result<Self> {
        Ok(Self {
            here,
            user: session.principal().map(|principal| principal.as_str().to_owned()),
            in_cart,
            notices: session.flashes(NOTICES)?,
        })
    }

    /// Makes a frame for pages without a session.
    pub(crate) const fn anonymous() -> Self {
        Self { here: "", user: None, in_cart: 0, notices: Vec::new() }
    }
}

/// Redirects to another page, which then shows `notice`.
pub(crate) fn redirect(session: &Session, to: &str, notice: &str) -> Result<Redirect> {
    session.flash(NOTICES, notice)?;
    Ok(Redirect::to(to))
}

/// A template as a response.
#[derive(Debug)]
pub(crate) struct Page<T>(pub(crate) T);

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
