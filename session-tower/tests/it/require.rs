//! Routes that let only certain sessions pass, and the way back after signing in.

use axum::Router;
use axum::body::Body;
use axum::http::header::COOKIE;
use axum::http::{HeaderValue, Request};
use axum::response::Response;
use axum::routing::get as route;
use session_tower::{
    ErrorKind, ErrorResponse, Manager, ManualClock, Next, Require, Result, Session, SessionLayer, SignedIn, Timestamp,
    minutes, require, seconds, testing,
};
use tower::ServiceExt as _;

use crate::rig::{TestStore, get, get_with, header, one, text};

async fn page() -> &'static str {
    "page"
}

fn app(sessions: &SessionLayer, layer: Require) -> Router {
    Router::new().route("/page", route(page).post(page)).layer(layer).layer(sessions.clone())
}

const NAVIGATION: (&str, &str) = ("sec-fetch-mode", "navigate");
const FETCH: (&str, &str) = ("sec-fetch-mode", "cors");
const HTML: (&str, &str) = ("accept", "application/xhtml+xml, text/html;q=0.9");
const JSON: (&str, &str) = ("accept", "application/json");

async fn ask(app: &Router, cookie: Option<&HeaderValue>, method: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri("/page?a=b");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let mut request = request.body(Body::empty()).unwrap();
    if let Some(cookie) = cookie {
        request.headers_mut().insert(COOKIE, cookie.clone());
    }
    app.clone().oneshot(request).await.unwrap()
}

#[tokio::test]
async fn browsers_are_sent_to_the_sign_in_page_and_scripts_get_401() {
    let (_, sessions) = one();
    let app = app(&sessions, require().login().redirect("/sign-in"));
    for (method, headers, location) in [
        ("GET", vec![NAVIGATION], Some("/sign-in?next=/page%3Fa%3Db")),
        ("GET", vec![HTML], Some("/sign-in?next=/page%3Fa%3Db")),
        ("POST", vec![NAVIGATION], Some("/sign-in")),
        ("GET", vec![FETCH, HTML], None),
        ("GET", vec![JSON], None),
        ("GET", vec![], None),
    ] {
        let response = ask(&app, None, method, &headers).await;
        assert_eq!(header(&response, "location"), location, "{method} {headers:?}");
        assert_eq!(response.status().as_u16(), if location.is_some() { 303 } else { 401 });
        assert_eq!(header(&response, "www-authenticate"), location.is_none().then_some("Bearer"));
        assert_eq!(header(&response, "cache-control"), Some("no-store"));
        let vary = response.headers().get_all("vary").iter().map(|vary| vary.to_str().unwrap()).collect::<Vec<_>>();
        assert_eq!(vary.join(", "), "Accept, Sec-Fetch-Mode, Cookie");
    }
    let ann = testing::signed_in(&sessions, "ann").await;
    assert_eq!(text(ask(&app, Some(&ann), "GET", &[NAVIGATION]).await).await, "page");
}

#[tokio::test]
async fn without_a_page_to_go_to_a_browser_gets_401_too() {
    let (_, sessions) = one();
    assert_eq!(ask(&app(&sessions, require().login()), None, "GET", &[NAVIGATION]).await.status(), 401);
    assert_eq!(ask(&app(&sessions, require()), None, "GET", &[]).await.status(), 200, "nothing is required");
}

#[tokio::test]
async fn the_page_itself_is_not_sent_to_itself() {
    let (_, sessions) = one();
    let response = ask(&app(&sessions, require().login().redirect("/page?x")), None, "GET", &[NAVIGATION]).await;
    assert_eq!((response.status().as_u16(), header(&response, "location")), (401, None));
}

#[tokio::test]
async fn an_old_login_is_asked_for_again() {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
    let manager = Manager::builder(TestStore::new()).clock(clock.clone()).build().unwrap();
    let sessions = SessionLayer::new(manager);
    let app = app(&sessions, require().fresh(minutes(5)).redirect("/sign-in"));
    assert_eq!(header(&ask(&app, None, "GET", &[JSON]).await, "www-authenticate"), Some("Bearer"), "no login at all");
    let ann = testing::signed_in(&sessions, "ann").await;
    clock.advance(minutes(5));
    assert_eq!(ask(&app, Some(&ann), "GET", &[]).await.status(), 200);
    clock.advance(seconds(1));
    let response = ask(&app, Some(&ann), "GET", &[JSON]).await;
    assert_eq!(response.status(), 401);
    let challenge = header(&response, "www-authenticate").unwrap();
    assert!(challenge.starts_with("Bearer error=\"insufficient_user_authentication\""), "{challenge}");
    assert!(challenge.ends_with("max_age=\"300\""), "{challenge}");
    assert_eq!(ask(&app, Some(&ann), "GET", &[NAVIGATION]).await.status(), 303);
}

#[tokio::test]
async fn a_right_can_be_required() {
    let (_, sessions) = one();
    let is_admin = |session: &Session| session.get::<String>("role").is_ok_and(|role| role.as_deref() == Some("admin"));
    let app = app(&sessions, require().login().when(is_admin).redirect("/no"));
    let ann = testing::signed_in(&sessions, "ann").await;
    let admin = testing::prepared(&sessions, |session| {
        session.login("bob")?;
        session.insert("role", "admin")
    });
    let admin = admin.await;
    assert_eq!(ask(&app, None, "GET", &[JSON]).await.status(), 401);
    assert_eq!(ask(&app, Some(&ann), "GET", &[JSON]).await.status(), 403);
    assert_eq!(ask(&app, Some(&ann), "GET", &[NAVIGATION]).await.status(), 303);
    assert_eq!(ask(&app, Some(&admin), "GET", &[JSON]).await.status(), 200);
}

#[tokio::test]
async fn a_store_that_is_down_is_503_and_no_redirect() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    store.fail_loads(ErrorKind::Unavailable);
    let app = app(&sessions, require().login().redirect("/sign-in"));
    assert_eq!(ask(&app, Some(&ann), "GET", &[NAVIGATION]).await.status(), 503);
}

#[tokio::test]
async fn a_missing_session_layer_is_explained() {
    let app = Router::new().route("/", route(page)).layer(require().login());
    let response = get(&app).await;
    assert_eq!(response.extensions().get::<ErrorResponse>().unwrap().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn the_way_back_names_the_whole_path_and_leads_there_after_signing_in() {
    let (_, sessions) = one();
    let inner = Router::new().route("/page", route(page)).layer(require().login().redirect("/sign-in"));
    let sign_in = |session: Session, next: Next| async move {
        session.login("ann")?;
        Ok::<_, ErrorResponse>(next)
    };
    let app = Router::new().nest("/shop", inner).route("/sign-in", axum::routing::post(sign_in)).layer(sessions);
    let request = Request::get("/shop/page?a=b").header("sec-fetch-mode", "navigate").body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let location = header(&response, "location").unwrap().to_owned();
    assert_eq!(location, "/sign-in?next=/shop/page%3Fa%3Db");
    let request = Request::post(location).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    assert_eq!((response.status().as_u16(), header(&response, "location")), (303, Some("/shop/page?a=b")));
    let evil = Request::post("/sign-in?next=//evil.example").body(Body::empty()).unwrap();
    assert_eq!(header(&app.oneshot(evil).await.unwrap(), "location"), Some("/"));
}

#[tokio::test]
async fn signed_in_is_extracted_only_for_a_signed_in_user() {
    let (_, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let name = |user: SignedIn| async move { Ok::<_, ErrorResponse>(user.principal.as_str().to_owned()) };
    let maybe = |user: Option<SignedIn>| async move { user.is_some().to_string() };
    let app = Router::new().route("/", route(name)).layer(sessions.clone());
    assert_eq!(get(&app).await.status(), 401);
    assert_eq!(text(get_with(&app, &ann).await).await, "ann");
    let app = Router::new().route("/", route(maybe)).layer(sessions);
    assert_eq!(text(get(&app).await).await, "false");
    assert_eq!(text(get_with(&app, &ann).await).await, "true");
}

#[tokio::test]
async fn a_handler_behind_it_gets_the_same_session() -> Result<()> {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let count = |session: Session| async move { session.update("n", |n: &mut u32| *n += 1).unwrap().to_string() };
    let app = Router::new().route("/", route(count)).layer(require().login()).layer(sessions);
    let loads = store.loads();
    assert_eq!(text(get_with(&app, &ann).await).await, "1");
    assert_eq!(store.loads(), loads + 1);
    Ok(())
}
