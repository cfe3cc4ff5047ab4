//! How do login, cart, messages, devices, administrators, live updates, an API and CSRF protection fit into one application?
//!
//! ```sh
//! cargo run -p examples --example shop # then open http://localhost:3000
//! ```
use std::{convert::Infallible, time::Duration};

use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Form, Json, Router, http::StatusCode};
use futures_util::stream::{Stream, unfold};
use serde::{Deserialize, Serialize};
use session_tower::{CookieOptions, Error, Filter, Key, Manager, Next, Result, Session, SessionLayer, SignedIn};
use session_tower::{Transport, days, minutes, require, store};
use tower_http::csrf::CsrfLayer;

const CART: Key<Vec<Item>> = Key::new("cart");

#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
enum Item {
    Tea,
    Cake,
}

async fn shop(session: Session) -> Result<Html<String>> {
    let (notices, cart) = (session.flashes::<String>("notice")?.join("<br>"), session.get(CART)?.unwrap_or_default());
    let account = session.principal().map_or("<a href=/sign-in>Sign in</a>".to_owned(), |user| {
        format!("<a href=/devices>{user}</a> <form method=post action=/sign-out><button>Sign out</button></form>")
    });
    Ok(Html(format!("{account}<p>{notices}<p>{cart:?}<form method=post action=/add/Tea><button>Tea</button></form>")))
}

async fn add(session: Session, Path(item): Path<Item>) -> Result<Redirect> {
    session.update(CART, move |cart| cart.push(item))?;
    session.flash("notice", &format!("{item:?} is in your cart."))?;
    Ok(Redirect::to("/"))
}

#[derive(Deserialize)]
struct SignIn {
    name: String,
    password: String,
}

async fn sign_in(session: Session, next: Next, Form(form): Form<SignIn>) -> Result<Response> {
    // In your application, compare with a slow hash, such as Argon2.
    if !["ann", "admin"].contains(&&*form.name) || form.password != "secret" {
        return Ok((StatusCode::UNAUTHORIZED, "Wrong name or password").into_response());
    }
    session.login(&form.name)?;
    session.remember()?;
    Ok(next.into_response())
}

async fn sign_out(session: Session) -> Redirect {
    session.logout();
    Redirect::to("/")
}

async fn devices(user: SignedIn) -> Result<Html<String>> {
    let all = user.session.sessions().await?.len();
    Ok(Html(format!("{all} devices<form method=post action=/devices><button>Sign out the others</button></form>")))
}

async fn sign_out_others(user: SignedIn) -> Result<Redirect> {
    user.session.revoke_others().await?;
    Ok(Redirect::to("/devices"))
}

async fn end_unused(State(manager): State<Manager>) -> Result<String> {
    Ok(format!("{} sessions ended", manager.revoke_where(Filter::all().idle(days(7))).await?))
}

/// Shows the cart's size for as long as the page is open. That is not a use of the session, so it does not prolong it.
async fn live(session: Session) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    session.keep_expiry();
    Sse::new(unfold((session, Duration::ZERO), async |(session, pause)| {
        tokio::time::sleep(pause).await;
        session.reload().await.ok()?;
        let size = session.get(CART).ok()?.unwrap_or_default().len();
        Some((Ok(Event::default().data(size.to_string())), (session, Duration::from_secs(5))))
    }))
}

async fn cart(user: SignedIn) -> Result<Json<Vec<Item>>> {
    Ok(Json(user.session.get(CART)?.unwrap_or_default()))
}

pub(crate) async fn app(url: &str) -> Result<Router, Error> {
    let manager = Manager::builder(store::connect(url).await?).remember(days(30)).build()?;
    let form = "<form method=post><input name=name><input name=password type=password><button>Sign in</button></form>";
    let account = Router::new().route("/devices", get(devices).post(sign_out_others));
    let admin = Router::new().route("/admin/end-unused", post(end_unused)).with_state(manager.clone());
    let is_admin = |session: &Session| session.principal().is_some_and(|user| user.as_str() == "admin");
    let pages = Router::new()
        .merge(account.layer(require().login().redirect("/sign-in")))
        .merge(admin.layer(require().fresh(minutes(10)).when(is_admin)))
        .route("/", get(shop))
        .route("/add/{item}", post(add))
        .route("/live", get(live))
        .route("/sign-in", get(async move || Html(form)).post(sign_in))
        .route("/sign-out", post(sign_out))
        .layer(SessionLayer::new(manager.clone()))
        .layer(CsrfLayer::new());
    // Browsers send no bearer token by themselves, so the API needs no protection against other sites.
    let bearer = SessionLayer::builder().session(manager, CookieOptions::new()).transport(Transport::Bearer).build()?;
    // A sign-in answers with the token in the header `session-token`.
    let api = Router::new().route("/sign-in", post(sign_in)).route("/cart", get(cart)).layer(bearer);
    Ok(pages.nest("/api", api))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, app("memory:").await?).await?)
}
