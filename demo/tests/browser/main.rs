//! The shop in a real browser: Chromium, driven over its own protocol.

#[path = "../common/mod.rs"]
mod common;
mod history;
mod links;
mod plain_http;
mod prefetch;
mod remember_me;
mod rig;
mod sign_in;
mod tabs;
