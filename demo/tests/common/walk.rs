//! The shop's promises to scripts, which must hold on every store.

use std::process::Command;
use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::json;

use super::backend::Backend;
use super::browser::{Browser, FORM};
use super::server::Server;
use super::slow::SlowRequest;

type Step = fn(&Backend);

/// Kinds of stores that differ in their promises.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum StoreKind {
    /// A store that outlives the program.
    Lasting,
    /// A store that outlives the program, and that one process at a time can open.
    Alone,
    /// A store that ends with the program.
    Passing,
    /// The cookie itself, which the client holds.
    Cookie,
    /// A store that keeps nothing.
    Nothing,
}

use StoreKind::{Alone, Cookie, Lasting, Nothing, Passing};

/// The steps, and the kinds of stores that promise them. Where a kind cannot keep a promise, a step of its own checks that the
/// operation is refused or has no effect.
const STEPS: &[(&str, Step, &[StoreKind])] = &[
    ("values_survive_a_restart", values_survive_a_restart, &[Lasting, Alone, Cookie]),
    (
        "a_visit_that_writes_nothing_stores_nothing",
        a_visit_that_writes_nothing_stores_nothing,
        &[Lasting, Alone, Passing, Cookie, Nothing],
    ),
    ("a_made_up_id_is_never_adopted", a_made_up_id_is_never_adopted, &[Lasting, Alone, Passing, Cookie]),
    ("values_of_any_kind_come_back", values_of_any_kind_come_back, &[Lasting, Alone, Passing, Cookie]),
    ("what_is_wrong_is_told", what_is_wrong_is_told, &[Lasting, Alone, Passing, Cookie, Nothing]),
    ("a_login_changes_the_id", a_login_changes_the_id, &[Lasting, Alone, Passing, Cookie]),
    ("a_logout_ends_it_for_the_client", a_logout_ends_it_for_the_client, &[Lasting, Alone, Passing, Cookie]),
    ("the_id_before_a_login_is_dead", the_id_before_a_login_is_dead, &[Lasting, Alone, Passing]),
    ("a_logout_beats_a_slow_request", a_logout_beats_a_slow_request, &[Lasting, Alone, Passing]),
    ("parallel_counters_lose_nothing", parallel_counters_lose_nothing, &[Lasting, Alone, Passing]),
    ("parallel_counters_of_two_servers_lose_nothing", parallel_counters_of_two_servers_lose_nothing, &[Lasting]),
    ("a_second_server_is_refused", a_second_server_is_refused, &[Alone]),
    ("sessions_elsewhere_cannot_be_ended", sessions_elsewhere_cannot_be_ended, &[Cookie]),
    ("more_than_a_cookie_holds_is_refused", more_than_a_cookie_holds_is_refused, &[Cookie]),
    ("nothing_is_kept", nothing_is_kept, &[Nothing]),
];

/// Makes a test of each step that the kind of store promises, each on a backend of its own.
pub(crate) fn trials(
    store: &str,
    kind: StoreKind,
    backend: impl Fn(&str) -> Backend + Send + Sync + 'static,
) -> impl Iterator<Item = Trial> {
    let backend = Arc::new(backend);
    STEPS.iter().filter(move |(_, _, promised_by)| promised_by.contains(&kind)).map(move |&(name, step, _)| {
        let backend = Arc::clone(&backend);
        Trial::test(format!("{store}::{name}"), move || {
            step(&backend(name));
            Ok(())
        })
    })
}

fn values_survive_a_restart(backend: &Backend) {
    let server = backend.serve();
    let mut ann = Browser::new(&server.base);
    ann.post("/api/values/colour", "\"green\"").expect(204);
    ann.post("/api/login", r#"{"user":"ann"}"#).expect(200);
    let cookie = ann.cookie.clone().unwrap();
    server.stop();

    let server = backend.serve();
    let mut ann = Browser::with_cookie(&server.base, &cookie);
    let about = ann.get("/api/session").expect(200).json();
    assert_eq!(
        about,
        json!({ "is_new": false, "opened": "resumed", "principal": "ann", "values": { "colour": "green" }, "store": backend.name() })
    );
    server.stop();
}

fn a_second_server_is_refused(backend: &Backend) {
    let server = backend.serve();
    let url = format!("{}?timeout=300", backend.url);
    let mut second = Command::new(env!("CARGO_BIN_EXE_demo"));
    let second = second.args(["--listen", "127.0.0.1:0", "--store", &url]).output().unwrap();
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("another process has the database open"), "{said}");
    let mut visitor = Browser::new(&server.base);
    visitor.post("/api/counter", "").expect(200);
    server.stop();
}

fn a_visit_that_writes_nothing_stores_nothing(backend: &Backend) {
    let server = backend.serve();
    let mut visitor = Browser::new(&server.base);
    for path in ["/", "/cart", "/session", "/sign-in", "/api/session", "/healthz"] {
        let answer = visitor.get(path).expect(200);
        assert_eq!(answer.cookies(), [""; 0], "{path}");
    }
    visitor.get("/api/values/none").expect(404);
    visitor.delete("/api/values/none").expect(404);
    assert_eq!(visitor.cookie, None);
    assert_eq!(visitor.get("/api/session").json()["is_new"], json!(true));
    assert_eq!(backend.stored().unwrap_or(0), 0);
    server.stop();
}

fn a_made_up_id_is_never_adopted(backend: &Backend) {
    let server = backend.serve();
    for (made_up, opened) in [
        ("A".repeat(43), backend.says_of_a_made_up_id()),
        ("made-up".to_owned(), "undecodable"),
        (String::new(), "undecodable"),
    ] {
        let mut attacker = Browser::with_cookie(&server.base, &made_up);
        let about = attacker.get("/api/session").expect(200).json();
        assert_eq!(about["is_new"], json!(true), "{made_up}");
        // A value that is not an id may also count as no cookie at all.
        assert!(about["opened"] == json!(opened) || about["opened"] == json!("new"), "{about}");
        assert_eq!(backend.stored().unwrap_or(0), 0);
    }
    let made_up = "A".repeat(43);
    let mut visitor = Browser::with_cookie(&server.base, &made_up);
    visitor.post("/api/counter", "").expect(200);
    assert_ne!(visitor.cookie.as_deref(), Some(&*made_up), "it got an id of its own");
    assert_eq!(visitor.get("/api/session").json()["values"], json!({ "visits": 1 }));
    let mut attacker = Browser::with_cookie(&server.base, &made_up);
    assert_eq!(attacker.get("/api/session").json()["values"], json!({}));
    server.stop();
}

fn values_of_any_kind_come_back(backend: &Backend) {
    let server = backend.serve();
    let mut visitor = Browser::new(&server.base);
    for value in ["null", "18446744073709551615", "0.1", "\"a \\u00fc \\\" \"", "[1,[2,{\"three\":[]}]]", "{}"] {
        visitor.post("/api/values/it", value).expect(204);
        assert_eq!(visitor.get("/api/values/it").expect(200).body, value);
    }
    visitor.delete("/api/values/it").expect(204);
    visitor.get("/api/values/it").expect(404);
    server.stop();
}

fn what_is_wrong_is_told(backend: &Backend) {
    let server = backend.serve();
    let mut visitor = Browser::new(&server.base);
    for (path, body, status) in [
        ("/api/values/it", "no JSON", 400),
        ("/api/values/it", "", 400),
        ("/api/login", r#"{"user":""}"#, 400),
        ("/api/login", "{}", 400),
        ("/api/counter?hold=5001", "", 400),
    ] {
        let answer = visitor.post(path, body).expect(status);
        assert!(answer.json()["error"].is_string(), "{answer:?}");
    }
    let huge = format!("\"{}\"", "x".repeat(70_000));
    let answer = visitor.post("/api/values/huge", &huge).expect(413);
    assert_eq!(answer.json(), json!({ "error": "too large for a session" }));
    assert_eq!(visitor.cookie, None, "nothing of it was stored");
    server.stop();
}

fn a_login_changes_the_id(backend: &Backend) {
    let server = backend.serve();
    let mut ann = Browser::new(&server.base);
    ann.post("/api/counter", "").expect(200);
    let before = ann.cookie.clone().unwrap();
    ann.post("/api/login", r#"{"user":"ann"}"#).expect(200);
    assert_ne!(ann.cookie.as_ref(), Some(&before));
    let about = ann.get("/api/session").json();
    assert_eq!((&about["principal"], &about["values"]), (&json!("ann"), &json!({ "visits": 1 })));
    server.stop();
}

fn a_logout_ends_it_for_the_client(backend: &Backend) {
    let server = backend.serve();
    let mut ann = Browser::new(&server.base);
    ann.post("/api/login", r#"{"user":"ann"}"#).expect(200);
    let answer = ann.post("/api/logout", "").expect(200);
    let [line] = answer.cookies() else { panic!("{answer:?}") };
    assert!(line.starts_with("id=; ") && line.contains("; Path=/") && line.contains("; Max-Age=0"), "{line}");
    assert_eq!(ann.cookie, None);
    let about = ann.get("/api/session").expect(200).json();
    assert_eq!((&about["is_new"], &about["principal"]), (&json!(true), &json!(null)));
    server.stop();
}

fn the_id_before_a_login_is_dead(backend: &Backend) {
    let server = backend.serve();
    let mut ann = Browser::new(&server.base);
    ann.post("/api/counter", "").expect(200);
    let before = ann.cookie.clone().unwrap();
    ann.post("/api/login", r#"{"user":"ann"}"#).expect(200);

    let mut thief = Browser::with_cookie(&server.base, &before);
    let about = thief.get("/api/session").expect(200).json();
    assert_eq!((&about["is_new"], &about["principal"], &about["values"]), (&json!(true), &json!(null), &json!({})));
    // The old id cannot write either, and gets no cookie that would replace Ann's new one.
    let answer = thief.post("/api/counter", "").expect(409);
    assert_eq!(answer.cookies(), [""; 0]);
    assert_eq!(ann.get("/api/values/visits").body, "1");
    server.stop();
}

fn a_logout_beats_a_slow_request(backend: &Backend) {
    let server = backend.serve();
    let mut ann = Browser::new(&server.base);
    ann.post("/api/login", r#"{"user":"ann"}"#).expect(200);
    let cookie = ann.cookie.clone().unwrap();

    let mut slow = SlowRequest::begin(&server, &cookie);
    ann.post("/api/logout", "").expect(200);
    let answer = slow.finish();
    assert!(answer.starts_with("HTTP/1.1 409 "), "{answer}");
    assert!(!answer.to_lowercase().contains("set-cookie"), "{answer}");

    let mut anybody = Browser::with_cookie(&server.base, &cookie);
    let about = anybody.get("/api/session").expect(200).json();
    assert_eq!((&about["is_new"], &about["principal"], &about["values"]), (&json!(true), &json!(null), &json!({})));
    server.stop();
}

fn parallel_counters_lose_nothing(backend: &Backend) {
    let server = backend.serve();
    let visits = count_in_parallel(&[&server]);
    assert_eq!(visits, TOTAL);
    server.stop();
}

fn parallel_counters_of_two_servers_lose_nothing(backend: &Backend) {
    let (one, other) = (backend.serve(), backend.serve());
    let visits = count_in_parallel(&[&one, &other]);
    assert_eq!(visits, TOTAL);
    one.stop();
    other.stop();
}

const CLIENTS: usize = 64;
const TOTAL: u64 = 2_000;

/// Counts up one session by all clients at once, spread over the servers, and returns the final count.
fn count_in_parallel(servers: &[&Server]) -> u64 {
    let mut first = Browser::new(&servers[0].base);
    first.post("/api/values/visits", "0").expect(204);
    let cookie = first.cookie.clone().unwrap();
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            let server = servers[client % servers.len()];
            let mut browser = Browser::with_cookie(&server.base, &cookie);
            let share = TOTAL as usize / CLIENTS + usize::from(client < TOTAL as usize % CLIENTS);
            scope.spawn(move || {
                for _ in 0..share {
                    let visits = browser.post("/api/counter", "").expect(200).json()["visits"].as_u64().unwrap();
                    assert!((1..=TOTAL).contains(&visits));
                }
            });
        }
    });
    first.get("/api/values/visits").body.parse().unwrap()
}

/// The client has the only copy, so sessions cannot be listed or ended from elsewhere, and the shop says so.
fn sessions_elsewhere_cannot_be_ended(backend: &Backend) {
    let server = backend.serve();
    let (mut ann, mut elsewhere) = (Browser::new(&server.base), Browser::new(&server.base));
    for browser in [&mut ann, &mut elsewhere] {
        browser.post("/api/login", r#"{"user":"ann"}"#).expect(200);
    }
    assert!(ann.get("/account").expect(200).body.contains("kept where they cannot be listed"));
    let refused = ann.send("POST", "/account/end-others", &FORM, "").expect(501);
    assert!(refused.body.contains("We cannot do that here"), "{}", refused.body);
    let handle = "0".repeat(64);
    ann.send("POST", "/account/end-one", &FORM, &format!("handle={handle}")).expect(501);
    elsewhere.get("/account").expect(200);
    server.stop();
}

fn more_than_a_cookie_holds_is_refused(backend: &Backend) {
    let server = backend.serve();
    let mut visitor = Browser::new(&server.base);
    visitor.post("/api/values/small", &format!("\"{}\"", "x".repeat(2_500))).expect(204);
    let before = visitor.cookie.clone();
    let answer = visitor.post("/api/values/large", &format!("\"{}\"", "x".repeat(2_500))).expect(413);
    assert_eq!(answer.json(), json!({ "error": "too large for a session" }));
    assert_eq!((answer.cookies(), &visitor.cookie), (&[][..], &before), "the cookie is as it was");
    visitor.get("/api/values/large").expect(404);
    server.stop();
}

fn nothing_is_kept(backend: &Backend) {
    let server = backend.serve();
    let mut visitor = Browser::new(&server.base);
    for _ in 0..2 {
        let answer = visitor.post("/api/counter", "").expect(200);
        assert_eq!((answer.json(), answer.cookies()), (json!({ "visits": 1 }), &[][..]));
    }
    visitor.post("/api/values/it", "1").expect(204);
    visitor.get("/api/values/it").expect(404);
    let answer = visitor.post("/api/login", r#"{"user":"ann"}"#).expect(200);
    assert_eq!(answer.cookies(), [""; 0]);
    assert_eq!(visitor.post("/api/logout", "").expect(200).cookies(), [""; 0]);
    visitor.get("/account").expect(303);
    let mut made_up = Browser::with_cookie(&server.base, &"A".repeat(43));
    assert_eq!(made_up.get("/api/session").expect(200).json()["values"], json!({}));
    assert_eq!(visitor.cookie, None);
    server.stop();
}
