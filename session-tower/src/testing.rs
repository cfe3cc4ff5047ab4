//! `Cookie` headers for tests of handlers.
//!
//! ```
//! # async fn test(app: axum::Router, sessions: session_tower::SessionLayer) {
//! use axum::body::Body;
//! use axum::http::Request;
//! use session_tower::testing;
//! use tower::ServiceExt as _;
//!
//! let ann = testing::signed_in(&sessions, "ann").await;
//! let request = Request::get("/account").header("cookie", ann).body(Body::empty()).unwrap();
//! let response = app.oneshot(request).await.unwrap();
//! assert_eq!(response.status(), 200);
//! # }
//! ```

use std::fmt::Display;

use http::header::SET_COOKIE;
use http::{HeaderValue, Response};

use crate::extract::Name;
use crate::{Error, Session, SessionLayer};

/// Returns the `Cookie` header of a client that is signed in as `principal` in the layer's first session.
///
/// # Panics
/// If the session cannot be stored.
pub async fn signed_in(layer: &SessionLayer, principal: impl Display) -> HeaderValue {
    prepared(layer, |session| session.login(principal)).await
}

/// Returns the `Cookie` header for a session that `prepare` has filled. It is the layer's first session.
///
/// # Panics
/// If `prepare` fails or writes nothing, or if the session cannot be stored.
pub async fn prepared(layer: &SessionLayer, prepare: impl FnOnce(&Session) -> Result<(), Error>) -> HeaderValue {
    let first = layer.set().names().next().expect("a layer has at least one session");
    prepared_named(layer, first, prepare).await
}

/// Returns the `Cookie` header for the session `name` after `prepare` has filled it. To send several cookies, join them with `; `.
///
/// # Panics
/// If there is no session `name`, if `prepare` fails or writes nothing, or if the session cannot be stored.
pub async fn prepared_named(
    layer: &SessionLayer,
    name: &str,
    prepare: impl FnOnce(&Session) -> Result<(), Error>,
) -> HeaderValue {
    let exchange = layer.set().begin();
    let session = exchange.open(name, []).await.expect("the session opens");
    let session = Session::new(session, exchange.clone(), Name::Other(name.into()));
    prepare(&session).expect("the session is prepared");
    let committed = exchange.commit().await;
    if let Some(error) = committed.error {
        panic!("{error}");
    }
    let line = committed.set_cookie.first().expect("something was written, so there is a cookie");
    header(line.pair())
}

/// Returns the `Cookie` header that a client sends after `response`, or `None` if `response` sets no cookie or only clears cookies.
pub fn returned<B>(response: &Response<B>) -> Option<HeaderValue> {
    let lines = response.headers().get_all(SET_COOKIE).into_iter().filter_map(|line| line.to_str().ok());
    let kept = lines.filter(|line| !line.contains("; Max-Age=0"));
    let pairs = kept.filter_map(|line| line.split(';').next()).collect::<Vec<_>>();
    (!pairs.is_empty()).then(|| header(&pairs.join("; ")))
}

fn header(pairs: &str) -> HeaderValue {
    let mut value = HeaderValue::try_from(pairs).expect("a cookie is a header value");
    value.set_sensitive(true);
    value
}
