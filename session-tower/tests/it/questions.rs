//! Answers of `docs/questions.md` that have no other test, and the names of all tests on that page.

use std::path::{Path, PathBuf};

use axum::Router;
use axum::http::HeaderValue;
use axum::routing::get as route;
use session_tower::{CookieOptions, ErrorResponse, Manager, Session, SessionLayer, testing};

use crate::rig::{TestStore, get_with, one, set_cookies, text};

#[tokio::test]
async fn an_administrator_acts_as_a_user_and_comes_back() {
    let (_, sessions) = one();
    let root = testing::prepared(&sessions, |session| {
        session.login("root")?;
        session.insert("secret", "of root")
    })
    .await;
    let act_as = |session: Session| async move {
        let admin = session.principal().unwrap();
        session.login("ann")?;
        session.insert("acting", admin.as_str())?;
        Ok::<_, ErrorResponse>(())
    };
    let response = get_with(&Router::new().route("/", route(act_as)).layer(sessions.clone()), &root).await;
    let acting = testing::returned(&response).unwrap();
    assert_ne!(acting, root, "the id changes");
    let shown =
        |session: Session| async move { format!("{} {:?}", session.principal().unwrap().as_str(), session.keys()) };
    let show = Router::new().route("/", route(shown)).layer(sessions.clone());
    assert_eq!(text(get_with(&show, &acting).await).await, "ann [\"acting\"]", "the administrator's values are gone");

    let back = |session: Session| async move {
        let admin: Option<String> = session.get("acting")?;
        Ok::<_, ErrorResponse>(session.login(admin.unwrap())?)
    };
    let response = get_with(&Router::new().route("/", route(back)).layer(sessions), &acting).await;
    let root = testing::returned(&response).unwrap();
    assert_eq!(text(get_with(&show, &root).await).await, "root []");
}

#[tokio::test]
async fn a_cookie_of_a_former_name_is_not_read() {
    let store = TestStore::new();
    let layer =
        |options: CookieOptions| SessionLayer::builder().session(Manager::new(store.clone()), options).build().unwrap();
    let before = testing::signed_in(&layer(CookieOptions::new().name("__Host-before")), "ann").await;
    let opened = |session: Session| async move { format!("{:?}", session.opened()) };
    let app = Router::new().route("/", route(opened)).layer(layer(CookieOptions::new()));
    let response = get_with(&app, &before).await;
    assert!(set_cookies(&response).is_empty(), "it is not cleared either");
    assert_eq!(text(response).await, "New");
}

#[tokio::test]
async fn a_form_without_its_sessions_token_is_told_apart() {
    let (_, sessions) = one();
    let token = |session: Session| async move {
        let new = || format!("{:032x}", rand::random::<u128>());
        Ok::<_, ErrorResponse>(session.get_or_insert_with("csrf", new)?)
    };
    let form = Router::new().route("/", route(token)).layer(sessions.clone());
    let (first, other) = (
        testing::prepared(&sessions, |session| session.insert("n", &1)).await,
        get_with(&form, &HeaderValue::from_static("")).await,
    );
    let own = text(get_with(&form, &first).await).await;
    assert_eq!(text(get_with(&form, &first).await).await, own, "the token stays");
    assert_ne!(text(other).await, own);
    let sent = own.clone();
    let check = move |session: Session| {
        let sent = sent.clone();
        async move {
            let is_own = |sent: &str| Ok::<_, ErrorResponse>(session.get("csrf")? == Some(sent.to_owned()));
            Ok::<_, ErrorResponse>(format!("{} {}", is_own(&sent)?, is_own("")?))
        }
    };
    let check = Router::new().route("/", route(check)).layer(sessions);
    assert_eq!(text(get_with(&check, &first).await).await, "true false");
    assert_eq!(
        text(get_with(&check, &HeaderValue::from_static("")).await).await,
        "false false",
        "a session without a token"
    );
}

/// Rust files below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        match entry.is_dir() {
            true => sources(&entry, found),
            false if entry.extension().is_some_and(|extension| extension == "rs") => found.push(entry),
            false => {}
        }
    }
}

#[test]
fn every_answer_names_tests_that_exist() {
    let page = include_str!("../../../docs/questions.md");
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for name in ["session-core/src", "session-http/src", "session-tower/src", "demo/src"] {
        sources(&root.join(name), &mut files);
    }
    for name in ["session-core", "session-http", "session-tower", "demo", "examples"] {
        sources(&root.join(name).join("tests"), &mut files);
    }
    let text: String = files.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let answers: Vec<_> = page.split("\n## ").skip(1).collect();
    assert!(answers.len() >= 7);
    for answer in answers {
        let title = answer.lines().next().unwrap();
        let lines: Vec<_> = answer.lines().filter(|line| line.starts_with("Test")).collect();
        let names: Vec<_> = lines.iter().flat_map(|line| line.split('`').skip(1).step_by(2)).collect();
        assert!(!names.is_empty(), "{title}: a test");
        for name in names {
            assert!(text.contains(&format!("fn {name}(")), "{title}: {name}");
        }
    }
}
