//! How do users sign in and out, and how does a page require a signed-in user?
//!
//! ```sh
//! cargo run -p examples --example login # then open http://localhost:3000
//! ```

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use session_tower::{Error, Manager, Result, Session, SessionLayer, store};

/// Signed-in user. A handler with this argument is reached only by users who have signed in.
struct User(String);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let session = Session::from_request_parts(parts, state).await.map_err(IntoResponse::into_response)?;
        let principal = session.principal().ok_or_else(|| Redirect::to("/login").into_response())?;
        Ok(Self(principal.as_str().to_owned()))
    }
}

/// Shows the user's name. It needs no escaping here, because only known names sign in; a template engine escapes all.
async fn account(User(name): User) -> Html<String> {
    Html(format!("<p>Signed in as {name}</p><form method=post action=/logout><button>Sign out</button></form>"))
}

const FORM: &str = "<form method=post><p>Try ann and secret.</p>
    <input name=name> <input name=password type=password> <button>Sign in</button></form>";

#[derive(Deserialize)]
struct SignIn {
    name: String,
    password: String,
}

/// Checks a password. A real application compares it with a slow hash, such as Argon2.
fn is_right(name: &str, password: &str) -> bool {
    (name, password) == ("ann", "secret")
}

async fn sign_in(session: Session, Form(form): Form<SignIn>) -> Result<Response> {
    if !is_right(&form.name, &form.password) {
        return Ok((StatusCode::UNAUTHORIZED, Html(FORM)).into_response());
    }
    // The session gets a new id, so an id that an attacker planted before the login is useless.
    session.login(&form.name)?;
    Ok(Redirect::to("/").into_response())
}

/// Ends the session in the store, not only the cookie. A copied cookie opens nothing afterwards.
async fn sign_out(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/login")
}

pub(crate) async fn app() -> Result<Router, Error> {
    let sessions = SessionLayer::new(Manager::new(store::connect("memory:").await?));
    let routes = Router::new()
        .route("/", get(account))
        .route("/login", get(async || Html(FORM)).post(sign_in))
        .route("/logout", post(sign_out));
    Ok(routes.layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app().await?).await?)
}
