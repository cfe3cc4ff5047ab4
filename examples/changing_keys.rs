//! How do I change the secret keys without signing users out?
//!
//! Put the new key first and keep the old one behind it. The first key signs, and every key verifies. A cookie under the
//! old key is sent again under the new one with its next response. Remove the old key when no older session can be live:
//! after the longest absolute time-out. With several servers, add the new key *behind* the old one everywhere first.
//! Sealed cookies (`CookieStore`) and sealed stores (`?key=` in the store's URL) change keys in the same way.
//!
//! ```sh
//! OLD=$(openssl rand -base64 32) NEW=$(openssl rand -base64 32)
//! SESSION_SECRET="$OLD" cargo run -p examples --example changing_keys # open http://localhost:3000, stop with Ctrl-C
//! SESSION_SECRET="$NEW $OLD" cargo run -p examples --example changing_keys # the count goes on
//! ```

use axum::Router;
use axum::routing::get;
use session_tower::{CookieOptions, Error, KeyRing, Manager, Result, Session, SessionLayer, store};

async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    Ok(format!("Visit number {visits}"))
}

pub(crate) fn app(manager: Manager, keys: &KeyRing) -> Result<Router, Error> {
    let sessions = SessionLayer::builder().session(manager, CookieOptions::new().signed(keys)).build()?;
    Ok(Router::new().route("/", get(visits)).layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = KeyRing::from_env()?; // reads SESSION_SECRET
    let manager = Manager::new(store::connect("sqlite://sessions.db").await?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(manager, &keys)?).await?)
}
