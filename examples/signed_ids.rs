//! What are signed ids for?
//!
//! An id has 256 random bits, so it is safe without a signature. With one, the server recognises a made-up id without asking
//! the store. So a flood of made-up ids does not load the database.
//!
//! ```sh
//! SESSION_SECRET=$(openssl rand -base64 32) cargo run -p examples --example signed_ids
//! curl -i http://localhost:3000 -H 'cookie: __Host-id=made-up' # opened as Undecodable: the store was not asked
//! ```

use axum::Router;
use axum::routing::get;
use session_tower::{CookieOptions, Error, KeyRing, Manager, Result, Session, SessionLayer, store};

async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    Ok(format!("Visit number {visits}, opened as {:?}", session.opened()))
}

pub(crate) async fn app(keys: &KeyRing) -> Result<Router, Error> {
    let sessions = SessionLayer::builder()
        .session(Manager::new(store::connect("memory:").await?), CookieOptions::new().signed(keys))
        .build()?;
    Ok(Router::new().route("/", get(visits)).layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = KeyRing::from_env()?; // reads SESSION_SECRET
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(&keys).await?).await?)
}
