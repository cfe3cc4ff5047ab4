//! Sessions of clients without cookies.

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request};
use axum::response::Response;
use axum::routing::{get as route, post};
use session_tower::{CookieOptions, Manager, Result, Session, SessionLayer, Sessions, SignedIn, Transport};
use tower::ServiceExt as _;

use crate::rig::{TestStore, header, set_cookies, text};

async fn sign_in(session: Session) -> Result<String> {
    session.login("ann")?;
    Ok(session.token().await?.into_string())
}

async fn name(user: SignedIn) -> String {
    user.principal.as_str().to_owned()
}

async fn by_name(all: Sessions) -> Result<String> {
    Ok(format!("{:?}", all.get("id").await?.opened()))
}

async fn write(session: Session) -> Result<()> {
    Ok(session.insert("n", &1)?)
}

async fn is_sensitive(headers: HeaderMap) -> String {
    headers["authorization"].is_sensitive().to_string()
}

fn app(transports: &[Transport]) -> Router {
    let builder = SessionLayer::builder().session(Manager::new(TestStore::new()), CookieOptions::new());
    let sessions = transports.iter().fold(builder, |builder, one| builder.transport(*one)).build().unwrap();
    let routes =
        Router::new().route("/sign-in", post(sign_in)).route("/name", route(name)).route("/write", post(write));
    routes.route("/by-name", route(by_name)).route("/is-sensitive", route(is_sensitive)).layer(sessions)
}

async fn send(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn an_api_signs_in_by_a_token_in_the_body() {
    for transports in [&[Transport::Bearer][..], &[Transport::Cookie, Transport::Bearer]] {
        let app = app(transports);
        let response = send(&app, "POST", "/sign-in", &[]).await;
        assert!(set_cookies(&response).is_empty());
        assert_eq!(header(&response, "session-token"), None, "it is sent once");
        assert_eq!(header(&response, "cache-control"), Some("private, no-store"));
        let bearer = format!("Bearer {}", text(response).await);
        let response = send(&app, "GET", "/name", &[("authorization", &bearer)]).await;
        assert_eq!(header(&response, "vary"), Some("Authorization"));
        assert_eq!(text(response).await, "ann");
        let by_name = send(&app, "GET", "/by-name", &[("authorization", &bearer)]).await;
        assert_eq!(text(by_name).await, "Resumed");
        assert_eq!(text(send(&app, "GET", "/is-sensitive", &[("authorization", &bearer)]).await).await, "true");
        assert_eq!(send(&app, "GET", "/name", &[("authorization", "Bearer x")]).await.status(), 401);
        assert_eq!(send(&app, "GET", &format!("/name?access_token={}", &bearer[7..]), &[]).await.status(), 401);
    }
}

#[tokio::test]
async fn a_new_value_goes_out_in_a_header_that_is_sensitive_and_never_cached() {
    let app = app(&[Transport::Header("x-session")]);
    let response = send(&app, "POST", "/write", &[]).await;
    assert!(response.headers()["x-session"].is_sensitive());
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert_eq!(header(&response, "vary"), Some("x-session"));
    let value = header(&response, "x-session").unwrap().to_owned();
    let again = send(&app, "POST", "/write", &[("x-session", &value)]).await;
    assert_eq!(header(&again, "x-session"), None);
}

#[tokio::test]
async fn nested_layers_read_the_same_header() {
    let layer = |name: &str| {
        let manager = Manager::builder(TestStore::new()).name(name).build().unwrap();
        let options = CookieOptions::new();
        SessionLayer::builder().session(manager, options).transport(Transport::Bearer).build().unwrap()
    };
    let inner = Router::new().route("/sign-in", post(sign_in)).route("/opened", route(opened)).layer(layer("inner"));
    let app = inner.layer(layer("id"));
    let token = text(send(&app, "POST", "/sign-in", &[]).await).await;
    let bearer = format!("Bearer {token}");
    let response = send(&app, "GET", "/opened", &[("authorization", &bearer)]).await;
    assert_eq!(text(response).await, "Resumed Unknown");
}

async fn opened(all: Sessions) -> Result<String> {
    Ok(format!("{:?} {:?}", all.get("inner").await?.opened(), all.get("id").await?.opened()))
}
