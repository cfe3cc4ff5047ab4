//! Keys that change between restarts of the shop: no user is signed out or gets an error page.

use serde_json::json;

use crate::common::backend::{Backend, KEYS};
use crate::common::browser::Browser;
use crate::common::server::{Server, run_with};

/// Starts the shop on `backend` with these keys.
fn serve(backend: &Backend, keys: &str) -> Server {
    Server::start_with(&["--listen", "127.0.0.1:0", "--store", &backend.url], Some(keys))
}

/// Restarts the shop with the old key, then with the new and the old one, then with the new one alone.
fn keys_rotate(backend: &Backend) {
    let [old, new] = KEYS;
    let server = serve(backend, old);
    let mut ann = Browser::new(&server.base);
    ann.post("/api/counter", "").expect(200);
    ann.post("/api/login", r#"{"user":"ann"}"#).expect(200);
    let before = ann.cookie.unwrap();
    server.stop();

    let mut after = String::new();
    for both in [format!("{new},{old}"), format!("{new}\n{old}\n")] {
        let server = serve(backend, &both);
        let mut ann = Browser::with_cookie(&server.base, &before);
        let answer = ann.get("/api/session").expect(200);
        let about = answer.json();
        assert_eq!((&about["principal"], &about["values"]), (&json!("ann"), &json!({ "visits": 1 })));
        assert_eq!(answer.cookies().len(), 1, "it is reissued with the new key");
        after = ann.cookie.clone().unwrap();
        assert_ne!(after, before);
        assert_eq!(ann.get("/api/session").expect(200).cookies(), [""; 0], "once");
        ann.get("/account").expect(200);
        server.stop();
    }

    let server = serve(backend, new);
    let mut ann = Browser::with_cookie(&server.base, &after);
    let answer = ann.get("/api/session").expect(200);
    assert_eq!((&answer.json()["principal"], answer.cookies()), (&json!("ann"), &[][..]));
    let mut late = Browser::with_cookie(&server.base, &before);
    let about = late.get("/api/session").expect(200).json();
    assert_eq!((&about["is_new"], &about["opened"]), (&json!(true), &json!("undecodable")));
    for page in ["/", "/cart", "/session", "/sign-in"] {
        late.get(page).expect(200);
    }
    late.get("/account").expect(303);
    assert!(late.submit("/sign-in", "name=ann").body.contains("Welcome, ann!"));
    server.stop();
}

#[test]
fn keys_of_signed_ids_rotate_under_a_running_shop() {
    keys_rotate(&Backend::sqlite());
}

#[test]
fn keys_of_cookie_sessions_rotate_under_a_running_shop() {
    keys_rotate(&Backend::cookie());
}

#[test]
fn wrong_keys_are_one_clear_line() {
    let [one, _] = KEYS;
    for (keys, what) in [
        ("c2hvcnQ=", "at least 32 bytes"),
        ("hunter2 is my password", "not base64"),
        (&*format!("{one},{one}"), "stands twice"),
        (" , ", "there is no key"),
    ] {
        for store in ["memory:", "cookie:"] {
            let (status, log) = run_with(&["--listen", "127.0.0.1:0", "--store", store], Some(keys));
            assert_eq!(status.code(), Some(2), "{log}");
            assert_eq!(log.lines().count(), 1, "{log}");
            assert!(log.starts_with("demo: ") && log.contains("SESSION_SECRET") && log.contains(what), "{log}");
            assert!(!log.contains("hunter2") && !log.contains(one), "{log}");
        }
    }
}

#[test]
fn without_keys_cookie_sessions_end_with_the_program_and_a_warning_says_so() {
    let backend = Backend { keys: None, ..Backend::cookie() };
    let server = backend.serve();
    let mut visitor = Browser::new(&server.base);
    visitor.post("/api/counter", "").expect(200);
    let cookie = visitor.cookie.clone().unwrap();
    assert_eq!(visitor.post("/api/counter", "").expect(200).json(), json!({ "visits": 2 }));
    let log = server.stop();
    assert!(log.contains("WARN") && log.contains("SESSION_SECRET"), "{log}");

    let server = backend.serve();
    let about = Browser::with_cookie(&server.base, &cookie).get("/api/session").expect(200).json();
    assert_eq!(about["opened"], json!("undecodable"));
    server.stop();
}
