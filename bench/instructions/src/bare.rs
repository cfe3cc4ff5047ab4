//! The application without sessions.

use axum::Router;
use axum::routing::get;

pub(crate) fn application() -> Router {
    let answer = || get(async || "0".to_owned());
    Router::new()
        .route("/start", answer())
        .route("/untouched", answer())
        .route("/read", answer())
        .route("/write", answer())
}
