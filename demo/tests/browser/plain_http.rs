//! Plain HTTP, on a host name and on the loopback.

use crate::common::server::Server;
use crate::rig::{ADD_MINT, Visit, cookies, hides, shows, sign_in};

/// A host that only this test's browser knows.
const HOST: &str = "shop.test";

/// Starts the shop for every host, so that its cookie is `Secure`. Returns it and its address under the name `host`.
fn visit(host: &str) -> (Visit, String) {
    let server = Server::start(&["--listen", "0.0.0.0:0", "--store", "memory://"]);
    let address = server.base.replace("0.0.0.0", host);
    (Visit::to(server, &[&format!("--host-resolver-rules=MAP {HOST} 127.0.0.1")]), address)
}

const WARNING: &str = "a browser shows a page by plain HTTP";

#[test]
fn on_a_host_name_the_browser_drops_the_secure_cookie_and_one_warning_says_so() {
    let (visit, address) = visit(HOST);
    let tab = visit.chromium.tab();
    for _ in 0..2 {
        tab.open(&address);
        tab.follow(ADD_MINT);
        hides(&tab, "is in your cart");
        assert!(cookies(&tab).is_empty());
    }
    tab.open(&format!("{address}/cart"));
    shows(&tab, "Nothing in it yet.");
    let log = visit.end();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains(WARNING) && warnings[0].contains("secure_when"), "{log}");
}

#[test]
fn on_localhost_the_browser_keeps_the_secure_cookie() {
    let (visit, address) = visit("localhost");
    let tab = visit.chromium.tab();
    tab.open(&format!("{address}/sign-in"));
    sign_in(&tab, "Ann");
    let cookie = cookies(&tab).remove(0);
    assert!(cookie["name"] == "__Host-id" && cookie["secure"] == true, "{cookie}");
    let log = visit.end();
    assert!(!log.contains(WARNING), "{log}");
}
