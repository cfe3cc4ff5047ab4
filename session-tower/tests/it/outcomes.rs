//! What is stored, and which cookie is sent, for each way in which a request can end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get as route;
use futures_util::FutureExt as _;
use session_tower::{CookieOptions, Manager, Session, SessionLayer, testing};
use tokio::sync::Semaphore;
use tower::ServiceExt as _;

use crate::events::Events;
use crate::rig::{TestStore, get, get_with, one, request, set_cookies, text, wait};

/// What a handler does before its request ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Login,
    Logout,
    Insert,
    /// Shows the flash message that is there, and adds another.
    Flash,
    Save,
}

const ACTS: [Act; 5] = [Act::Login, Act::Logout, Act::Insert, Act::Flash, Act::Save];

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Status(u16),
    /// The handler panics, and a layer inside or outside of the session layer catches it.
    Panic(Side),
    /// The handler does not answer, and a layer inside or outside of the session layer gives up.
    Timeout(Side),
    ClientGone,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Side {
    Inside,
    Outside,
}

const ENDS: [End; 10] = [
    End::Status(200),
    End::Status(303),
    End::Status(404),
    End::Status(408),
    End::Status(500),
    End::Status(503),
    End::Panic(Side::Inside),
    End::Panic(Side::Outside),
    End::Timeout(Side::Inside),
    End::Timeout(Side::Outside),
];

impl End {
    fn stores(self) -> bool {
        matches!(self, Self::Status(200..=407 | 409..=499))
    }
}

async fn act(session: &Session, act: Act) {
    match act {
        Act::Login => session.login("ann").unwrap(),
        Act::Logout => session.logout(),
        Act::Insert => session.insert("n", &2).unwrap(),
        Act::Flash => {
            assert_eq!(session.flashes::<String>("notice").unwrap(), ["before"]);
            session.flash("notice", "after").unwrap();
        }
        Act::Save => {
            session.insert("n", &2).unwrap();
            let _ = session.save().await.unwrap();
            session.insert("m", &3).unwrap();
        }
    }
}

/// Answers 408 as soon as the handler waits, as a time-out would.
async fn give_up(stuck: Arc<Semaphore>, request: Request, next: Next) -> Response {
    tokio::select! {
        biased;
        response = next.run(request) => response,
        () = wait(&stuck) => StatusCode::REQUEST_TIMEOUT.into_response(),
    }
}

async fn catch(request: Request, next: Next) -> Response {
    let caught = AssertUnwindSafe(next.run(request)).catch_unwind().await;
    caught.unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

fn app(sessions: &SessionLayer, does: Act, end: End, stuck: &Arc<Semaphore>) -> Router {
    let at_handler = stuck.clone();
    let handler = move |session: Session| async move {
        act(&session, does).await;
        match end {
            End::Status(status) => StatusCode::from_u16(status).unwrap(),
            End::Panic(_) => panic!("as the test demands"),
            End::Timeout(_) | End::ClientGone => {
                at_handler.add_permits(1);
                std::future::pending().await
            }
        }
    };
    let stuck = stuck.clone();
    let gives_up = from_fn(move |request, next| give_up(stuck.clone(), request, next));
    let routes = Router::new().route("/", route(handler));
    match end {
        End::Panic(Side::Inside) => routes.layer(from_fn(catch)).layer(sessions.clone()),
        End::Panic(Side::Outside) => routes.layer(sessions.clone()).layer(from_fn(catch)),
        End::Timeout(Side::Inside) => routes.layer(gives_up).layer(sessions.clone()),
        End::Timeout(Side::Outside) => routes.layer(sessions.clone()).layer(gives_up),
        End::Status(_) | End::ClientGone => routes.layer(sessions.clone()),
    }
}

/// Shows the session that `cookie` opens. It changes nothing.
async fn shown(sessions: &SessionLayer, cookie: &HeaderValue) -> String {
    let show = |session: Session| async move {
        let flashes = session.flashes::<String>("notice").unwrap();
        session.discard();
        let (n, m) = (session.get::<u32>("n").unwrap(), session.get::<u32>("m").unwrap());
        format!("{:?} {:?} {n:?} {m:?} {flashes:?}", session.opened(), session.principal().is_some())
    };
    text(get_with(&Router::new().route("/", route(show)).layer(sessions.clone()), cookie).await).await
}

const BEFORE: &str = "Resumed false Some(1) None [\"before\"]";

/// Checks what the client has afterwards.
async fn check(sessions: &SessionLayer, before: &HeaderValue, response: Option<Response>, does: Act, end: End) {
    let case = format!("{does:?} with {end:?}");
    let lines = response.as_ref().map(set_cookies).unwrap_or_default();
    let now = response.as_ref().and_then(testing::returned);
    match does {
        Act::Login if end.stores() => {
            assert_eq!(lines.len(), 1, "{case}");
            let shown = shown(sessions, &now.unwrap()).await;
            assert_eq!(shown, BEFORE.replace("false", "true"), "{case}");
            return;
        }
        Act::Logout => {
            let cleared = lines.iter().filter(|line| line.contains("; Max-Age=0")).count();
            let told = !matches!(end, End::Panic(Side::Outside) | End::Timeout(Side::Outside) | End::ClientGone);
            assert_eq!((lines.len(), cleared), (usize::from(told), usize::from(told)), "{case}");
            assert!(shown(sessions, before).await.starts_with("Ended false None"), "{case}");
            return;
        }
        _ => assert!(lines.is_empty(), "{case}: {lines:?}"),
    }
    let expected = match does {
        Act::Insert if end.stores() => "Resumed false Some(2) None [\"before\"]",
        Act::Flash if end.stores() => "Resumed false Some(1) None [\"after\"]",
        Act::Save if end.stores() => "Resumed false Some(2) Some(3) [\"before\"]",
        Act::Save => "Resumed false Some(2) None [\"before\"]",
        _ => BEFORE,
    };
    assert_eq!(shown(sessions, before).await, expected, "{case}");
}

async fn prepared(sessions: &SessionLayer) -> HeaderValue {
    let fill = |session: &Session| {
        session.insert("n", &1)?;
        session.flash("notice", "before")
    };
    testing::prepared(sessions, fill).await
}

#[tokio::test]
async fn each_end_of_a_request_stores_what_it_should() {
    for does in ACTS {
        for end in ENDS {
            let (_, sessions) = one();
            let before = prepared(&sessions).await;
            let events = Events::listen();
            let app = app(&sessions, does, end, &Arc::new(Semaphore::new(0)));
            let response = get_with(&app, &before).await;
            // A logout of a dropped handler is carried out by a task of its own.
            sessions.drained().await;
            let drops = events.count("its changes are not stored");
            drop(events);
            let dropped = usize::from(!end.stores() && does != Act::Logout);
            assert_eq!(drops, dropped, "{does:?} with {end:?}");
            check(&sessions, &before, Some(response), does, end).await;
        }
    }
}

#[tokio::test]
async fn a_client_that_goes_while_the_handler_runs_leaves_only_its_logout_and_what_was_saved() {
    for does in ACTS {
        let (_, sessions) = one();
        let before = prepared(&sessions).await;
        let stuck = Arc::new(Semaphore::new(0));
        let app = app(&sessions, does, End::ClientGone, &stuck);
        let mut response = Box::pin(app.oneshot(request(Some(&before))));
        tokio::select! {
            biased;
            _ = &mut response => panic!("the handler never answers"),
            () = wait(&stuck) => {}
        }
        drop(response);
        sessions.drained().await;
        check(&sessions, &before, None, does, End::ClientGone).await;
    }
}

#[tokio::test]
async fn a_handler_that_failed_signs_no_one_in() {
    let (store, sessions) = one();
    let sign_in = |session: Session| async move {
        session.login("ann").unwrap();
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let response = get(&Router::new().route("/", route(sign_in)).layer(sessions)).await;
    assert_eq!(response.status(), 500);
    assert!(set_cookies(&response).is_empty());
    assert_eq!(store.writes(), 0);
}

#[tokio::test]
async fn what_was_saved_by_hand_stays_and_its_cookie_goes_out_with_a_500() {
    let (_, sessions) = one();
    let save = |session: Session| async move {
        act(&session, Act::Save).await;
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let response = get(&Router::new().route("/", route(save)).layer(sessions.clone())).await;
    let cookie = testing::returned(&response).unwrap();
    assert_eq!(shown(&sessions, &cookie).await, "Resumed false Some(2) None []");
}

#[tokio::test]
async fn commit_when_sees_both_heads() {
    let store = TestStore::new();
    let sessions = SessionLayer::builder()
        .session(Manager::new(store.clone()), CookieOptions::new())
        .commit_when(|request, response| request.uri.path() == "/stores" || response.status.is_success())
        .build()
        .unwrap();
    let handler = |session: Session| async move {
        session.insert("n", &1).unwrap();
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let app = Router::new().route("/", route(handler)).route("/stores", route(handler)).layer(sessions);
    assert!(set_cookies(&get(&app).await).is_empty());
    let mut request = request(None);
    *request.uri_mut() = "/stores".parse().unwrap();
    assert_eq!(set_cookies(&app.oneshot(request).await.unwrap()).len(), 1);
}

#[tokio::test]
async fn a_panic_of_another_task_is_not_the_handlers() {
    let (_, sessions) = one();
    let handler = |session: Session| async move {
        session.login("ann").unwrap();
        let spawned = session.clone();
        let task = tokio::spawn(async move {
            let _held = spawned;
            panic!("as the test demands");
        });
        assert!(task.await.unwrap_err().is_panic());
        let blocking = session.clone();
        let task = tokio::task::spawn_blocking(move || {
            let _held = blocking;
            panic!("as the test demands");
        });
        assert!(task.await.unwrap_err().is_panic());
        let caught = session.clone();
        let caught = std::panic::catch_unwind(AssertUnwindSafe(move || {
            let _held = caught;
            panic!("as the test demands");
        }));
        assert!(caught.is_err());
        session.insert("n", &1).unwrap();
    };
    let response = get(&Router::new().route("/", route(handler)).layer(sessions.clone())).await;
    assert_eq!(response.status(), 200);
    let cookie = testing::returned(&response).expect("the login is committed");
    assert_eq!(shown(&sessions, &cookie).await, "Resumed true Some(1) None []");
}
