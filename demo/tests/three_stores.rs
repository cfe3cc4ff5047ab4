//! One request with three sessions, in SQLite, in Redis and in its own cookie. If one of them cannot be saved, the other two are
//! saved, their cookies are sent, and the error names the failed one.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Query;
use axum::http::{HeaderValue, Request, Response};
use axum::routing::get;
use rusqlite::Connection;
use serde::Deserialize;
use session_conformance::proxy::Proxy;
use session_conformance::server;
use session_tower::{
    CookieOptions, CookieStore, ErrorKind, ErrorResponse, KeyRing, Manager, Result, SessionLayer, Sessions, minutes,
    testing,
};
use tempfile::TempDir;
use tower::ServiceExt as _;

const NAMES: [&str; 3] = ["sqlite", "cookie", "redis"];

#[derive(Deserialize)]
struct Breaks {
    breaks: Option<String>,
}

struct Rig {
    proxy: Proxy,
    folder: TempDir,
}

impl Rig {
    /// Locks the SQLite database until the connection is dropped: it can be read, and not written.
    fn hold(&self) -> Connection {
        let holder = Connection::open(self.folder.path().join("sessions.db")).unwrap();
        holder.execute_batch("begin immediate").unwrap();
        holder
    }
}

/// Counts up in all three sessions. The store named by `breaks` fails between loading and saving.
async fn count(rig: Arc<Rig>, breaks: Option<String>, all: Sessions) -> Result<String> {
    let mut seen = Vec::new();
    for name in NAMES {
        seen.push(all.get(name).await?.update("n", |n: &mut u32| *n += 1)?);
    }
    match breaks.as_deref() {
        Some("redis") => rig.proxy.cut(),
        Some("cookie") => all.get("cookie").await?.insert("large", &"x".repeat(4_000))?,
        // Another connection locks SQLite already.
        _ => {}
    }
    Ok(format!("{seen:?}"))
}

async fn app(rig: &Arc<Rig>, redis: &str) -> Router {
    let sqlite = format!("sqlite://{}?timeout=300", rig.folder.path().join("sessions.db").display());
    let keys = KeyRing::new(&(0..32).collect::<Vec<u8>>()).unwrap();
    let options = CookieOptions::new;
    let named = |name: &str, manager: session_tower::ManagerBuilder| manager.name(name).build().unwrap();
    let sessions = SessionLayer::builder()
        .session(named("sqlite", Manager::builder(session_store_any::connect(&sqlite).await.unwrap())), options())
        .session(named("cookie", Manager::builder(CookieStore::new(&keys))), options())
        .session(named("redis", Manager::builder(session_store_any::connect(redis).await.unwrap())), options())
        .build()
        .unwrap();
    let rig = Arc::clone(rig);
    let handler = move |Query(Breaks { breaks }): Query<Breaks>, all: Sessions| count(Arc::clone(&rig), breaks, all);
    let redis = async |all: Sessions| all.get("redis").await.map(drop).map_err(ErrorResponse::from);
    Router::new().route("/", get(handler)).route("/redis", get(redis)).layer(sessions)
}

async fn ask(app: &Router, path: &str, cookies: &[String]) -> Response<Body> {
    let request = Request::get(path).header("cookie", cookies.join("; ")).body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

/// Updates the client's cookies from `response`.
fn keep(cookies: &mut Vec<String>, response: &Response<Body>) {
    let sent = testing::returned(response).unwrap_or(HeaderValue::from_static(""));
    for pair in sent.to_str().unwrap().split("; ").filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap();
        cookies.retain(|known| !known.starts_with(&format!("{name}=")));
        cookies.push(pair.to_owned());
    }
}

async fn text(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sqlite_cookie_and_redis_the_one_that_fails_is_named_and_the_others_are_saved() {
    let server = server::redis().await.unwrap_or_else(|error| panic!("{error}"));
    let proxy = Proxy::before(server.address()).await.unwrap();
    let rig = Arc::new(Rig { proxy, folder: tempfile::tempdir().unwrap() });
    let url = server.url_through(rig.proxy.address());
    let separator = if url.contains('?') { '&' } else { '?' };
    let app = app(&rig, &format!("{url}{separator}timeout=500&namespace=three_{:08x}", rand::random::<u32>())).await;

    let mut cookies = Vec::new();
    let first = ask(&app, "/", &cookies).await;
    keep(&mut cookies, &first);
    assert_eq!((text(first).await, cookies.len()), ("[1, 1, 1]".to_owned(), 3));

    let mut expected = [1, 1, 1];
    for (at, (name, kind)) in
        [("sqlite", ErrorKind::Unavailable), ("cookie", ErrorKind::TooLarge), ("redis", ErrorKind::Unavailable)]
            .into_iter()
            .enumerate()
    {
        let holder = (name == "sqlite").then(|| rig.hold());
        let failed = ask(&app, &format!("/?breaks={name}"), &cookies).await;
        drop(holder);
        rig.proxy.pass();

        let error = failed.extensions().get::<ErrorResponse>().unwrap_or_else(|| panic!("{name}: {failed:?}"));
        let failures = error.commit().unwrap().failures().map(|(name, error)| (name, error.kind())).collect::<Vec<_>>();
        assert_eq!(failures, [(name, kind)]);
        assert!(error.to_string().contains(&format!("; {name}: ")), "{error}");
        assert_eq!(failed.status(), error.status());
        keep(&mut cookies, &failed);

        (0..3).filter(|other| *other != at).for_each(|other| expected[other] += 1);
        expected.iter_mut().for_each(|n| *n += 1);
        // The connection to Redis was cut. The store reports that until it has another one.
        let back = async {
            while ask(&app, "/redis", &cookies).await.status() == 503 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(minutes(1), back).await.expect("Redis is found again");
        let next = ask(&app, "/", &cookies).await;
        keep(&mut cookies, &next);
        assert_eq!(text(next).await, format!("{expected:?}"), "after {name} failed");
    }
}
