//! The walks. Each is named for what its example shows.

use std::sync::{Arc, mpsc};

use axum::Router;
use axum::routing::get;
use session_tower::{KeyRing, Manager, Result, Session, SessionLayer, store};
use tokio::sync::{Semaphore, oneshot};

use crate::browser::{Browser, bind, serve};
use crate::down::Down;

fn keys(secrets: &[u8]) -> KeyRing {
    let secret = |of: u8| (of..of + 32).collect::<Vec<_>>();
    let ring = KeyRing::new(&secret(secrets[0])).unwrap();
    secrets[1..].iter().fold(ring, |ring, older| ring.and(&secret(*older)).unwrap())
}

#[test]
fn the_counter_counts_each_browser() {
    let base = serve(async { crate::counter::app("memory:").await.unwrap() });
    let (mut ann, mut bob) = (Browser::new(&base), Browser::new(&base));
    let first = ann.get("/");
    first.shows("Visit number 1");
    assert_eq!(first.set_cookie.len(), 1);
    assert!(first.set_cookie[0].ends_with("; HttpOnly; SameSite=Lax; Secure; Path=/"), "{first:?}");
    let second = ann.get("/");
    second.shows("Visit number 2");
    assert!(second.set_cookie.is_empty(), "the id stays, so no cookie is sent again");
    bob.get("/").shows("Visit number 1");
}

#[test]
fn the_counter_counts_visits_at_the_same_time() {
    let base = serve(async { crate::counter::app("memory:").await.unwrap() });
    let mut ann = Browser::new(&base);
    ann.get("/");
    std::thread::scope(|scope| {
        for _ in 0..8 {
            let mut tab = ann.clone();
            scope.spawn(move || tab.get("/"));
        }
    });
    ann.get("/").shows("Visit number 10");
}

#[test]
fn a_made_up_id_is_never_adopted() {
    let base = serve(async { crate::counter::app("memory:").await.unwrap() });
    let planted = "A".repeat(43);
    let mut victim = Browser::with_cookie(&base, "__Host-id", &planted);
    victim.get("/").shows("Visit number 1");
    assert_ne!(victim.id(), planted);
}

#[test]
fn a_login_changes_the_id_and_a_logout_ends_the_session() {
    let base = serve(async { crate::login::app().await.unwrap() });
    let mut ann = Browser::new(&base);
    ann.get("/").leads_to("/login");
    assert_eq!(ann.post("/login", "name=ann&password=wrong").status, 401);
    assert!(ann.cookies.is_empty(), "nothing is stored for a wrong password");
    ann.post("/login", "name=ann&password=secret").leads_to("/");
    ann.get("/").shows("Signed in as ann");

    let before = ann.clone();
    ann.post("/login", "name=ann&password=secret").leads_to("/");
    assert_ne!(ann.id(), before.id(), "every login makes a new id");
    before.clone().get("/").leads_to("/login");

    let mut copy = ann.clone();
    ann.post("/logout", "").leads_to("/login");
    assert!(ann.cookies.is_empty(), "the browser's cookie is cleared");
    copy.get("/").leads_to("/login");
}

#[test]
fn a_page_that_needs_a_user_leads_to_the_sign_in_page_and_back() {
    let base = serve(async { crate::sign_in_first::app().await.unwrap() });
    let mut ann = Browser::new(&base);
    for page in ["/orders?year=2026", "/password"] {
        let to_sign_in = ann.get(page).location.unwrap();
        assert!(to_sign_in.starts_with("/sign-in?next=/"), "{to_sign_in}");
        ann.get(&to_sign_in).shows("<form method=post>");
        ann.post(&to_sign_in, "").leads_to(page);
        ann.get(page).shows("of ann");
        ann.cookies.clear();
    }
    ann.post("/sign-in?next=//evil.example", "").leads_to("/");
}

#[test]
fn a_remembered_session_has_a_cookie_that_outlives_the_browser() {
    let base = serve(async { crate::remember_me::app().await.unwrap() });
    let (mut here, mut home) = (Browser::new(&base), Browser::new(&base));
    let usual = here.post("/login", "");
    assert!(!usual.set_cookie[0].contains("Max-Age"), "{usual:?}");
    let remembered = home.post("/login", "remember=on");
    assert!(remembered.set_cookie[0].contains("; Max-Age=2592000"), "30 days: {remembered:?}");
    home.get("/").shows("Signed in");
    // A choice belongs to its login, so a later login without it forgets it.
    let again = home.post("/login", "");
    assert!(!again.set_cookie[0].contains("Max-Age"), "{again:?}");
    home.post("/logout", "");
    assert!(home.cookies.is_empty());
}

#[test]
fn a_message_is_shown_once() {
    let base = serve(async { crate::flash::app().await.unwrap() });
    let mut ann = Browser::new(&base);
    ann.get("/");
    assert!(ann.cookies.is_empty(), "a visit that writes nothing sets no cookie");
    ann.post("/save", "").leads_to("/");
    ann.post("/save", "").leads_to("/");
    assert_eq!(ann.get("/").body.matches("Your changes are saved.").count(), 2);
    assert!(!ann.get("/").body.contains("saved"));
}

#[test]
fn the_administrators_session_is_apart_from_the_sites() {
    let base = serve(async { crate::several_sessions::app().await.unwrap() });
    let mut root = Browser::new(&base);
    root.get("/").shows("Visit number 1");
    assert_eq!(root.get("/admin").status, 403);
    let signed_in = root.post("/admin/login", "");
    assert_eq!(signed_in.set_cookie.len(), 1, "the site's session is not touched");
    let line = &signed_in.set_cookie[0];
    assert!(line.starts_with("__Host-admin=") && line.contains("; SameSite=Strict"), "{line}");
    root.get("/admin").shows("Administrator: root");
    root.get("/").shows("Visit number 2");

    // One session's id does not open the other.
    let id = root.id().to_owned();
    assert_eq!(Browser::with_cookie(&base, "__Host-admin", &id).get("/admin").status, 403);
}

#[test]
fn a_cookie_session_is_sealed_in_its_cookie() {
    let base = serve(async { crate::cookie_sessions::app(&keys(&[1])) });
    let mut ann = Browser::new(&base);
    ann.get("/").shows("Visit number 1");
    let first = ann.id().to_owned();
    assert!(!first.contains("visits"));
    ann.get("/").shows("Visit number 2");

    // Another server with the same keys opens it, and one with other keys does not.
    ann.at(&serve(async { crate::cookie_sessions::app(&keys(&[1])) })).get("/").shows("Visit number 3");
    ann.at(&serve(async { crate::cookie_sessions::app(&keys(&[2])) })).get("/").shows("Visit number 1");

    // A changed cookie opens nothing.
    let changed = if first.ends_with('A') { "Q" } else { "A" };
    let forged = format!("{}{changed}", &first[..first.len() - 1]);
    Browser::with_cookie(&base, "__Host-id", &forged).get("/").shows("Visit number 1");

    // The limit that the example names: a copy stays valid after a logout.
    let mut copy = ann.clone();
    ann.post("/forget", "");
    assert!(ann.cookies.is_empty());
    copy.get("/").shows("Visit number 3");
}

#[test]
fn a_made_up_id_does_not_reach_the_store() {
    let base = serve(async { crate::signed_ids::app(&keys(&[1])).await.unwrap() });
    let mut ann = Browser::new(&base);
    ann.get("/").shows("Visit number 1, opened as New");
    ann.get("/").shows("Visit number 2, opened as Resumed");
    // A made-up id without a signature, and a real one with the wrong signature.
    let unsigned = "A".repeat(43);
    Browser::with_cookie(&base, "__Host-id", &unsigned).get("/").shows("opened as Undecodable");
    ann.at(&serve(async { crate::signed_ids::app(&keys(&[2])).await.unwrap() }))
        .get("/")
        .shows("opened as Undecodable");
}

#[test]
fn other_devices_are_listed_and_signed_out() {
    let base = serve(async { crate::devices::app().await.unwrap() });
    let [mut here, mut phone, mut desk] = [(); 3].map(|()| {
        let mut device = Browser::new(&base);
        device.post("/login", "").leads_to("/");
        device
    });
    let list = here.get("/");
    list.shows("Firefox, this one");
    assert!(!list.body.contains(phone.id()), "a handle is no id");
    assert_eq!(list.body.matches("Firefox, used 0 minutes ago").count(), 2);

    // The newest of the other sessions comes first.
    let handle = list.body.split("name=handle value=").nth(1).unwrap().split('>').next().unwrap().to_owned();
    let mut stranger = Browser::new(&base);
    assert_eq!(stranger.post("/end", &format!("handle={handle}")).status, 401, "not signed in");
    here.post("/end", &format!("handle={handle}")).leads_to("/");
    let signed_in = |device: &mut Browser| device.get("/").body.contains("everywhere else");
    assert_eq!([&mut phone, &mut desk].map(signed_in).into_iter().filter(|signed_in| *signed_in).count(), 1);

    here.post("/end-others", "").leads_to("/");
    assert!(signed_in(&mut here));
    assert!(!signed_in(&mut phone) && !signed_in(&mut desk));
}

#[test]
fn a_failure_is_json_for_the_api_and_a_page_for_browsers() {
    let base = serve(async {
        let manager = Manager::new(store::connect("memory:").await.unwrap());
        crate::api_and_pages::app(manager).unwrap()
    });
    let mut ann = Browser::new(&base);
    ann.get("/").shows("Visit number 1");
    assert_eq!(ann.get("/api/visits").body, r#"{"visits":2}"#, "both parts share the session");

    let base = serve(async { crate::api_and_pages::app(Manager::new(Down)).unwrap() });
    let mut ann = ann.at(&base);
    let page = ann.get("/");
    assert_eq!((page.status, &*page.content_type), (503, "text/html; charset=utf-8"));
    let api = ann.get("/api/visits");
    assert_eq!((api.status, &*api.content_type), (503, "application/json"));
    assert_eq!(api.body, r#"{"error":"the session store is down; try again later"}"#);
    assert!(ann.cookies.contains_key("__Host-id"), "an outage clears no cookie");
}

#[test]
fn a_new_key_signs_again_what_the_old_one_signed() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("sessions.db").display());
    let started_with = |secrets: &'static [u8]| {
        let url = url.clone();
        serve(async move {
            let manager = Manager::new(store::connect(&url).await.unwrap());
            crate::changing_keys::app(manager, &keys(secrets)).unwrap()
        })
    };
    let mut ann = Browser::new(&started_with(&[1]));
    ann.get("/").shows("Visit number 1");
    let under_old_key = ann.clone();

    let mut ann = ann.at(&started_with(&[2, 1]));
    let renewed = ann.get("/");
    renewed.shows("Visit number 2");
    assert_eq!(renewed.set_cookie.len(), 1, "the id is sent again, under the new key");
    assert!(ann.get("/").set_cookie.is_empty());

    let without_old_key = started_with(&[2]);
    ann.at(&without_old_key).get("/").shows("Visit number 4");
    under_old_key.at(&without_old_key).get("/").shows("Visit number 1");
}

#[test]
fn a_running_request_ends_and_is_stored_before_the_server_stops() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("sessions.db").display());
    let (arrived, has_arrived) = mpsc::channel();
    let go_on = Arc::new(Semaphore::new(0));
    let (stop, stopped) = oneshot::channel::<()>();

    let waiting = go_on.clone();
    let slow = async move |session: Session| -> Result<String> {
        session.insert("order", "tea")?;
        arrived.send(()).unwrap();
        waiting.acquire().await.unwrap().forget();
        Ok("ordered".to_owned())
    };
    let (bound, base) = mpsc::channel();
    let server_url = url.clone();
    let server = std::thread::spawn(move || {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let (listener, base) = bind().await;
            bound.send(base).unwrap();
            let manager = Manager::new(store::connect(&server_url).await.unwrap());
            let routes = Router::new().route("/", get(slow));
            crate::shutdown::serve(listener, manager, routes, async { drop(stopped.await) }).await.unwrap();
        });
    });
    let mut ann = Browser::new(&base.recv().unwrap());
    let request = std::thread::spawn(move || {
        ann.get("/").shows("ordered");
        ann
    });
    has_arrived.recv().unwrap();
    stop.send(()).unwrap();
    go_on.add_permits(1);
    let ann = request.join().unwrap();
    server.join().unwrap();

    let base = serve(async move {
        let manager = Manager::new(store::connect(&url).await.unwrap());
        let order = async |session: Session| -> Result<String> { Ok(session.get("order")?.unwrap_or_default()) };
        Router::new().route("/", get(order)).layer(SessionLayer::new(manager))
    });
    ann.at(&base).get("/").shows("tea");
}

#[test]
fn the_url_chooses_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    for url in [format!("sqlite://{}", at("sessions.db")), format!("file://{}", at("sessions"))] {
        let started = || {
            let url = url.clone();
            serve(async move { crate::store_by_url::app(&url).await.unwrap() })
        };
        let mut ann = Browser::new(&started());
        ann.get("/").shows("Visit number 1");
        ann.at(&started()).get("/").shows("Visit number 2");
    }
    let base = serve(async { crate::store_by_url::app("null:").await.unwrap() });
    let mut ann = Browser::new(&base);
    ann.get("/").shows("Visit number 1");
    assert!(ann.cookies.is_empty(), "this store keeps nothing");
}

#[test]
fn a_store_of_ones_own_works_like_any() {
    let base = serve(async { crate::own_store::app() });
    let mut ann = Browser::new(&base);
    ann.get("/").shows("Visit number 1");
    ann.get("/").shows("Visit number 2");
}

#[test]
fn a_cookie_from_the_test_helpers_works_over_http() {
    let (prepared, cookie) = mpsc::channel();
    let base = serve(async move {
        let sessions = SessionLayer::new(Manager::new(store::connect("memory:").await.unwrap()));
        let ann = session_tower::testing::signed_in(&sessions, "ann").await;
        prepared.send(ann.to_str().unwrap().to_owned()).unwrap();
        crate::testing::app(sessions)
    });
    assert_eq!(Browser::new(&base).get("/orders").status, 401);
    let cookie = cookie.recv().unwrap();
    let (name, id) = cookie.split_once('=').unwrap();
    Browser::with_cookie(&base, name, id).get("/orders").shows("ann orders");
}

#[test]
fn the_pages_of_a_shop_work_together() {
    let base = serve(async { crate::shop::app("memory:").await.unwrap() });
    let (mut ann, mut phone, mut admin) = (Browser::new(&base), Browser::new(&base), Browser::new(&base));
    ann.post("/add/Tea", "").leads_to("/");
    ann.get("/").shows("Tea is in your cart.<p>[Tea]");
    ann.get("/").shows("<p><p>[Tea]");
    let to_sign_in = ann.get("/devices").location.unwrap();
    assert_eq!(ann.post(&to_sign_in, "name=ann&password=guess").status, 401);
    ann.post(&to_sign_in, "name=ann&password=secret").leads_to("/devices");
    ann.get("/").shows("[Tea]");
    assert_eq!(&ann.begins("/live"), b"data: 1\n");

    phone.post("/sign-in", "name=ann&password=secret").leads_to("/");
    ann.get("/devices").shows("2 devices");
    ann.post("/devices", "").leads_to("/devices");
    phone.get("/").shows("Sign in");

    assert_eq!(ann.post("/admin/end-unused", "").status, 403);
    admin.post("/sign-in", "name=admin&password=secret").leads_to("/");
    admin.post("/admin/end-unused", "").shows("0 sessions ended");

    for site in ["cross-site", "same-site"] {
        assert_eq!(ann.post_from(site, "/sign-out", "").status, 403, "{site}");
    }
    ann.get("/devices").shows("1 devices");
    ann.post("/sign-out", "").leads_to("/");
    ann.get("/").shows("Sign in");
}

#[test]
fn a_program_uses_the_shop_by_a_token() {
    let base = serve(async { crate::shop::app("memory:").await.unwrap() });
    let mut program = Browser::new(&base);
    assert_eq!(program.get("/api/cart").status, 401);
    assert_eq!(program.post_from("cross-site", "/api/sign-in", "name=ann&password=guess").status, 401);
    program.post_from("cross-site", "/api/sign-in", "name=ann&password=secret");
    assert!(program.cookies.is_empty());
    program.get("/api/cart").shows("[]");
}
