//! How do I keep a value for each browser?
//!
//! ```sh
//! cargo run -p examples --example counter # then open http://localhost:3000 and reload
//! ```

use axum::Router;
use axum::routing::get;
use session_tower::{Error, Manager, Result, Session, SessionLayer, store};

/// Counts this browser's visits. Two tabs that load the page at the same time count twice.
async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    Ok(format!("Visit number {visits}"))
}

/// Returns the application. The layer comes after the routes that use a session.
pub(crate) async fn app(store_url: &str) -> Result<Router, Error> {
    let store = store::connect(store_url).await?;
    let sessions = SessionLayer::new(Manager::new(store));
    Ok(Router::new().route("/", get(visits)).layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let app = app("sqlite://sessions.db").await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app).await?)
}
