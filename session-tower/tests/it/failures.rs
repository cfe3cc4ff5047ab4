//! Failures, and the responses that the client gets.

use axum::Router;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Html;
use axum::routing::get as route;
use session_tower::{
    CookieOptions, Error, ErrorKind, ErrorResponse, Manager, ManualClock, Opened, Result, Session, SessionLayer,
    Sessions, Timestamp, seconds, testing,
};

use tower::ServiceExt as _;

use crate::rig::{TestStore, get, get_with, header, named, one, request, set_cookies, text};

async fn opened(session: Session) -> String {
    format!("{:?}", session.opened())
}

async fn write(session: Session) -> Result<&'static str> {
    session.insert("n", &1)?;
    Ok("written")
}

#[tokio::test]
async fn a_store_that_is_down_is_503_and_never_a_blank_session() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let app = Router::new().route("/", route(opened)).layer(sessions.clone());
    store.fail_loads(ErrorKind::Unavailable);
    let response = get_with(&app, &ann).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(set_cookies(&response).is_empty(), "no cookie is cleared");

    let optional = Router::new().route("/", route(|s: Option<Session>| async move { s.is_some().to_string() }));
    assert_eq!(get_with(&optional.layer(sessions), &ann).await.status(), 503);

    store.recover();
    assert_eq!(text(get_with(&app, &ann).await).await, "Resumed");
}

#[tokio::test]
async fn what_could_not_be_stored_is_no_success() {
    for (kind, status) in [
        (ErrorKind::Unavailable, StatusCode::SERVICE_UNAVAILABLE),
        (ErrorKind::TooLarge, StatusCode::INTERNAL_SERVER_ERROR),
        (ErrorKind::Other, StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let (store, sessions) = one();
        let ann = testing::signed_in(&sessions, "ann").await;
        store.fail_writes(kind);
        let app = Router::new().route("/", route(write)).layer(sessions);
        let response = get_with(&app, &ann).await;
        assert_eq!(response.status(), status, "{kind:?}");
        assert!(set_cookies(&response).is_empty());
        assert_ne!(text(response).await, "written");
    }
}

#[tokio::test]
async fn a_clash_is_409_and_names_the_key_in_the_log_only() {
    let (_, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let manager = sessions.manager("id").unwrap().clone();
    let value = ann.to_str().unwrap().split_once('=').unwrap().1.to_owned();
    let clash = move |session: Session| async move {
        let n: Option<u32> = session.get("n")?;
        session.insert("n", &(n.unwrap_or(0) + 1))?;
        let other = manager.open(Some(&value)).await?;
        other.insert("n", &100)?;
        let _ = manager.close(&other).await?;
        Ok::<_, ErrorResponse>(())
    };
    let response = get_with(&Router::new().route("/", route(clash)).layer(sessions), &ann).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    let error = response.extensions().get::<ErrorResponse>().unwrap();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("\"n\""), "{error}");
    assert_eq!(text(response).await, "Another request was faster. Please try again.");
}

#[tokio::test]
async fn a_session_that_was_logged_out_meanwhile_is_409() {
    let (_, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let manager = sessions.manager("id").unwrap().clone();
    let value = ann.to_str().unwrap().split_once('=').unwrap().1.to_owned();
    let gone = move |session: Session| async move {
        session.insert("n", &1)?;
        let other = manager.open(Some(&value)).await?;
        other.logout();
        let _ = manager.close(&other).await?;
        Ok::<_, ErrorResponse>(())
    };
    let response = get_with(&Router::new().route("/", route(gone)).layer(sessions), &ann).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
    assert_eq!(response.extensions().get::<ErrorResponse>().unwrap().kind(), ErrorKind::Gone);
    assert!(set_cookies(&response).is_empty());
}

#[tokio::test]
async fn a_page_after_a_sign_out_whose_answer_was_lost_is_no_409() {
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
    let manager = Manager::builder(TestStore::new()).clock(clock.clone()).build().unwrap();
    let sessions = SessionLayer::new(manager);
    let ann = testing::signed_in(&sessions, "ann").await;
    let by_name =
        |sessions: Sessions| async move { Ok::<_, ErrorResponse>(sessions.get("id").await?.insert("n", &1)?) };
    let app = Router::new()
        .route("/", route(write))
        .route("/by-name", route(by_name))
        .route("/sign-out", route(|session: Session| async move { session.logout() }))
        .layer(sessions);
    let status = async |path: &str, destination: &'static str| {
        let mut request = request(Some(&ann));
        *request.uri_mut() = path.parse().unwrap();
        request.headers_mut().insert("sec-fetch-dest", HeaderValue::from_static(destination));
        app.clone().oneshot(request).await.unwrap().status()
    };
    assert_eq!(status("/sign-out", "document").await, 200);
    clock.advance(seconds(10));
    for path in ["/", "/by-name"] {
        assert_eq!(status(path, "empty").await, 409);
        assert_eq!(status(path, "document").await, 200);
    }
}

#[tokio::test]
async fn too_large_a_value_is_500() {
    let (_, sessions) = one();
    let large = |session: Session| async move { Ok::<_, ErrorResponse>(session.insert("n", &"x".repeat(100_000))?) };
    let response = get(&Router::new().route("/", route(large)).layer(sessions)).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(response.extensions().get::<ErrorResponse>().unwrap().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn of_several_sessions_one_that_fails_takes_no_other_with_it() {
    let (sound, broken) = (TestStore::new(), TestStore::new());
    let sessions = SessionLayer::builder()
        .session(named(&sound, "id"), CookieOptions::new())
        .session(named(&broken, "cart"), CookieOptions::new())
        .session(named(&broken, "prefs"), CookieOptions::new())
        .build()
        .unwrap();
    broken.fail_writes(ErrorKind::Unavailable);
    let write = |all: Sessions| async move {
        for name in ["id", "cart", "prefs"] {
            all.get(name).await?.insert("n", &1)?;
        }
        Ok::<_, ErrorResponse>(())
    };
    let response = get(&Router::new().route("/", route(write)).layer(sessions.clone())).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    let error = response.extensions().get::<ErrorResponse>().unwrap();
    let failed = error.commit().unwrap().failures().map(|(name, error)| (name, error.kind())).collect::<Vec<_>>();
    assert_eq!(failed, [("cart", ErrorKind::Unavailable), ("prefs", ErrorKind::Unavailable)]);
    assert!(error.to_string().contains("; cart: the session store is unavailable"), "{error}");

    assert_eq!(set_cookies(&response).len(), 1, "what was stored is announced");
    let cookie = testing::returned(&response).unwrap();
    let app = Router::new().route("/", route(opened)).layer(sessions);
    assert_eq!(text(get_with(&app, &cookie).await).await, "Resumed");
}

#[tokio::test]
async fn the_application_has_its_own_page_for_each_of_our_errors() {
    let store = TestStore::new();
    let sessions = SessionLayer::builder()
        .session(Manager::new(store.clone()), CookieOptions::new())
        .on_error(|error, _| {
            (error.status(), [("cache-control", "public")], Html(format!("<h1>{:?}</h1>", error.kind())))
        })
        .build()
        .unwrap();
    let ann = testing::signed_in(&sessions, "ann").await;
    let check = async |app: Router, kind: ErrorKind, status: u16| {
        let response = get_with(&app.layer(sessions.clone()), &ann).await;
        assert_eq!(response.status(), status);
        assert!(header(&response, "cache-control").unwrap().contains("no-store"));
        assert_eq!(text(response).await, format!("<h1>{kind:?}</h1>"));
    };
    let large = |s: Session| async move { Ok::<_, ErrorResponse>(s.insert("n", &"x".repeat(100_000))?) };
    check(Router::new().route("/", route(large)), ErrorKind::TooLarge, 500).await;
    store.fail_writes(ErrorKind::Unavailable);
    check(Router::new().route("/", route(write)), ErrorKind::Unavailable, 503).await;
    store.fail_loads(ErrorKind::Unavailable);
    check(Router::new().route("/", route(opened)), ErrorKind::Unavailable, 503).await;
    // The page also replaces an error that does not come from a session of the request.
    let elsewhere = || async { Err::<(), _>(ErrorResponse::from(Error::from(ErrorKind::Conflict))) };
    check(Router::new().route("/", route(elsewhere)), ErrorKind::Conflict, 409).await;
}

#[tokio::test]
async fn commit_when_decides_by_the_head() {
    let store = TestStore::new();
    let sessions = SessionLayer::builder()
        .session(Manager::new(store.clone()), CookieOptions::new())
        .commit_when(|_, response| response.status.is_success())
        .build()
        .unwrap();
    let answer = |status: StatusCode| {
        let handler = move |session: Session| async move {
            session.insert("n", &1).unwrap();
            status
        };
        Router::new().route("/", route(handler)).layer(sessions.clone())
    };
    let refused = get(&answer(StatusCode::BAD_REQUEST)).await;
    assert!(set_cookies(&refused).is_empty());
    assert_eq!(store.writes(), 0);
    assert_eq!(set_cookies(&get(&answer(StatusCode::CREATED)).await).len(), 1);
}

#[tokio::test]
async fn an_undecodable_value_is_a_new_session_and_no_error() {
    let (store, sessions) = one();
    let app = Router::new().route("/", route(opened)).layer(sessions);
    let response = get_with(&app, &HeaderValue::from_static("__Host-id=\"quoted\"")).await;
    assert_eq!(text(response).await, format!("{:?}", Opened::Undecodable));
    assert_eq!(store.loads(), 0);
}

#[tokio::test]
async fn no_error_shows_an_id() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    store.fail_loads(ErrorKind::Unavailable);
    let response = get_with(&Router::new().route("/", route(opened)).layer(sessions), &ann).await;
    let shown = format!("{response:?} {:?}", response.extensions().get::<ErrorResponse>());
    assert!(!shown.contains(ann.to_str().unwrap().split_once('=').unwrap().1));
}

#[tokio::test]
async fn an_operation_about_a_user_without_one_is_401() {
    let (_, sessions) = one();
    let list = |session: Session| async move { session.sessions().await.map(drop).map_err(ErrorResponse::from) };
    let others =
        |session: Session| async move { session.revoke_others().await.map(|_| ()).map_err(ErrorResponse::from) };
    let again = |session: Session| async move { Ok::<_, ErrorResponse>(session.reauthenticate()?) };
    for handler in [route(list), route(others), route(again)] {
        let response = get(&Router::new().route("/", handler).layer(sessions.clone())).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.extensions().get::<ErrorResponse>().unwrap().kind(), ErrorKind::Unauthenticated);
    }
}

#[tokio::test]
async fn a_page_for_errors_sees_the_request() {
    let store = TestStore::new();
    let sessions = SessionLayer::builder()
        .session(Manager::new(store.clone()), CookieOptions::new())
        .on_error(|error, request| (error.status(), format!("{} {}", request.method, request.uri.path())))
        .build()
        .unwrap();
    store.fail_writes(ErrorKind::Unavailable);
    let app = Router::new().nest("/shop", Router::new().route("/cart", axum::routing::post(write))).layer(sessions);
    let request = axum::http::Request::post("/shop/cart").body(axum::body::Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(text(response).await, "POST /shop/cart");
}

/// Headers of a handler's response, and whether they stay if an error of ours takes its place.
const HEADERS: [(&str, &str, bool); 22] = [
    ("set-cookie", "theme=dark", true),
    ("access-control-allow-origin", "https://other.example", true),
    ("access-control-allow-credentials", "true", true),
    ("vary", "Origin", true),
    ("x-csrf-token", "7", true),
    ("content-security-policy", "default-src 'self'", true),
    ("strict-transport-security", "max-age=60", true),
    ("link", "</style.css>; rel=preload", true),
    ("server-timing", "db;dur=53", true),
    ("content-type", "image/png", false),
    ("content-encoding", "gzip", false),
    ("content-language", "de", false),
    ("content-disposition", "attachment", false),
    ("content-location", "/elsewhere", false),
    ("content-digest", "sha-256=:a:", false),
    ("repr-digest", "sha-256=:a:", false),
    ("etag", "\"1\"", false),
    ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT", false),
    ("location", "/welcome", false),
    ("refresh", "0; url=/welcome", false),
    ("accept-ranges", "bytes", false),
    ("trailer", "x-sum", false),
];

#[tokio::test]
async fn a_response_of_ours_keeps_the_headers_that_are_not_about_the_body() {
    for own_page in [false, true] {
        let store = TestStore::new();
        let builder = SessionLayer::builder().session(Manager::new(store.clone()), CookieOptions::new());
        let builder = if own_page {
            builder.on_error(|error, _| (error.status(), [("set-cookie", "page=1"), ("x-page", "own")], "our page"))
        } else {
            builder
        };
        let sessions = builder.build().unwrap();
        store.fail_writes(ErrorKind::Unavailable);
        let handler = |session: Session| async move {
            session.insert("n", &1).unwrap();
            axum::response::AppendHeaders(HEADERS.map(|(name, value, _)| (name, value)))
        };
        let response = get(&Router::new().route("/", route(handler)).layer(sessions)).await;
        assert_eq!(response.status(), 503);
        for (name, value, stays) in HEADERS {
            let found = response.headers().get_all(name).iter().any(|found| found == value);
            assert_eq!(found, stays, "{name}");
        }
        assert_eq!(header(&response, "content-type").unwrap(), "text/plain; charset=utf-8");
        assert_eq!(set_cookies(&response).len(), if own_page { 2 } else { 1 });
        assert_eq!(header(&response, "x-page"), own_page.then_some("own"));
    }
}

#[tokio::test]
async fn a_conflict_keeps_the_cookie_of_a_nested_session() {
    let (outer_store, outer) = one();
    let inner = SessionLayer::new(named(&TestStore::new(), "cart"));
    let write = |session: Session, all: Sessions| async move {
        session.insert("n", &1)?;
        all.get("id").await?.insert("n", &1)?;
        Ok::<_, ErrorResponse>(())
    };
    outer_store.fail_writes(ErrorKind::Conflict);
    let response = get(&Router::new().route("/", route(write)).layer(inner).layer(outer)).await;
    assert_eq!(response.status(), 409);
    assert_eq!(set_cookies(&response).len(), 1, "the inner session is stored");
    assert!(set_cookies(&response)[0].starts_with("__Host-cart="));
}
