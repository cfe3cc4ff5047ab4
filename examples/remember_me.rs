//! How do users stay signed in after they close the browser?
//!
//! ```sh
//! cargo run -p examples --example remember_me # then open http://localhost:3000
//! ```

use axum::response::{Html, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use session_tower::{Error, Manager, Result, Session, SessionLayer, days, store};

async fn page(session: Session) -> Html<&'static str> {
    match session.principal() {
        Some(_) => Html("<p>Signed in</p><form method=post action=/logout><button>Sign out</button></form>"),
        None => Html(
            "<form method=post action=/login>
                <label><input name=remember type=checkbox> Remember me</label> <button>Sign in as Ann</button>
            </form>",
        ),
    }
}

#[derive(Deserialize)]
struct SignIn {
    /// Sent only if the box is checked.
    remember: Option<String>,
}

async fn sign_in(session: Session, Form(form): Form<SignIn>) -> Result<Redirect> {
    session.login("ann")?;
    if form.remember.is_some() {
        session.remember()?; // the cookie outlives the browser
    }
    Ok(Redirect::to("/"))
}

async fn sign_out(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/")
}

pub(crate) async fn app() -> Result<Router, Error> {
    // The usual session ends after an hour without a visit and after a day in any case, a remembered one 30 days after its login.
    let manager = Manager::builder(store::connect("memory:").await?).remember(days(30)).build()?;
    let routes = Router::new().route("/", get(page)).route("/login", post(sign_in)).route("/logout", post(sign_out));
    Ok(routes.layer(SessionLayer::new(manager)))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app().await?).await?)
}
