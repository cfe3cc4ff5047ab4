//! Sessions of different stores behind one layer: a database, a cookie store and a null store.

use axum::Router;
use axum::http::{HeaderValue, StatusCode};
use axum::routing::get as route;
use session_store_sqlite::SqliteStore;
use session_tower::{
    CookieOptions, CookieStore, ErrorKind, ErrorResponse, KeyRing, Manager, NullStore, Result, Session, SessionLayer,
    Sessions, testing,
};

use crate::rig::{TestStore, get, get_with, header, named, set_cookies, text};

fn ring() -> KeyRing {
    KeyRing::new(&(0..32).collect::<Vec<u8>>()).unwrap()
}

async fn count(session: Session) -> Result<String> {
    let n = session.update("n", |n: &mut u32| *n += 1)?;
    Ok(n.to_string())
}

#[tokio::test]
async fn a_cookie_session_is_like_any_other_to_handlers() {
    let sessions = SessionLayer::new(Manager::new(CookieStore::new(&ring())));
    let app = Router::new().route("/", route(count)).layer(sessions.clone());
    let mut cookie = testing::signed_in(&sessions, "ann").await;
    for n in 1..=3 {
        let response = get_with(&app, &cookie).await;
        assert_eq!(header(&response, "cache-control"), Some("private, no-store"));
        assert_eq!(header(&response, "vary"), Some("Cookie"));
        cookie = testing::returned(&response).unwrap();
        assert_eq!(text(response).await, n.to_string());
    }
    let who = |session: Session| async move { session.principal().unwrap().as_str().to_owned() };
    let app = Router::new().route("/", route(who)).layer(sessions);
    let response = get_with(&app, &cookie).await;
    assert!(set_cookies(&response).is_empty(), "reading sends nothing");
    assert_eq!(text(response).await, "ann");
}

#[tokio::test]
async fn over_nothing_sessions_read_empty_save_nothing_and_set_no_cookie() {
    let sessions = SessionLayer::new(Manager::new(NullStore));
    let handler = |session: Session| async move {
        assert!(session.is_new() && session.keys().is_empty() && session.principal().is_none());
        session.login("ann")?;
        session.flash("notice", "hello")?;
        assert_eq!(session.update("n", |n: &mut u32| *n += 1)?, 1);
        let _ = session.save().await?;
        assert_eq!(session.get("n")?, Some(1), "for the rest of the request it is there");
        session.insert("after", &1)?;
        session.rotate()?;
        Ok::<_, ErrorResponse>("done")
    };
    let app = Router::new().route("/", route(handler)).layer(sessions);
    let made_up = HeaderValue::from_str(&format!("__Host-id={}", "A".repeat(43))).unwrap();
    for response in [get(&app).await, get_with(&app, &made_up).await] {
        assert_eq!(response.status(), StatusCode::OK);
        assert!(set_cookies(&response).is_empty());
        assert_eq!(text(response).await, "done");
    }
}

#[tokio::test]
async fn of_three_sessions_on_three_stores_the_one_that_fails_takes_no_other_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = SqliteStore::builder(folder.path().join("sessions.db")).open().await.unwrap();
    let broken = TestStore::new();
    let sessions = SessionLayer::builder()
        .session(Manager::new(sqlite), CookieOptions::new())
        .session(Manager::builder(CookieStore::new(&ring())).name("prefs").build().unwrap(), CookieOptions::new())
        .session(named(&broken, "cart"), CookieOptions::new())
        .build()
        .unwrap();
    let count = |all: Sessions| async move {
        let mut seen = Vec::new();
        for name in ["id", "prefs", "cart"] {
            seen.push(all.get(name).await?.update("n", |n: &mut u32| *n += 1)?);
        }
        Ok::<_, ErrorResponse>(format!("{seen:?}"))
    };
    let app = Router::new().route("/", route(count)).layer(sessions);
    let first = get(&app).await;
    assert_eq!(set_cookies(&first).len(), 3);
    let cookies = testing::returned(&first).unwrap();

    broken.fail_writes(ErrorKind::Unavailable);
    let failed = get_with(&app, &cookies).await;
    assert_eq!(failed.status(), StatusCode::SERVICE_UNAVAILABLE);
    let error = failed.extensions().get::<ErrorResponse>().unwrap();
    let failures = error.commit().unwrap().failures().map(|(name, error)| (name, error.kind())).collect::<Vec<_>>();
    assert_eq!(failures, [("cart", ErrorKind::Unavailable)]);
    // The cookie of the database session stays as it is. The other cookie holds the session itself.
    let [line] = set_cookies(&failed)[..] else { panic!("{:?}", set_cookies(&failed)) };
    assert!(line.starts_with("__Host-prefs="), "{line}");

    broken.recover();
    let sent = cookies.to_str().unwrap().split("; ").filter(|pair| !pair.starts_with("__Host-prefs="));
    let sent = sent.chain([line.split(';').next().unwrap()]).collect::<Vec<_>>().join("; ");
    let response = get_with(&app, &HeaderValue::try_from(sent).unwrap()).await;
    assert_eq!(text(response).await, "[3, 3, 2]", "two counted, one did not");
}

#[tokio::test]
async fn a_cookie_that_is_too_large_takes_no_other_session_with_it() {
    let store = TestStore::new();
    let sessions = SessionLayer::builder()
        .session(named(&store, "id"), CookieOptions::new())
        .session(Manager::builder(CookieStore::new(&ring())).name("prefs").build().unwrap(), CookieOptions::new())
        .on_error(|error, _| (error.status(), format!("our own page: {:?}", error.kind())))
        .build()
        .unwrap();
    let write = |all: Sessions| async move {
        all.get("id").await?.insert("n", &1)?;
        all.get("prefs").await?.insert("n", &"x".repeat(4_000))?;
        Ok::<_, ErrorResponse>("stored")
    };
    let response = get(&Router::new().route("/", route(write)).layer(sessions)).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let [line] = set_cookies(&response)[..] else { panic!("{:?}", set_cookies(&response)) };
    assert!(line.starts_with("__Host-id="), "{line}");
    assert_eq!(text(response).await, "our own page: TooLarge");
}

#[tokio::test]
async fn what_an_older_key_wrote_is_sent_again_by_the_layer() {
    let older = KeyRing::new(&(1..33).collect::<Vec<u8>>()).unwrap();
    let both = ring().and(&(1..33).collect::<Vec<u8>>()).unwrap();
    let store = TestStore::new();
    let layers = |ring: &KeyRing| {
        SessionLayer::builder()
            .session(named(&store, "id"), CookieOptions::new().signed(ring))
            .session(Manager::builder(CookieStore::new(ring)).name("prefs").build().unwrap(), CookieOptions::new())
            .build()
            .unwrap()
    };
    let both_count = |all: Sessions| async move {
        all.get("id").await?.insert("n", &1)?;
        all.get("prefs").await?.insert("n", &1)?;
        Ok::<_, ErrorResponse>(())
    };
    let cookies = get(&Router::new().route("/", route(both_count)).layer(layers(&older))).await;
    let cookies = testing::returned(&cookies).unwrap();
    let read = |all: Sessions| async move {
        let (id, prefs) = (all.get("id").await?, all.get("prefs").await?);
        Ok::<_, ErrorResponse>(format!("{:?} {:?}", id.opened(), prefs.opened()))
    };
    let app = |ring: &KeyRing| Router::new().route("/", route(read)).layer(layers(ring));
    let response = get_with(&app(&both), &cookies).await;
    assert_eq!(set_cookies(&response).len(), 2);
    let renewed = testing::returned(&response).unwrap();
    assert_eq!(text(response).await, "Resumed Resumed");
    assert_eq!(text(get_with(&app(&ring()), &renewed).await).await, "Resumed Resumed");
    let response = get_with(&app(&ring()), &cookies).await;
    assert_eq!(response.status(), StatusCode::OK, "no client gets an error page");
    assert_eq!(text(response).await, "Undecodable Undecodable");
}
