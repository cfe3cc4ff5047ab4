//! Application with an error type of its own, which names nothing but this crate.

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use axum::routing::get as route;
use session_tower::{
    Commit, CookieOptions, Error, ErrorKind, ErrorResponse, Manager, NullStore, Principal, Session, SessionLayer,
    Sessions, Store, minutes, testing,
};

use crate::rig::{TestStore, get, get_with, header, named, set_cookies, text};

#[derive(Debug)]
enum AppError {
    SignedOut,
    Session(Error),
}

impl From<Error> for AppError {
    fn from(error: Error) -> Self {
        Self::Session(error)
    }
}

impl IntoResponse for AppError {
    fn into_response(self) -> Response {
        match self {
            Self::SignedOut => StatusCode::UNAUTHORIZED.into_response(),
            Self::Session(error) => ErrorResponse::from(error).into_response(),
        }
    }
}

/// Extractor of the application, on top of ours.
struct User(Principal);

impl<S: Send + Sync> FromRequestParts<S> for User {
    type Rejection = AppError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AppError> {
        let session = <Session as FromRequestParts<S>>::from_request_parts(parts, state).await.map_err(Error::from)?;
        session.principal().map(Self).ok_or(AppError::SignedOut)
    }
}

fn layer(store: impl Store) -> Result<SessionLayer, AppError> {
    let admin = Manager::builder(NullStore).name("admin").idle(minutes(10)).build()?;
    Ok(SessionLayer::builder()
        .session(Manager::new(store), CookieOptions::new())
        .session(admin, CookieOptions::new())
        .build()?)
}

/// Calls that a handler makes, each with `?`.
async fn every_call(session: Session, sessions: Sessions) -> Result<String, AppError> {
    let visits = session.update("visits", |n: &mut u64| *n += 1)?;
    let commit: Commit = session.save().await?;
    assert!(matches!(commit, Commit::Unchanged | Commit::Extended(_)), "the client has its cookie");
    session.set_cookie_options(|options| options.path("/"))?;
    sessions.get("admin").await?.flash("notice", "hello")?;
    let _ = session.sessions().await?;
    Ok(visits.to_string())
}

fn kind(response: &Response) -> Option<ErrorKind> {
    response.extensions().get::<ErrorResponse>().map(ErrorResponse::kind)
}

#[tokio::test]
async fn one_conversion_is_enough_for_every_call() {
    let sessions = layer(TestStore::new()).unwrap();
    let ann = testing::signed_in(&sessions, "ann").await;
    let app = Router::new().route("/", route(every_call)).layer(sessions);
    assert_eq!(text(get_with(&app, &ann).await).await, "1");
}

#[tokio::test]
async fn its_answer_is_that_of_our_own_error() {
    let store = TestStore::new();
    let sessions = layer(store.clone()).unwrap();
    let missing = |sessions: Sessions| async move { sessions.get("missing").await.map(drop).map_err(AppError::from) };
    let app = Router::new().route("/", route(missing)).layer(sessions.clone());
    let response = get(&app).await;
    assert_eq!((response.status(), kind(&response)), (StatusCode::INTERNAL_SERVER_ERROR, Some(ErrorKind::Config)));

    let app = Router::new().route("/", route(every_call)).layer(sessions);
    store.fail_writes(ErrorKind::Unavailable);
    let response = get(&app).await;
    assert_eq!((response.status(), kind(&response)), (StatusCode::SERVICE_UNAVAILABLE, Some(ErrorKind::Unavailable)));
    assert_eq!(header(&response, "cache-control"), Some("no-store"));
    assert!(set_cookies(&response).is_empty());
    assert_eq!(text(response).await, "Temporarily unavailable. Please try again.");
}

#[tokio::test]
async fn its_own_extractors_pass_the_error_on() {
    let store = TestStore::new();
    let sessions = layer(store.clone()).unwrap();
    let ann = testing::signed_in(&sessions, "ann").await;
    let greet = |User(principal): User| async move { principal.as_str().to_owned() };
    let app = Router::new().route("/", route(greet)).layer(sessions);
    assert_eq!(get(&app).await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(text(get_with(&app, &ann).await).await, "ann");
    store.fail_loads(ErrorKind::Unavailable);
    assert_eq!(get_with(&app, &ann).await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn its_page_stands_for_errors_that_it_returns_and_for_commits_that_fail() {
    let store = TestStore::new();
    let sessions = SessionLayer::builder()
        .session(named(&store, "id"), CookieOptions::new())
        .on_error(|error: &ErrorResponse, _| (error.status(), format!("page for {:?}", error.kind())))
        .build()
        .unwrap();
    let large = |session: Session| async move { Ok::<_, AppError>(session.insert("n", &"x".repeat(100_000))?) };
    let write = |session: Session| async move { Ok::<_, AppError>(session.insert("n", &1)?) };
    let app = Router::new().route("/", route(large).post(write)).layer(sessions);
    assert_eq!(text(get(&app).await).await, "page for TooLarge");

    store.fail_writes(ErrorKind::Unavailable);
    let post = axum::http::Request::post("/").body(axum::body::Body::empty()).unwrap();
    let response = tower::ServiceExt::oneshot(app, post).await.unwrap();
    assert_eq!(text(response).await, "page for Unavailable");
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn a_store_by_its_url_needs_no_other_conversion() {
    use session_tower::store;

    async fn start(url: &str) -> Result<SessionLayer, AppError> {
        layer(store::connect(url).await?)
    }
    assert!(start("memory:").await.is_ok());
    assert!(matches!(start("nowhere:").await, Err(AppError::Session(error)) if error.kind() == ErrorKind::Config));
}
