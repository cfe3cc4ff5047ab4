//! The `Set-Cookie` lines, read by cookie jars that others have written: one from crates.io and one from npm.

mod cookie_store_jar;
#[path = "../lines/mod.rs"]
mod lines;
mod tough_cookie_jar;

use cookie_store_jar::CookieStoreJar;
use lines::{meaning, places};
use tough_cookie_jar::ToughCookieJar;

#[test]
fn cookie_store_reads_each_line_as_it_is_meant() {
    meaning::is_read(&mut CookieStoreJar::default());
}

#[test]
fn cookie_store_leaves_no_cookie_at_a_former_place() {
    places::are_left(&mut CookieStoreJar::default());
}

#[test]
fn cookie_store_drops_planted_cookies() {
    places::of_planted_cookies_are_cleared(&mut CookieStoreJar::default());
}

#[test]
fn tough_cookie_reads_each_line_as_it_is_meant() {
    meaning::is_read(&mut ToughCookieJar::start());
}

#[test]
fn tough_cookie_leaves_no_cookie_at_a_former_place() {
    places::are_left(&mut ToughCookieJar::start());
}

#[test]
fn tough_cookie_drops_planted_cookies() {
    places::of_planted_cookies_are_cleared(&mut ToughCookieJar::start());
}
