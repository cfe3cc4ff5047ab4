//! The application under this project's layer.

use anyhow::Result;
use axum::Router;
use axum::routing::get;
use session_tower::{CookieOptions, Manager, Session, SessionLayer};

pub(crate) async fn application(url: &str) -> Result<Router> {
    let manager = Manager::new(session_store_any::connect(url).await?);
    let sessions = SessionLayer::builder().session(manager, CookieOptions::new().insecure()).build()?;
    Ok(Router::new()
        .route("/untouched", get(async || "0"))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(sessions))
}

/// The application without sessions, which is an upper limit for every layer.
pub(crate) fn bare() -> Router {
    let answer = || get(async || "0");
    Router::new().route("/untouched", answer()).route("/read", answer()).route("/write", answer())
}

async fn read(session: Session) -> session_tower::Result<String> {
    Ok(session.get::<u64>("count")?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> session_tower::Result<String> {
    Ok(session.update("count", |count: &mut u64| *count += 1)?.to_string())
}
