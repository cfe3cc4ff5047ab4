//! How do failures of a session become JSON for an API, and a page for a browser?
//!
//! ```sh
//! cargo run -p examples --example api_and_pages # then open http://localhost:3000 and http://localhost:3000/api/visits
//! ```

use axum::response::Html;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;
use session_tower::{CookieOptions, Error, ErrorKind, Manager, Result, Session, SessionLayer, store};

fn count(session: &Session) -> Result<u64, Error> {
    session.update("visits", |n: &mut u64| *n += 1)
}

async fn page(session: Session) -> Result<Html<String>> {
    Ok(Html(format!("<p>Visit number {}</p>", count(&session)?)))
}

#[derive(Serialize)]
struct Visits {
    visits: u64,
}

async fn api(session: Session) -> Result<Json<Visits>> {
    Ok(Json(Visits { visits: count(&session)? }))
}

#[derive(Serialize)]
struct Problem {
    error: &'static str,
}

/// Returns the application. Pages and API share their sessions, and each part has a layer with its own form of errors.
///
/// The log has the details. Neither form shows them, because a client cannot act on them.
pub(crate) fn app(manager: Manager) -> Result<Router, Error> {
    let for_pages = SessionLayer::builder()
        .session(manager.clone(), CookieOptions::new())
        .on_error(|error, _| (error.status(), Html("<h1>Sorry</h1><p>Please come back in a minute.</p>")))
        .build()?;
    let for_api = SessionLayer::builder()
        .session(manager, CookieOptions::new())
        .on_error(|error, _| {
            let text = match error.kind() {
                ErrorKind::Unavailable => "the session store is down; try again later",
                ErrorKind::Conflict | ErrorKind::Gone => "another request was faster; read and try again",
                _ => "internal error",
            };
            (error.status(), Json(Problem { error: text }))
        })
        .build()?;
    let pages = Router::new().route("/", get(page)).layer(for_pages);
    let api = Router::new().route("/visits", get(api)).layer(for_api);
    Ok(pages.nest("/api", api))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let manager = Manager::new(store::connect("memory:").await?);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app(manager)?).await?)
}
