//! How do I use SQLite on my machine and PostgreSQL or Redis in production?
//!
//! The URL in `SESSION_STORE` chooses the store. Only stores whose feature is switched on are compiled in.
//!
//! ```sh
//! cargo run -p examples --example store_by_url # SQLite, then open http://localhost:3000
//! SESSION_STORE=file://target/sessions cargo run -p examples --example store_by_url
//! SESSION_STORE=postgres://me:secret@localhost/shop cargo run -p examples --features postgres --example store_by_url
//! SESSION_STORE=redis://localhost cargo run -p examples --features redis --example store_by_url
//! ```

use axum::Router;
use axum::routing::get;
use session_tower::{Error, Manager, Result, Session, SessionLayer, store};

async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    Ok(format!("Visit number {visits}"))
}

/// Returns the application. Nothing but the URL depends on the store.
pub(crate) async fn app(store_url: &str) -> Result<Router, Error> {
    let sessions = SessionLayer::new(Manager::new(store::connect(store_url).await?));
    Ok(Router::new().route("/", get(visits)).layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::var("SESSION_STORE").unwrap_or_else(|_| "sqlite://sessions.db".to_owned());
    let app = app(&url).await?;
    // Only the scheme is printed, because the rest of a URL may contain a password.
    println!("sessions are in {}", store::scheme(&url).unwrap_or_default());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
