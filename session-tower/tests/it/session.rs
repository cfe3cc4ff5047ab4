//! Sessions as seen by a handler, and the cookies that its client gets.

use axum::Router;
use axum::http::HeaderValue;
use axum::http::header::{COOKIE, SET_COOKIE};
use axum::routing::get as route;
use session_core::SessionId;
use session_tower::{
    CookieOptions, ErrorKind, ErrorResponse, Manager, ManualClock, Opened, Result, SameSite, Session, SessionLayer,
    Sessions, Timestamp, minutes, testing,
};
use tower::ServiceExt as _;

use crate::rig::{get, get_with, header, named, one, request, set_cookies, text};

async fn count(session: Session) -> Result<String> {
    Ok(session.update("n", |n: &mut u64| *n += 1)?.to_string())
}

#[tokio::test]
async fn what_a_handler_wrote_is_there_for_the_next() {
    let (_, sessions) = one();
    let app = Router::new().route("/", route(count)).layer(sessions);
    let first = get(&app).await;
    let cookie = testing::returned(&first).unwrap();
    assert_eq!(text(first).await, "1");
    let second = get_with(&app, &cookie).await;
    assert!(set_cookies(&second).is_empty());
    assert_eq!(text(second).await, "2");
}

#[tokio::test]
async fn the_cookie_has_the_safe_attributes_and_is_marked_as_sensitive() {
    let (_, sessions) = one();
    let app = Router::new().route("/", route(count)).layer(sessions);
    let response = get(&app).await;
    let line = header(&response, "set-cookie").unwrap();
    let value =
        line.strip_prefix("__Host-id=").unwrap().strip_suffix("; HttpOnly; SameSite=Lax; Secure; Path=/").unwrap();
    assert!(SessionId::parse(value).is_some());
    assert!(response.headers()[SET_COOKIE].is_sensitive());
    assert!(testing::returned(&response).unwrap().is_sensitive());
}

#[tokio::test]
async fn a_handler_that_asks_for_no_session_costs_nothing() {
    let (store, sessions) = one();
    let cookie = testing::signed_in(&sessions, "ann").await;
    let written = store.writes();
    let app = Router::new().route("/", route(|| async { "hello" })).layer(sessions);
    let response = get_with(&app, &cookie).await;
    assert_eq!((store.loads(), store.writes()), (0, written));
    for name in ["set-cookie", "vary", "cache-control"] {
        assert_eq!(header(&response, name), None);
    }
}

#[tokio::test]
async fn without_a_cookie_reading_asks_the_store_nothing() {
    let (store, sessions) = one();
    let read = |session: Session| async move { session.contains("n").to_string() };
    let app = Router::new().route("/", route(read)).layer(sessions);
    let response = get(&app).await;
    assert!(set_cookies(&response).is_empty());
    assert_eq!(text(response).await, "false");
    assert_eq!((store.loads(), store.writes()), (0, 0));
}

#[tokio::test]
async fn a_session_is_loaded_once_however_many_ask() {
    let (store, sessions) = one();
    let cookie = testing::signed_in(&sessions, "ann").await;
    let many = |a: Session, all: Sessions, b: Option<Session>| async move {
        let (c, d) = tokio::join!(all.get("id"), all.get("id"));
        let (b, c, d) = (b.unwrap(), c.unwrap(), d.unwrap());
        a.insert("n", &1).unwrap();
        let seen = [&b, &c, &d].map(|session| session.get::<u32>("n").unwrap());
        format!("{seen:?}")
    };
    let app = Router::new().route("/", route(many)).layer(sessions);
    assert_eq!(text(get_with(&app, &cookie).await).await, "[Some(1), Some(1), Some(1)]");
    assert_eq!(store.loads(), 1);
}

#[tokio::test]
async fn several_askers_at_a_time_load_it_once() {
    let (store, sessions) = one();
    let cookie = testing::signed_in(&sessions, "ann").await;
    let many = |all: Sessions| async move {
        let loaded = futures_util::future::join_all((0..8).map(|_| all.get("id"))).await;
        loaded.into_iter().all(|session| session.unwrap().opened() == Opened::Resumed).to_string()
    };
    let app = Router::new().route("/", route(many)).layer(sessions);
    assert_eq!(text(get_with(&app, &cookie).await).await, "true");
    assert_eq!(store.loads(), 1);
}

#[tokio::test]
async fn a_made_up_id_is_never_adopted() {
    let (_, sessions) = one();
    let app = Router::new().route("/", route(count)).layer(sessions);
    let made_up = SessionId::random().encode();
    let cookie = HeaderValue::try_from(format!("__Host-id={made_up}")).unwrap();
    let response = get_with(&app, &cookie).await;
    assert!(!header(&response, "set-cookie").unwrap().contains(&made_up));
    assert_eq!(text(response).await, "1");
}

#[tokio::test]
async fn tossed_cookies_are_not_used() {
    let (_, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let eve = testing::signed_in(&sessions, "eve").await;
    let who = |session: Session| async move { format!("{:?} {}", session.opened(), session.principal().is_some()) };
    let app = Router::new().route("/", route(who)).layer(sessions);
    let both = HeaderValue::try_from(format!("{}; {}", eve.to_str().unwrap(), ann.to_str().unwrap())).unwrap();
    let response = get_with(&app, &both).await;
    assert_eq!(testing::returned(&response), None, "our own cookie stays as it is");
    let [line] = set_cookies(&response)[..] else { panic!("{:?}", set_cookies(&response)) };
    assert!(line.contains("; Partitioned; ") && line.contains("; Max-Age=0"), "the other place is cleared");
    assert_eq!(text(response).await, "New false");
}

#[tokio::test]
async fn neighbours_that_are_not_utf8_and_more_than_one_header_line_are_no_hindrance() {
    let (_, sessions) = one();
    let ann = testing::signed_in(&sessions, "ann").await;
    let who = |session: Session| async move { session.principal().unwrap().as_str().to_owned() };
    let app = Router::new().route("/", route(who)).layer(sessions);
    let mut request = request(Some(&HeaderValue::from_bytes(b"lang=\xe9\xff; \xff=1").unwrap()));
    let line = [b"x=\xff; ".as_slice(), ann.as_bytes()].concat();
    request.headers_mut().append(COOKIE, HeaderValue::from_bytes(&line).unwrap());
    assert_eq!(text(app.oneshot(request).await.unwrap()).await, "ann");
}

#[tokio::test]
async fn a_login_changes_the_id_and_a_logout_clears_the_cookie() {
    let (_, sessions) = one();
    let before = testing::prepared(&sessions, |session| session.insert("n", &1)).await;
    let login =
        Router::new().route("/", route(|s: Session| async move { s.login("ann").map_err(ErrorResponse::from) }));
    let response = get_with(&login.layer(sessions.clone()), &before).await;
    let after = testing::returned(&response).unwrap();
    assert_ne!(before, after);

    let logout = Router::new().route("/", route(|s: Session| async move { s.logout() })).layer(sessions.clone());
    let response = get_with(&logout, &after).await;
    let line = header(&response, "set-cookie").unwrap();
    assert!(line.starts_with("__Host-id=; ") && line.contains("; Secure; Path=/; Max-Age=0"), "{line}");
    assert_eq!(testing::returned(&response), None);

    let opened =
        Router::new().route("/", route(|s: Session| async move { format!("{:?}", s.opened()) })).layer(sessions);
    assert_eq!(text(get_with(&opened, &after).await).await, "Ended");
}

#[tokio::test]
async fn an_explicit_save_still_announces_its_cookie() {
    let (_, sessions) = one();
    let save = |session: Session| async move {
        session.insert("n", &1)?;
        let _ = session.save().await?;
        Ok::<_, ErrorResponse>(())
    };
    let app = Router::new().route("/", route(save)).layer(sessions);
    assert_eq!(set_cookies(&get(&app).await).len(), 1);
}

#[tokio::test]
async fn after_the_head_only_what_needs_no_cookie_still_works() {
    let (_, sessions) = one();
    let cookie = testing::prepared(&sessions, |session| session.insert("n", &1)).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let tell = std::sync::Arc::new(std::sync::Mutex::new(Some(tell)));
    let keep = move |session: Session| async move {
        tell.lock().unwrap().take().unwrap().send(session).ok().unwrap();
    };
    let app = Router::new().route("/", route(keep)).layer(sessions.clone());
    get_with(&app, &cookie).await;
    let kept = told.await.unwrap();
    assert_eq!(kept.login("ann").unwrap_err().kind(), ErrorKind::Closed);
    kept.insert("n", &2).unwrap();
    let _ = kept.save().await.unwrap();

    let app = Router::new().route("/", route(count)).layer(sessions);
    assert_eq!(text(get_with(&app, &cookie).await).await, "3");
}

#[tokio::test]
async fn several_sessions_live_side_by_side() {
    let (store, _) = one();
    let sessions = SessionLayer::builder()
        .session(named(&store, "id"), CookieOptions::new())
        .session(named(&store, "cart"), CookieOptions::new().same_site(SameSite::Strict).name("basket"))
        .build()
        .unwrap();
    let write = |first: Session, all: Sessions| async move {
        assert_eq!(all.names().collect::<Vec<_>>(), ["id", "cart"]);
        first.insert("which", "id")?;
        all.get("cart").await?.insert("which", "cart")?;
        let unknown = all.get("other").await.unwrap_err();
        assert_eq!(unknown.kind(), ErrorKind::Config);
        Ok::<_, ErrorResponse>(())
    };
    let app = Router::new().route("/", route(write)).layer(sessions.clone());
    let response = get(&app).await;
    let lines = set_cookies(&response);
    assert!(lines[0].starts_with("__Host-id=") && lines[0].contains("SameSite=Lax"), "{lines:?}");
    assert!(lines[1].starts_with("basket=") && lines[1].contains("SameSite=Strict"), "{lines:?}");

    let read = |all: Sessions| async move {
        let which: Option<String> = all.get("cart").await?.get("which")?;
        Ok::<_, ErrorResponse>(which.unwrap())
    };
    let app = Router::new().route("/", route(read)).layer(sessions);
    let loads = store.loads();
    let cookies = testing::returned(&response).unwrap();
    assert_eq!(text(get_with(&app, &cookies).await).await, "cart");
    assert_eq!(store.loads(), loads + 1, "a session that was not asked for is not loaded");
}

#[tokio::test]
async fn a_response_may_send_the_cookie_otherwise() {
    let (_, sessions) = one();
    let remember = |session: Session| async move {
        session.insert("n", &1)?;
        session.set_cookie_options(|cookie| cookie.same_site(SameSite::Strict).persistent())?;
        assert!(session.set_cookie_options(|cookie| cookie.domain("example.com")).is_err());
        Ok::<_, ErrorResponse>(())
    };
    let app = Router::new().route("/", route(remember)).layer(sessions);
    let response = get(&app).await;
    let line = header(&response, "set-cookie").unwrap();
    assert!(line.contains("; SameSite=Strict") && line.ends_with("; Max-Age=86400"), "{line}");
}

#[tokio::test]
async fn only_reading_moves_the_expiry_once_in_a_while() {
    let (store, _) = one();
    let clock = ManualClock::new(Timestamp::from_millis(1_000_000).unwrap());
    let sessions = SessionLayer::new(Manager::builder(store.clone()).clock(clock.clone()).build().unwrap());
    let ann = testing::signed_in(&sessions, "ann").await;
    let app = Router::new().route("/", route(|_: Session| async {})).layer(sessions);
    let written = store.writes();
    clock.advance(minutes(5));
    get_with(&app, &ann).await;
    assert_eq!(store.writes(), written, "within a tenth of the idle time");
    clock.advance(minutes(5));
    get_with(&app, &ann).await;
    assert_eq!(store.writes(), written + 1);
    get_with(&app, &ann).await;
    assert_eq!(store.writes(), written + 1);
}
