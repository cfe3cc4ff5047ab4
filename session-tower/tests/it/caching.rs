//! `Vary` and `Cache-Control`.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use axum::response::{AppendHeaders, Extension, IntoResponse};
use axum::routing::get as route;
use session_tower::{ErrorKind, OwnCaching, Session, testing};
use tower::ServiceExt as _;

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
    assert_eq!(header(&response, "cache-control"), Some("private, no-store"));
}

#[tokio::test]
async fn a_login_and_a_logout_drop_the_pages_that_the_browser_has_fetched_in_advance() {
    const FETCHED: &str = "\"prefetchCache\", \"prerenderCache\"";
    let (store, sessions) = one();
    let app = Router::new()
        .route("/read", route(read))
        .route("/write", route(write))
        .route("/in", route(async |session: Session| session.login("ann").unwrap()))
        .route("/rotate", route(async |session: Session| session.rotate().unwrap()))
        .route("/out", route(async |session: Session| session.logout()))
        .route(
            "/out-with-data",
            route(async |session: Session| {
                session.logout();
                [("clear-site-data", "\"storage\"")]
            }),
        )
        .layer(sessions.clone());
    for (path, expected) in [
        ("/read", vec![]),
        ("/write", vec![]),
        ("/in", vec![]),
        ("/rotate", vec![]),
        ("/out", vec![FETCHED]),
        ("/out-with-data", vec!["\"storage\"", FETCHED]),
    ] {
        let ann = testing::signed_in(&sessions, "ann").await;
        let request = Request::get(path).header("cookie", ann).body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        assert_eq!(response.headers().get_all("clear-site-data").iter().collect::<Vec<_>>(), expected, "{path}");
    }
    let stranger = |path| app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap());
    assert_eq!(header(&stranger("/in").await.unwrap(), "clear-site-data"), Some(FETCHED));
    assert_eq!(header(&stranger("/out").await.unwrap(), "clear-site-data"), None);
    store.fail_writes(ErrorKind::Unavailable);
    assert_eq!(header(&stranger("/in").await.unwrap(), "clear-site-data"), None, "the login has failed");
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

#[tokio::test]
async fn a_cdn_gets_no_field_of_its_own_beside_ours() {
    let (_, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let targeted = ["cdn-cache-control", "cloudflare-cdn-cache-control", "x-cache-control", "surrogate-control"];
    let handler = move |_: Session| async move { AppendHeaders(targeted.map(|name| (name, "public, max-age=600"))) };
    let app = Router::new().route("/", route(handler)).layer(sessions);
    for response in [get_with(&app, &ann).await, get(&app).await] {
        assert!(header(&response, "cache-control").unwrap().contains("private"));
        for name in targeted {
            assert_eq!(header(&response, name), None, "{name}");
        }
    }
}

#[tokio::test]
async fn a_response_without_a_session_keeps_its_targeted_fields() {
    let (_, sessions) = one();
    let app = Router::new().route("/", route(|| async { [("cdn-cache-control", "max-age=600")] })).layer(sessions);
    assert_eq!(header(&get(&app).await, "cdn-cache-control"), Some("max-age=600"));
}

#[tokio::test]
async fn directives_that_are_not_about_caching_stay() {
    for (own, expected) in [
        ("public, no-transform, max-age=60", "private, no-store, no-transform"),
        ("no-store, must-understand, max-age=60", "private, no-store"),
        (
            "private=\"set-cookie, x\", community=\"a, b\", NO-TRANSFORM",
            "private, no-store, community=\"a, b\", NO-TRANSFORM",
        ),
        (", ,=", "private, no-store"),
    ] {
        let (_, sessions) = one();
        let ann = testing::signed_in(&sessions, "ann").await;
        let handler = move |_: Session| async move { [("cache-control", own)] };
        let response = get_with(&Router::new().route("/", route(handler)).layer(sessions), &ann).await;
        assert_eq!(header(&response, "cache-control"), Some(expected), "{own}");
    }
}
