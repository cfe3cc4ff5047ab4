//! `Vary` and `Cache-Control`.

use axum::Router;
use axum::http::HeaderValue;
use axum::response::{AppendHeaders, Extension, IntoResponse};
use axum::routing::get as route;
use session_tower::{ErrorKind, OwnCaching, Session, testing};

use crate::rig::{get, get_with, header, one};

const PUBLIC: [(&str, &str); 1] = [("cache-control", "public, max-age=60")];

async fn read(_: Session) -> impl IntoResponse {
    PUBLIC
}

async fn write(session: Session) -> impl IntoResponse {
    session.insert("n", &1).unwrap();
    PUBLIC
}

#[tokio::test]
async fn a_read_varies_and_stays_private() {
    let (_, sessions) = one();
    let response = get(&Router::new().route("/", route(read)).layer(sessions)).await;
    assert_eq!(header(&response, "vary"), Some("Cookie"));
    assert_eq!(header(&response, "cache-control"), Some("private, no-cache"));
}

#[tokio::test]
async fn a_set_cookie_is_never_stored_by_a_cache() {
    let (_, sessions) = one();
    let response = get(&Router::new().route("/", route(write)).layer(sessions)).await;
    assert!(header(&response, "set-cookie").is_some());
    assert_eq!(header(&response, "vary"), Some("Cookie"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn a_page_of_a_signed_in_user_is_never_stored_by_a_cache() {
    let (_, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let response = get_with(&Router::new().route("/", route(read)).layer(sessions), &ann).await;
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
}

#[tokio::test]
async fn an_error_of_ours_is_never_stored_by_a_cache() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    store.fail_loads(ErrorKind::Unavailable);
    let response = get_with(&Router::new().route("/", route(read)).layer(sessions), &ann).await;
    assert_eq!(response.status(), 503);
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "vary"), Some("Cookie"));
}

#[tokio::test]
async fn a_handlers_no_store_is_kept() {
    let (_, sessions) = one();
    let strict = |_: Session| async { [("cache-control", "no-store, max-age=0")] };
    let response = get(&Router::new().route("/", route(strict)).layer(sessions)).await;
    assert_eq!(header(&response, "cache-control"), Some("no-store, max-age=0"));
}

#[tokio::test]
async fn vary_is_added_to_what_is_there_and_not_twice() {
    for (vary, expected) in [
        ("Accept", vec!["Accept", "Cookie"]),
        ("accept, cookie", vec!["accept, cookie"]),
        ("*", vec!["*"]),
        ("X-Cookie", vec!["X-Cookie", "Cookie"]),
    ] {
        let (_, sessions) = one();
        let handler = move |_: Session| async move { AppendHeaders([("vary", vary)]) };
        let response = get(&Router::new().route("/", route(handler)).layer(sessions)).await;
        assert_eq!(response.headers().get_all("vary").iter().collect::<Vec<_>>(), expected);
    }
}

#[tokio::test]
async fn a_handler_may_opt_out_for_a_read() {
    let (_, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let own = |_: Session| async { (Extension(OwnCaching), PUBLIC) };
    let response = get_with(&Router::new().route("/", route(own)).layer(sessions), &ann).await;
    assert_eq!(header(&response, "cache-control"), Some("public, max-age=60"));
    assert_eq!(header(&response, "vary"), None);
}

#[tokio::test]
async fn opting_out_has_no_effect_with_a_set_cookie() {
    let (_, sessions) = one();
    let own = |session: Session| async move {
        session.insert("n", &1).unwrap();
        (Extension(OwnCaching), PUBLIC)
    };
    let response = get(&Router::new().route("/", route(own)).layer(sessions.clone())).await;
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "vary"), Some("Cookie"));

    // It has no effect with the handler's own cookie either.
    let theirs = |_: Session| async { (Extension(OwnCaching), PUBLIC, [("set-cookie", "theme=dark")]) };
    let response = get(&Router::new().route("/", route(theirs)).layer(sessions)).await;
    assert_eq!(response.headers()["set-cookie"], HeaderValue::from_static("theme=dark"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
}
