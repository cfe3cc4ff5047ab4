//! How do I keep a short, strict session for administrators beside the site's session?
//!
//! ```sh
//! cargo run -p examples --example several_sessions # then open http://localhost:3000
//! ```

use axum::Router;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use session_tower::{CookieOptions, Error, Manager, Result, SameSite, Session, SessionLayer, Sessions, minutes, store};

/// Uses the site's session, which is the first one of the layer.
async fn site(session: Session) -> Result<Html<String>> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    let links = "<form method=post action=/admin/login><button>Sign in as administrator</button></form>";
    Ok(Html(format!("<p>Visit number {visits}</p>{links}<a href=/admin>Administration</a>")))
}

/// Uses the session named `admin`. Other sites cannot make a browser send its cookie, not even by a link.
async fn panel(sessions: Sessions) -> Result<Response> {
    let admin = sessions.get("admin").await?;
    Ok(match admin.principal() {
        Some(name) => format!("Administrator: {}", name.as_str()).into_response(),
        None => (StatusCode::FORBIDDEN, "Only for administrators").into_response(),
    })
}

/// Signs in as administrator. A real application checks a password and a second factor first.
async fn sign_in(sessions: Sessions) -> Result<Redirect> {
    sessions.get("admin").await?.login("root")?;
    Ok(Redirect::to("/admin"))
}

pub(crate) async fn app() -> Result<Router, Error> {
    let store = store::connect("memory:").await?;
    let site_manager = Manager::new(store.clone());
    let admin_manager = Manager::builder(store).name("admin").idle(minutes(10)).build()?;
    let sessions = SessionLayer::builder()
        .session(site_manager, CookieOptions::new())
        .session(admin_manager, CookieOptions::new().same_site(SameSite::Strict))
        .build()?;
    let routes = Router::new().route("/", get(site)).route("/admin", get(panel)).route("/admin/login", post(sign_in));
    Ok(routes.layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app().await?).await?)
}
