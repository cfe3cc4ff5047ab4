//! What the layer reads of a request's head, and what it hides.

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue, Method, Request};
use axum::routing::get as route;
use session_tower::{
    CookieOptions, ErrorKind, ErrorResponse, Manager, Result, SameSite, Session, SessionLayer, Sessions, forwarded,
    keep_expiry, testing,
};
use tower::ServiceExt as _;

use crate::events::Events;
use crate::rig::{TestStore, get, get_with, header, one, request, set_cookies, text};

async fn write(session: Session) -> Result<&'static str> {
    session.insert("n", &1)?;
    Ok("written")
}

async fn by_name(sessions: Sessions) -> Result<&'static str> {
    sessions.get("id").await?.insert("n", &1)?;
    Ok("written")
}

fn layer(store: &TestStore, options: CookieOptions) -> SessionLayer {
    SessionLayer::builder().session(Manager::new(store.clone()), options).build().unwrap()
}

#[tokio::test]
async fn the_cookies_of_a_request_are_marked_as_sensitive() {
    let (_, sessions) = one();
    let marked = |headers: HeaderMap| async move {
        headers.get_all(COOKIE).iter().map(|value| value.is_sensitive().to_string()).collect::<Vec<_>>().join(" ")
    };
    let app = Router::new().route("/", route(marked)).layer(sessions);
    let mut request = request(Some(&HeaderValue::from_static("__Host-id=secret")));
    request.headers_mut().append(COOKIE, HeaderValue::from_static("a=b"));
    assert_eq!(text(app.oneshot(request).await.unwrap()).await, "true true");
}

#[tokio::test]
async fn the_cookie_can_depend_on_the_request_without_loading_a_session() {
    let store = TestStore::new();
    let sessions = SessionLayer::builder()
        .session(Manager::new(store.clone()), CookieOptions::new())
        .cookie_for(|request, options| {
            if request.headers.contains_key("x-embedded") { options.same_site(SameSite::None) } else { options }
        })
        .build()
        .unwrap();
    let ann = testing::signed_in(&sessions, "ann").await;
    let app = Router::new().route("/", route(write)).route("/file", route(|| async { "file" })).layer(sessions);
    let send = async |path: &str, embedded: bool| {
        let mut request = request(None);
        *request.uri_mut() = path.parse().unwrap();
        if embedded {
            request.headers_mut().insert("x-embedded", HeaderValue::from_static("1"));
        }
        app.clone().oneshot(request).await.unwrap()
    };
    assert!(header(&send("/", true).await, "set-cookie").unwrap().contains("SameSite=None"));
    assert!(header(&send("/", false).await, "set-cookie").unwrap().contains("SameSite=Lax"));
    let (loads, mut file) = (store.loads(), request(Some(&ann)));
    *file.uri_mut() = "/file".parse().unwrap();
    let file = app.clone().oneshot(file).await.unwrap();
    assert_eq!((store.loads(), header(&file, "cache-control"), header(&file, "vary")), (loads, None, None));
}

#[tokio::test]
async fn options_for_a_request_that_browsers_reject_are_an_error() {
    let store = TestStore::new();
    for change in [
        (|options: CookieOptions| options.name("other")) as fn(CookieOptions) -> CookieOptions,
        |options| options.insecure(),
        |options| options.path("/app"),
    ] {
        let sessions = SessionLayer::builder()
            .session(Manager::new(store.clone()), CookieOptions::new())
            .cookie_for(move |_, options| change(options))
            .build()
            .unwrap();
        let response = get(&Router::new().route("/", route(write)).layer(sessions)).await;
        assert_eq!(response.status(), 500);
        assert_eq!(response.extensions().get::<ErrorResponse>().unwrap().kind(), ErrorKind::Config);
        assert!(set_cookies(&response).is_empty());
    }
}

#[tokio::test]
async fn a_trusted_proxy_tells_the_scheme_by_the_address_of_its_connection() {
    let store = TestStore::new();
    let proxy: SocketAddr = "10.0.0.7:4000".parse().unwrap();
    let options = CookieOptions::new().secure_when(forwarded(move |peer| peer == proxy.ip()));
    let app = Router::new().route("/", route(write)).route("/name", route(by_name)).layer(layer(&store, options));
    for path in ["/", "/name"] {
        for (peer, name) in
            [(Some(proxy), "id="), (None, "__Host-id="), (Some("1.2.3.4:5".parse().unwrap()), "__Host-id=")]
        {
            let mut request = request(None);
            *request.uri_mut() = path.parse().unwrap();
            request.headers_mut().insert("x-forwarded-proto", HeaderValue::from_static("http"));
            if let Some(peer) = peer {
                request.extensions_mut().insert(ConnectInfo(peer));
            }
            let response = app.clone().oneshot(request).await.unwrap();
            assert!(header(&response, "set-cookie").unwrap().starts_with(name), "{path} {peer:?}");
        }
    }
}

async fn send(
    app: &Router,
    method: Method,
    cookie: Option<&HeaderValue>,
    headers: &[(&'static str, &'static str)],
) -> axum::response::Response {
    let mut request = Request::builder().method(method).uri("/").body(Body::empty()).unwrap();
    request.headers_mut().extend(request_headers(headers));
    if let Some(cookie) = cookie {
        request.headers_mut().insert(COOKIE, cookie.clone());
    }
    app.clone().oneshot(request).await.unwrap()
}

fn request_headers(headers: &[(&'static str, &'static str)]) -> HeaderMap {
    headers.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
}

#[tokio::test]
async fn head_and_prefetches_take_no_flash_message() {
    let (store, sessions) = one();
    let cookie = testing::prepared(&sessions, |session| session.flash("notice", "saved")).await;
    let show = |session: Session| async move { session.flashes::<String>("notice").unwrap().join(" ") };
    let by_name =
        |all: Sessions| async move { all.get("id").await.unwrap().flashes::<String>("notice").unwrap().join(" ") };
    let written = store.writes();
    for handler in [route(show), route(by_name)] {
        let app = Router::new().route("/", handler).layer(sessions.clone());
        assert_eq!(send(&app, Method::HEAD, Some(&cookie), &[]).await.status(), 200);
        let early = send(&app, Method::GET, Some(&cookie), &[("sec-purpose", "prefetch;prerender")]).await;
        assert_eq!(text(early).await, "");
    }
    assert_eq!(store.writes(), written);
    let app = Router::new().route("/", route(show)).layer(sessions);
    assert_eq!(text(get_with(&app, &cookie).await).await, "saved");
    assert_eq!(text(get_with(&app, &cookie).await).await, "");
}

#[tokio::test]
async fn a_cross_site_post_without_the_cookie_replaces_none() {
    let (store, sessions) = one();
    let cross = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    let app = Router::new().route("/", route(write).post(write)).layer(sessions);
    let events = Events::listen();
    let response = send(&app, Method::POST, None, &cross).await;
    assert_eq!((response.status().as_u16(), store.writes()), (200, 0));
    assert!(set_cookies(&response).is_empty());
    assert_eq!(events.count("cross-site"), 1, "{}", events.text());
    assert_eq!(
        set_cookies(&send(&app, Method::GET, None, &cross).await).len(),
        1,
        "a link from elsewhere sends the cookie"
    );
}

#[tokio::test]
async fn all_places_of_a_cookie_are_cleared_by_the_original_path() {
    let store = TestStore::new();
    let sessions = layer(&store, CookieOptions::new().name("__Secure-id"));
    let (ann, eve) = (testing::signed_in(&sessions, "ann").await, testing::signed_in(&sessions, "eve").await);
    let inner = Router::new().route("/cart", route(write)).layer(sessions);
    let app = Router::new().nest("/shop", inner);
    let both = format!("{}; {}", ann.to_str().unwrap(), eve.to_str().unwrap());
    let mut request = request(Some(&HeaderValue::try_from(both).unwrap()));
    *request.uri_mut() = "http://www.example.com/shop/cart".parse().unwrap();
    let response = app.oneshot(request).await.unwrap();
    let lines = set_cookies(&response);
    for place in ["; Path=/shop; ", "; Path=/shop/cart; Domain=example.com; "] {
        assert!(lines.iter().any(|line| line.contains(place) && line.contains("; Max-Age=0")), "{place} in {lines:?}");
    }
    assert!(!lines.last().unwrap().contains("; Max-Age=0"), "the new session comes last");
}

#[tokio::test]
async fn a_page_that_the_browser_shows_by_plain_http_is_warned_of() {
    let (_, sessions) = one();
    let app = Router::new().route("/", route(write)).layer(sessions);
    let events = Events::listen();
    assert_eq!(send(&app, Method::GET, None, &[("upgrade-insecure-requests", "1")]).await.status(), 200);
    assert_eq!(events.count("drops the `Secure` cookie"), 1, "{}", events.text());
}

#[tokio::test]
async fn a_route_that_a_page_polls_keeps_no_session_alive() {
    let clock = session_tower::ManualClock::new(session_tower::Timestamp::from_millis(1_000_000).unwrap());
    let manager = Manager::builder(TestStore::new()).clock(clock.clone()).build().unwrap();
    let sessions = SessionLayer::new(manager);
    let ann = testing::signed_in(&sessions, "ann").await;
    let opened = |session: Session| async move { format!("{:?}", session.opened()) };
    let by_name = |all: Sessions| async move { format!("{:?}", all.get("id").await.unwrap().opened()) };
    let polled = Router::new().route("/", route(opened)).route("/name", route(by_name)).layer(keep_expiry());
    let app = polled.layer(sessions.clone());
    for path in ["/", "/name", "/"] {
        clock.advance(session_tower::minutes(19));
        let mut request = request(Some(&ann));
        *request.uri_mut() = path.parse().unwrap();
        assert_eq!(text(app.clone().oneshot(request).await.unwrap()).await, "Resumed");
    }
    clock.advance(session_tower::minutes(3));
    let app = Router::new().route("/", route(opened)).layer(sessions);
    assert_eq!(text(get_with(&app, &ann).await).await, "Unknown", "an hour has passed since the login");
}
