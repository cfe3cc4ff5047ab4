//! What all pages share.

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use session_tower::{Result, Session};

use super::cart::Cart;

/// The key under which messages wait for the next page.
const NOTICES: &str = "notices";

/// The frame around a page: who is here, what is in the cart, what there is to say.
#[derive(Debug)]
pub(super) struct Frame {
    /// Which entry of the navigation the page belongs to.
    pub(super) here: &'static str,
    pub(super) user: Option<String>,
    pub(super) in_cart: u32,
    pub(super) notices: Vec<String>,
}

impl Frame {
    /// Takes the messages: they are gone once this page's session is stored.
    pub(super) fn of(session: &Session, here: &'static str) -> Result<Self> {
        Ok(Self {
            here,
            user: session.principal().map(|principal| principal.as_str().to_owned()),
            in_cart: Cart::of(session)?.pieces(),
            notices: session.flashes(NOTICES)?,
        })
    }

    /// For pages that must do without a session.
    pub(super) const fn anonymous() -> Self {
        Self { here: "", user: None, in_cart: 0, notices: Vec::new() }
    }
}

/// Goes to another page, which then says `notice`.
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
