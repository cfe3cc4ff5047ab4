//! The application under tower-sessions' layer.

use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_sessions::session::Error;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer};

pub(crate) fn application() -> Router {
    Router::new()
        .route("/start", get(start))
        .route("/untouched", get(async || "0".to_owned()))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(SessionManagerLayer::new(MemoryStore::default()))
}

type Answer<T> = Result<T, (StatusCode, String)>;

fn failed(error: Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

async fn start(session: Session) -> Answer<()> {
    session.insert("name", "Ann Archer").await.map_err(failed)?;
    session.insert("theme", "dark").await.map_err(failed)?;
    session.insert("count", 0).await.map_err(failed)
}

async fn read(session: Session) -> Answer<String> {
    Ok(session.get::<u64>("count").await.map_err(failed)?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> Answer<String> {
    let count = session.get::<u64>("count").await.map_err(failed)?.unwrap_or_default() + 1;
    session.insert("count", count).await.map_err(failed)?;
    Ok(count.to_string())
}
