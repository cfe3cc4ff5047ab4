//! How do users see where they are signed in, and sign out of other devices?
//!
//! ```sh
//! cargo run -p examples --example devices # then open http://localhost:3000 in two browsers
//! ```

use axum::extract::State;
use axum::http::header::{HeaderMap, USER_AGENT};
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use session_tower::{Error, Handle, Manager, Result, Session, SessionLayer, store};

async fn sign_in(session: Session, headers: HeaderMap) -> Result<Redirect> {
    session.login("ann")?;
    // The label says in the list which device it is.
    let agent = headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
    let known = ["Firefox", "Edg", "Chrome", "Safari"];
    session.set_label(known.into_iter().find(|name| agent.contains(name)).unwrap_or("Another program"))?;
    Ok(Redirect::to("/"))
}

async fn devices(State(manager): State<Manager>, session: Session) -> Result<Html<String>> {
    if session.principal().is_none() {
        return Ok(Html("<form method=post action=/login><button>Sign in as Ann</button></form>".to_owned()));
    }
    let mut page = "<form method=post action=/end-others><button>Sign out everywhere else</button></form>".to_owned();
    for device in session.sessions().await? {
        let label = device.label.unwrap_or_default();
        let minutes = manager.now().since(device.last_used).as_secs() / 60;
        page += &match device.current {
            true => format!("<p>{label}, this one</p>"),
            false => format!(
                "<form method=post action=/end>{label}, used {minutes} minutes ago
                    <button name=handle value={}>Sign out</button></form>",
                device.handle
            ),
        };
    }
    Ok(Html(page))
}

#[derive(Deserialize)]
struct End {
    handle: Handle,
}

/// Ends one session of this user. The handle comes from the client, and `revoke` ends only sessions of the same principal.
async fn end(session: Session, Form(form): Form<End>) -> Result<Redirect> {
    session.revoke(&form.handle).await?;
    Ok(Redirect::to("/"))
}

/// Ends all sessions of this user but the present one. Call this after a change of password, too.
async fn end_others(session: Session) -> Result<Redirect> {
    if session.principal().is_some() {
        session.revoke_others().await?;
    }
    Ok(Redirect::to("/"))
}

pub(crate) async fn app() -> Result<Router, Error> {
    let manager = Manager::new(store::connect("memory:").await?);
    let routes = Router::new()
        .route("/", get(devices))
        .route("/login", post(sign_in))
        .route("/end", post(end))
        .route("/end-others", post(end_others))
        .with_state(manager.clone());
    Ok(routes.layer(SessionLayer::new(manager)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app().await?).await?)
}
