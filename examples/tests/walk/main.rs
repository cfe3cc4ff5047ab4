//! Walks every example over HTTP, as a user would in a browser.
#![allow(dead_code, reason = "the programs' `main` functions are not used here")]

mod back_channel_walks;
mod browser;
mod down;
mod oidc_walks;
mod provider;
mod walks;
mod websocket_walks;

#[path = "../../api_and_pages.rs"]
mod api_and_pages;
#[path = "../../changing_keys.rs"]
mod changing_keys;
#[path = "../../cookie_sessions.rs"]
mod cookie_sessions;
#[path = "../../counter.rs"]
mod counter;
#[path = "../../devices.rs"]
mod devices;
#[path = "../../flash.rs"]
mod flash;
#[path = "../../login.rs"]
mod login;
#[path = "../../oidc/main.rs"]
mod oidc;
#[path = "../../own_store.rs"]
mod own_store;
#[path = "../../remember_me.rs"]
mod remember_me;
#[path = "../../several_sessions.rs"]
mod several_sessions;
#[path = "../../shop.rs"]
mod shop;
#[path = "../../shutdown.rs"]
mod shutdown;
#[path = "../../sign_in_first.rs"]
mod sign_in_first;
#[path = "../../signed_ids.rs"]
mod signed_ids;
#[path = "../../store_by_url.rs"]
mod store_by_url;
#[path = "../../testing.rs"]
mod testing;
#[path = "../../websocket.rs"]
mod websocket;
