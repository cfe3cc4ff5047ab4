//! How do I show a message once, on the page after a redirect?
//!
//! ```sh
//! cargo run -p examples --example flash # then open http://localhost:3000
//! ```

use axum::Router;
use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use session_tower::{Error, Manager, Result, Session, SessionLayer, store};

/// Shows the messages that are waiting, and takes them out of the session.
async fn page(session: Session) -> Result<Html<String>> {
    let notices: Vec<String> = session.flashes("notice")?;
    let notices: String = notices.iter().map(|notice| format!("<p><b>{notice}</b></p>")).collect();
    Ok(Html(format!("{notices}<form method=post action=/save><button>Save</button></form>")))
}

/// Leaves a message for the next page. A reload of that page posts nothing again.
async fn save(session: Session) -> Result<Redirect> {
    session.flash("notice", "Your changes are saved.")?;
    Ok(Redirect::to("/"))
}

pub(crate) async fn app() -> Result<Router, Error> {
    let sessions = SessionLayer::new(Manager::new(store::connect("memory:").await?));
    Ok(Router::new().route("/", get(page)).route("/save", post(save)).layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app().await?).await?)
}
