//! The application under this project's layer.

use anyhow::Result;
use axum::Router;
use axum::routing::get;
use session_store_memory::MemoryStore;
use session_tower::{CookieOptions, Manager, Session, SessionLayer};

pub(crate) fn application() -> Result<Router> {
    let manager = Manager::new(MemoryStore::new());
    let sessions = SessionLayer::builder().session(manager, CookieOptions::new()).build()?;
    Ok(Router::new()
        .route("/start", get(start))
        .route("/untouched", get(async || "0".to_owned()))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(sessions))
}

async fn start(session: Session) -> session_tower::Result<()> {
    session.insert("name", "Ann Archer")?;
    session.insert("theme", "dark")?;
    session.insert("count", &0)?;
    Ok(())
}

async fn read(session: Session) -> session_tower::Result<String> {
    Ok(session.get::<u64>("count")?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> session_tower::Result<String> {
    Ok(session.update("count", |count: &mut u64| *count += 1)?.to_string())
}
