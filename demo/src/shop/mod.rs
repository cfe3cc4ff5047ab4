//! The shop's pages.

mod account;
mod cart;
mod catalogue;
mod session_page;

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use session_tower::{Result, Session};

use crate::app_state::AppState;
use crate::page::{Frame, Page};
use cart::tins_in_cart;

pub(crate) fn routes() -> Router<AppState> {
    Router::new()
        .route("/", get(shelf))
        .route("/cart", get(cart::show).post(cart::change))
        .route("/cart/check-out", post(cart::check_out))
        .route("/sign-in", get(account::sign_in_page).post(account::sign_in))
        .route("/sign-out", post(account::sign_out))
        .route("/account", get(account::show))
        .route("/account/end-one", post(account::end_one))
        .route("/account/end-others", post(account::end_others))
        .route("/session", get(session_page::show))
        .route("/session/new-id", post(session_page::new_id))
        .route("/session/end", post(session_page::end))
        .route("/style.css", get(style))
}

#[derive(askama::Template)]
#[template(path = "shelf.html")]
struct Shelf {
    frame: Frame,
    teas: &'static [catalogue::Tea],
}

async fn shelf(session: Session) -> Result<Page<Shelf>> {
    Ok(Page(Shelf { frame: Frame::of(&session, "shop", tins_in_cart(&session)?)?, teas: catalogue::TEAS }))
}

async fn style() -> impl IntoResponse {
    let headers = [(CONTENT_TYPE, "text/css; charset=utf-8"), (CACHE_CONTROL, "public, max-age=300")];
    (headers, include_str!("../../templates/style.css"))
}
