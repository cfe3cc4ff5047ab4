//! How do pages send users to the sign-in page, lead back afterwards, and ask again before a sensitive step?
//!
//! ```sh
//! cargo run -p examples --example sign_in_first # then open http://localhost:3000/orders
//! ```

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use session_tower::{Error, Manager, Next, Result, Session, SessionLayer, SignedIn, minutes, require, store};

async fn orders(user: SignedIn) -> Html<String> {
    Html(format!("<p>Orders of {}</p><a href=/password>Change your password</a>", user.principal.as_str()))
}

async fn password(user: SignedIn) -> Html<String> {
    Html(format!("<p>New password of {}</p>", user.principal.as_str()))
}

/// Signs in and leads back. A form without an `action` keeps the address of its page, and with it the way back.
async fn sign_in(session: Session, next: Next) -> Result<Next> {
    session.login("ann")?; // after the password was checked
    Ok(next)
}

pub(crate) async fn app() -> Result<Router, Error> {
    let sessions = SessionLayer::new(Manager::new(store::connect("memory:").await?));
    // A script gets 401 instead of the page.
    let signed_in = require().login().redirect("/sign-in");
    let recently = require().fresh(minutes(5)).redirect("/sign-in");
    let app = Router::new()
        .merge(Router::new().route("/orders", get(orders)).layer(signed_in))
        .merge(Router::new().route("/password", get(password)).layer(recently))
        .route("/sign-in", get(async || Html("<form method=post><button>Sign in</button></form>")).post(sign_in));
    Ok(app.layer(sessions))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app().await?).await?)
}
