//! Position of the layer among other layers.

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get as route;
use session_tower::{CookieOptions, Error, ErrorKind, ErrorResponse, Result, Session, SessionLayer, Sessions, testing};

use crate::rig::{get, get_with, header, named, one, set_cookies, text};

async fn use_session(session: Session, request: Request, next: Next) -> Result<Response> {
    session.insert("by_layer", &true)?;
    Ok(next.run(request).await)
}

async fn keys(session: Session) -> String {
    session.keys().join(" ")
}

fn explains(error: &ErrorResponse) {
    let shown = format!("{error:?}");
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(shown.contains("no `SessionLayer` has seen the request") && shown.contains("below the routes"), "{shown}");
}

#[tokio::test]
async fn a_missing_layer_says_so_and_how_to_mend_it() {
    let response = get(&Router::new().route("/", route(keys))).await;
    assert_eq!(response.status(), 500);
    explains(response.extensions().get::<ErrorResponse>().unwrap());
    // Tests are debug builds. A release build shows a client nothing of it.
    let body = text(response).await;
    assert!(body.contains("no `SessionLayer` has seen the request") && body.contains("`.layer(sessions)`"), "{body}");

    let all = Router::new().route("/", route(|all: Sessions| async move { format!("{all:?}") }));
    explains(get(&all).await.extensions().get::<ErrorResponse>().unwrap());
}

#[tokio::test]
async fn a_layer_in_the_wrong_order_says_so_and_how_to_mend_it() {
    let (_, sessions) = one();
    let wrong = Router::new().route("/", route(keys)).layer(sessions.clone()).layer(from_fn(use_session));
    let response = get(&wrong).await;
    assert_eq!(response.status(), 500);
    explains(response.extensions().get::<ErrorResponse>().unwrap());

    let right = Router::new().route("/", route(keys)).layer(from_fn(use_session)).layer(sessions);
    assert_eq!(text(get(&right).await).await, "by_layer");
}

#[tokio::test]
async fn an_optional_session_is_none_without_a_layer_and_some_with_it() {
    let optional =
        |one: Option<Session>, all: Option<Sessions>| async move { format!("{} {}", one.is_some(), all.is_some()) };
    let app = Router::new().route("/", route(optional));
    assert_eq!(text(get(&app).await).await, "false false");
    assert_eq!(text(get(&app.layer(one().1)).await).await, "true true");
}

#[tokio::test]
async fn the_same_layer_twice_is_one_session_and_one_cookie() {
    let (store, sessions) = one();
    let app = Router::new()
        .route("/", route(keys))
        .layer(sessions.clone())
        .layer(from_fn(use_session))
        .layer(sessions.clone());
    let response = get(&app).await;
    assert!(header(&response, "set-cookie").is_some());
    assert_eq!(store.writes(), 1);
    assert_eq!(text(response).await, "by_layer");
}

#[tokio::test]
async fn nested_layers_give_the_innermost_by_default_and_all_by_name() {
    let (store, outer) = one();
    let inner = SessionLayer::new(named(&store, "admin"));
    let both = |session: Session, all: Sessions| async move {
        session.insert("which", "admin")?;
        all.get("id").await?.insert("which", "id")?;
        assert_eq!(all.get("admin").await?.get::<String>("which")?.as_deref(), Some("admin"));
        Ok::<_, ErrorResponse>(all.names().collect::<Vec<_>>().join(" "))
    };
    let app = Router::new().route("/", route(both)).layer(inner).layer(outer.clone());
    let response = get(&app).await;
    let lines = set_cookies(&response);
    assert_eq!(lines.len(), 2);
    assert!(lines[0].starts_with("__Host-admin=") && lines[1].starts_with("__Host-id="), "{lines:?}");
    assert_eq!(header(&response, "vary"), Some("Cookie"));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    let cookies = testing::returned(&response).unwrap();
    assert_eq!(text(response).await, "admin id");

    let which = |session: Session| async move { session.get::<String>("which").unwrap().unwrap() };
    assert_eq!(text(get_with(&Router::new().route("/", route(which)).layer(outer), &cookies).await).await, "id");
}

#[tokio::test]
async fn an_outer_layers_read_keeps_an_inner_ones_no_store() {
    let (store, outer) = one();
    let inner = SessionLayer::new(named(&store, "admin"));
    let signed_in = testing::signed_in(&inner, "ann").await;
    let read = |_: Session, all: Sessions| async move { all.get("id").await.map(drop).map_err(ErrorResponse::from) };
    let app = Router::new().route("/", route(read)).layer(inner).layer(outer);
    assert_eq!(header(&get_with(&app, &signed_in).await, "cache-control"), Some("private, no-store"));
}

#[tokio::test]
async fn nested_layers_with_one_cookie_are_an_error_that_says_so() {
    let (store, outer) = one();
    let inner = SessionLayer::builder()
        .session(named(&store, "other"), CookieOptions::new().name("__Host-id"))
        .build()
        .unwrap();
    let response = get(&Router::new().route("/", route(keys)).layer(inner).layer(outer)).await;
    assert_eq!(response.status(), 500);
    let shown = format!("{:?}", response.extensions().get::<ErrorResponse>());
    assert!(shown.contains("serve a cookie of the same name"), "{shown}");
}

#[tokio::test]
async fn an_error_page_is_put_in_place_once() {
    let (store, _) = one();
    let page = |name: &'static str| {
        move |error: &ErrorResponse, _: &axum::http::request::Parts| (error.status(), format!("{name} page"))
    };
    let build = |name: &'static str| {
        SessionLayer::builder().session(named(&store, name), CookieOptions::new()).on_error(page(name)).build().unwrap()
    };
    let fail = || async { Err::<(), _>(ErrorResponse::from(Error::from(ErrorKind::Gone))) };
    let app = Router::new().route("/", route(fail)).layer(build("inner")).layer(build("outer"));
    assert_eq!(text(get(&app).await).await, "inner page");
}

#[tokio::test]
async fn other_towers_than_axums_are_served_too() {
    use axum::body::Body;
    use http_body_util::{BodyExt as _, Full};
    use tower::{Layer as _, ServiceExt as _, service_fn};

    // The request's body is not a body at all, the response's body comes from another crate, and the service has its own error type.
    let (_, sessions) = one();
    let inner = service_fn(|request: axum::http::Request<u8>| async move {
        match request.into_body() {
            0 => Err("refused"),
            n => Ok(axum::http::Response::new(Full::new(session_core::Bytes::from(n.to_string())))),
        }
    });
    let service = sessions.layer(inner);
    let response: axum::http::Response<Body> = service.clone().oneshot(axum::http::Request::new(7)).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "7");
    assert_eq!(service.oneshot(axum::http::Request::new(0)).await.unwrap_err(), "refused");
}

/// Answers preflight requests and adds a header, as a layer for CORS does.
async fn cors(request: Request, next: Next) -> Response {
    let mut response = match *request.method() {
        axum::http::Method::OPTIONS => axum::http::StatusCode::NO_CONTENT.into_response(),
        _ => next.run(request).await,
    };
    let any = axum::http::HeaderValue::from_static("https://shop.example");
    response.headers_mut().insert("access-control-allow-origin", any);
    response
}

#[tokio::test]
async fn cors_outside_covers_the_layers_own_errors_and_its_preflights_use_no_session() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let app = Router::new().route("/", route(keys).options(keys)).layer(sessions).layer(from_fn(cors));
    store.fail_loads(ErrorKind::Unavailable);
    let failed = get_with(&app, &ann).await;
    assert_eq!(failed.status(), 503);
    assert_eq!(header(&failed, "access-control-allow-origin"), Some("https://shop.example"));
    let (loads, mut preflight) = (store.loads(), crate::rig::request(Some(&ann)));
    *preflight.method_mut() = axum::http::Method::OPTIONS;
    let response = tower::ServiceExt::oneshot(app, preflight).await.unwrap();
    assert_eq!((response.status().as_u16(), store.loads()), (204, loads));
    assert_eq!(header(&response, "vary"), None);
}
