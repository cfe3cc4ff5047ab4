//! How do I use a store that I wrote myself?
//!
//! `first_store::MapStore` keeps sessions in a map. `docs/writing-a-store.md` builds it step by step and proves it with the
//! conformance suite. A store is any type that implements `session_core::Store`, and `Manager::new` takes it as it is.
//! `session_tower::store::register` gives it a URL as well, for applications that choose their store by configuration.
//!
//! ```sh
//! cargo run -p examples --example own_store # then open http://localhost:3000
//! ```

use axum::Router;
use axum::routing::get;
use first_store::MapStore;
use session_tower::{Manager, Result, Session, SessionLayer};

async fn visits(session: Session) -> Result<String> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    Ok(format!("Visit number {visits}"))
}

pub(crate) fn app() -> Router {
    Router::new().route("/", get(visits)).layer(SessionLayer::new(Manager::new(MapStore::default())))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app()).await?)
}
