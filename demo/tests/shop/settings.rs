//! Wrong settings, cookie attributes, and shutdown.

use std::net::TcpStream;

use crate::common::backend::Backend;
use crate::common::browser::{Browser, FORM};
use crate::common::server::{Server, run};
use crate::common::slow::SlowRequest;

/// Checks that the program ends with exit code 2 and one line on stderr that contains `what`.
fn refused(arguments: &[&str], what: &str) {
    let (status, log) = run(arguments);
    assert_eq!(status.code(), Some(2), "{arguments:?}: {log}");
    assert_eq!(log.lines().count(), 1, "{arguments:?}: {log}");
    assert!(log.starts_with("demo: ") && log.contains(what), "{arguments:?}: {log}");
}

#[test]
fn a_taken_port_is_one_clear_line() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(&["--listen", &address, "--store", "memory://"], &format!("cannot listen on {address}: the port is taken"));
}

#[test]
fn a_wrong_address_is_one_clear_line() {
    refused(&["--listen", "nonsense", "--store", "memory://"], "no address and port");
    refused(&["--listen", "127.0.0.1:99999", "--store", "memory://"], "no address and port");
}

#[test]
fn an_unwritable_path_is_one_clear_line() {
    let folder = tempfile::tempdir().unwrap();
    let missing = format!("sqlite://{}", folder.path().join("missing/sessions.db").display());
    refused(&["--listen", "127.0.0.1:0", "--store", &missing], "the sessions' store");
    // Even root cannot write a file in place of a folder.
    let directory = format!("sqlite://{}", folder.path().display());
    refused(&["--listen", "127.0.0.1:0", "--store", &directory], "the sessions' store");
}

#[test]
fn a_wrong_url_is_one_clear_line_without_its_password() {
    refused(&["--listen", "127.0.0.1:0", "--store", "nonsense"], "begins with a scheme and a colon; there are ");
    let (_, log) = run(&["--listen", "127.0.0.1:0", "--store", "db://ann:hunter2@host/x"]);
    assert!(!log.contains("hunter2"), "{log}");
}

#[test]
fn a_plain_cookie_is_warned_of() {
    let server = Backend::memory().serve();
    let mut visitor = Browser::new(&server.base);
    let answer = visitor.post("/api/counter", "").expect(200);
    let [line] = answer.cookies() else { panic!("{answer:?}") };
    assert!(line.starts_with("id=") && line.contains("HttpOnly") && line.contains("SameSite=Lax"), "{line}");
    assert!(!line.contains("Secure"), "{line}");
    let log = server.stop();
    assert_eq!(log.lines().filter(|line| line.contains("WARN")).count(), 1, "{log}");
}

#[test]
fn a_cookie_for_everybody_is_secure() {
    let server = Server::start(&["--listen", "0.0.0.0:0", "--store", "memory://"]);
    let base = server.base.replace("0.0.0.0", "127.0.0.1");
    let mut response = ureq::post(format!("{base}/api/counter")).send("").unwrap();
    let line = response.headers()["set-cookie"].to_str().unwrap().to_owned();
    response.body_mut().read_to_string().unwrap();
    assert!(line.starts_with("__Host-id=") && line.contains("; Secure"), "{line}");
    server.stop();
}

#[test]
fn another_sites_form_is_refused() {
    let server = Backend::memory().serve();
    let mut victim = Browser::new(&server.base);
    let headers = [FORM[0], ("sec-fetch-site", "cross-site")];
    let answer = victim.send("POST", "/sign-in", &headers, "name=mallory").expect(403);
    assert_eq!(answer.cookies(), [""; 0]);
    let headers = [FORM[0], ("origin", "http://elsewhere.example")];
    victim.send("POST", "/sign-in", &headers, "name=mallory").expect(403);
    server.stop();
}

#[test]
fn a_request_under_way_ends_before_the_server_does() {
    let server = Backend::memory().serve();
    let mut visitor = Browser::new(&server.base);
    visitor.post("/api/counter", "").expect(200);
    let mut slow = SlowRequest::begin(&server, visitor.cookie.as_deref().unwrap());
    server.tell_to_stop();
    // The server first stops listening.
    while TcpStream::connect(server.address()).is_ok() {
        std::thread::yield_now();
    }
    let answer = slow.finish();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("{\"visits\":2}"), "{answer}");
    server.wait();
}
