//! The `Set-Cookie` lines, read by Chromium from a server with TLS.

mod chromium_jar;
#[path = "../lines/mod.rs"]
mod lines;
mod server;

use chromium_jar::ChromiumJar;
use lines::{meaning, places};

#[test]
fn chromium_reads_each_line_as_it_is_meant() {
    meaning::is_read(&mut ChromiumJar::start());
}

#[test]
fn chromium_leaves_no_cookie_at_a_former_place() {
    places::are_left(&mut ChromiumJar::start());
}

#[test]
fn chromium_drops_planted_cookies() {
    places::of_planted_cookies_are_cleared(&mut ChromiumJar::start());
}
