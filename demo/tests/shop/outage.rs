//! Answers to users and scripts while the store is unavailable.

use serde_json::json;

use crate::common::backend::Backend;
use crate::common::browser::{Browser, FORM};

#[test]
fn an_outage_is_told_in_the_askers_language_and_passes() {
    let mut backend = Backend::sqlite();
    let file = backend.folder.as_ref().unwrap().path().join("sessions.db");
    backend.url += "?timeout=200";
    let server = backend.serve();
    let mut ann = Browser::new(&server.base);
    ann.post("/api/login", r#"{"user":"ann"}"#).expect(200);

    // Another connection holds the database, so that it can be read and not written.
    let holder = rusqlite::Connection::open(file).unwrap();
    holder.execute_batch("begin immediate").unwrap();
    let answer = ann.post("/api/counter", "").expect(503);
    assert_eq!(answer.json(), json!({ "error": "the session store is unavailable" }));
    let answer = ann.send("POST", "/cart", &FORM, "tea=mint&from=shop&change=add").expect(503);
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    assert!(answer.body.contains("We cannot reach our books"), "{}", answer.body);
    assert_eq!(answer.cookies(), [""; 0], "an outage signs out no user");
    ann.get("/account").expect(200);

    holder.execute_batch("rollback").unwrap();
    assert_eq!(ann.post("/api/counter", "").expect(200).json(), json!({ "visits": 1 }));
    assert!(ann.submit("/cart", "tea=mint&from=shop&change=add").body.contains("Garden Mint is in your cart."));
    server.tell_to_stop();
    let log = server.wait();
    assert!(log.contains("the session store is unavailable"), "operators are told: {log}");
}
