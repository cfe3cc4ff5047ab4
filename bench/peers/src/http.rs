//! The application under tower-sessions' layer.

use anyhow::{Result, bail};
use axum::Router;
use axum::http::StatusCode;
use axum::routing::get;
use tower_sessions::{MemoryStore, Session, SessionManagerLayer, SessionStore};

pub(crate) async fn application(subject: &str, url: &str) -> Result<Router> {
    Ok(match subject.split_once('/') {
        Some((_, "memory")) => over(MemoryStore::default()),
        Some((_, "sqlite")) => over(peers::sqlite(url).await?),
        Some((_, "postgres")) => over(peers::postgres(url, None).await?),
        Some((_, "redis")) => over(peers::redis(url, None).await?),
        _ => bail!("{subject} is not served"),
    })
}

fn over(store: impl SessionStore + Clone) -> Router {
    let sessions = SessionManagerLayer::new(store).with_secure(false);
    Router::new()
        .route("/untouched", get(async || "0"))
        .route("/read", get(read))
        .route("/write", get(write))
        .layer(sessions)
}

type Answer = Result<String, (StatusCode, String)>;

fn failed(error: tower_sessions::session::Error) -> (StatusCode, String) {
    (StatusCode::INTERNAL_SERVER_ERROR, error.to_string())
}

async fn read(session: Session) -> Answer {
    Ok(session.get::<u64>("count").await.map_err(failed)?.unwrap_or_default().to_string())
}

async fn write(session: Session) -> Answer {
    let count = session.get::<u64>("count").await.map_err(failed)?.unwrap_or_default() + 1;
    session.insert("count", count).await.map_err(failed)?;
    Ok(count.to_string())
}
