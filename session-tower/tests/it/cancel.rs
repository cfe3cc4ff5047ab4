//! Clients that disconnect, and handlers that panic.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get as route;
use futures_util::FutureExt as _;
use session_tower::{Result, Session, SessionLayer, testing};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::rig::{Gate, TestStore, get_with, one, request, set_cookies, text, wait};

async fn write(session: Session) -> Result<()> {
    Ok(session.insert("n", &1)?)
}

async fn keys(session: Session) -> String {
    session.keys().join(" ")
}

/// Sends a request that writes, and hangs up while the store holds the write up at the gate that is returned.
async fn hang_up_while_writing(store: &TestStore, sessions: &SessionLayer, cookie: &HeaderValue) -> Arc<Gate> {
    let app = Router::new().route("/", route(write)).layer(sessions.clone());
    let gate = store.gate();
    let mut response = Box::pin(app.oneshot(request(Some(cookie))));
    tokio::select! {
        biased;
        _ = &mut response => panic!("the write is being held up"),
        () = wait(&gate.arrived) => {}
    }
    drop(response);
    gate
}

#[tokio::test]
async fn the_commit_runs_to_its_end_though_the_client_hangs_up() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let gate = hang_up_while_writing(&store, &sessions, &ann).await;
    gate.pass.add_permits(1);
    wait(&gate.done).await;

    let app = Router::new().route("/", route(keys)).layer(sessions);
    assert_eq!(text(get_with(&app, &ann).await).await, "n");
}

#[tokio::test]
async fn a_shutdown_waits_for_commits_whose_clients_are_gone() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    sessions.drained().await;
    let gate = hang_up_while_writing(&store, &sessions, &ann).await;
    let drained = sessions.drained();
    tokio::pin!(drained);
    assert!(futures_util::poll!(&mut drained).is_pending());
    gate.pass.add_permits(1);
    drained.await;
    assert_eq!(gate.done.available_permits(), 1);
}

#[tokio::test]
async fn a_response_waits_for_its_commit() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let app = Router::new().route("/", route(write)).layer(sessions);
    let gate = store.gate();
    let response = tokio::spawn(app.oneshot(request(Some(&ann))));
    wait(&gate.arrived).await;
    assert!(!response.is_finished());
    gate.pass.add_permits(1);
    assert_eq!(response.await.unwrap().unwrap().status(), 200);
    assert_eq!(gate.done.available_permits(), 1);
}

#[tokio::test]
async fn a_handler_that_is_dropped_midway_commits_nothing() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let written = store.writes();
    let here = Arc::new(Semaphore::new(0));
    let stuck = {
        let here = here.clone();
        move |session: Session| async move {
            session.insert("n", &1).unwrap();
            here.add_permits(1);
            std::future::pending::<()>().await;
        }
    };
    let app = Router::new().route("/", route(stuck)).layer(sessions.clone());
    let mut response = Box::pin(app.oneshot(request(Some(&ann))));
    tokio::select! {
        biased;
        _ = &mut response => panic!("the handler never answers"),
        () = wait(&here) => {}
    }
    drop(response);
    let app = Router::new().route("/", route(keys)).layer(sessions);
    assert_eq!(text(get_with(&app, &ann).await).await, "");
    assert_eq!(store.writes(), written);
}

async fn panicking(session: Session) {
    session.insert("n", &1).unwrap();
    panic!("as the test demands");
}

#[tokio::test]
async fn a_panic_commits_nothing() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let written = store.writes();
    let app = Router::new().route("/", route(panicking)).layer(sessions);
    let caught = AssertUnwindSafe(get_with(&app, &ann)).catch_unwind().await;
    assert!(caught.is_err());
    assert_eq!(store.writes(), written);
}

async fn catch_panic(request: Request, next: Next) -> Response {
    let caught = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    caught.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[tokio::test]
async fn a_panic_commits_nothing_even_where_an_inner_layer_makes_a_response_of_it() {
    let (store, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let written = store.writes();
    let app = Router::new().route("/", route(panicking)).layer(from_fn(catch_panic)).layer(sessions);
    let response = get_with(&app, &ann).await;
    assert_eq!(response.status(), 500);
    assert!(set_cookies(&response).is_empty());
    assert_eq!(store.writes(), written);
}

#[test]
fn it_works_without_a_tokio_runtime() {
    let response = futures_util::FutureExt::now_or_never(async {
        let (_, sessions) = one();
        let app = Router::new().route("/", route(write)).layer(sessions);
        app.oneshot(request(None)).await.unwrap()
    });
    assert_eq!(set_cookies(&response.expect("nothing has to wait")).len(), 1);
}

#[test]
fn what_an_application_holds_goes_to_other_threads() {
    fn check<T: Send + Sync + Clone + 'static>() {}
    check::<Session>();
    check::<session_tower::Sessions>();
    check::<session_tower::SessionLayer>();
    check::<session_tower::Error>();
    check::<session_tower::ErrorResponse>();
}
