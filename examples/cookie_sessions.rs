//! How do I keep sessions without a database?
//!
//! Each session is sealed in its cookie: the client can neither read nor change it. The price: the client may send an older
//! copy, so a logout or a revocation does not reach a copied cookie before it expires. Use a store if that matters.
//!
//! ```sh
//! SESSION_SECRET=$(openssl rand -base64 32) cargo run -p examples --example cookie_sessions # http://localhost:3000
//! ```

use axum::Router;
use axum::response::Redirect;
use axum::routing::{get, post};
use session_tower::{CookieStore, KeyRing, Manager, Result, Session, SessionLayer};

async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    Ok(format!("Visit number {visits}"))
}

async fn forget(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/")
}

/// Returns the application. Every server with the same keys can serve every session.
pub(crate) fn app(keys: &KeyRing) -> Router {
    let sessions = SessionLayer::new(Manager::new(CookieStore::new(keys)));
    Router::new().route("/", get(visits)).route("/forget", post(forget)).layer(sessions)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = KeyRing::from_env()?; // reads SESSION_SECRET
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(&keys)).await?)
}
