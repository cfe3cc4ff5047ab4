//! The shop and a browser that visits it.

use chromium::{Chromium, Tab};
use serde_json::json;
use tempfile::TempDir;

use crate::common::backend::Backend;
use crate::common::server::Server;

/// A server of the shop, and a browser with a profile of its own.
pub(crate) struct Visit {
    // Dropped first, because the server waits for its connections.
    pub(crate) chromium: Chromium,
    pub(crate) server: Server,
    pub(crate) profile: TempDir,
}

impl Visit {
    /// Starts the shop on a loopback address, and a browser.
    pub(crate) fn new() -> Self {
        Self::to(Backend::memory().serve(), &[])
    }

    /// Starts a browser with these flags, to visit `server`.
    pub(crate) fn to(server: Server, flags: &[&str]) -> Self {
        let profile = tempfile::tempdir().unwrap();
        Self { chromium: Chromium::start(profile.path(), flags), server, profile }
    }

    /// Returns the address of a page of the shop.
    pub(crate) fn page(&self, path: &str) -> String {
        format!("{}{path}", self.server.base)
    }

    /// Opens a page of the shop in a tab of its own.
    pub(crate) fn tab(&self, path: &str) -> Tab {
        let tab = self.chromium.tab();
        tab.open(&self.page(path));
        tab
    }

    /// Opens the account page in a tab of its own, after signing in as `name` there.
    pub(crate) fn signed_in(&self, name: &str) -> Tab {
        let tab = self.tab("/sign-in");
        sign_in(&tab, name);
        tab.follow(ACCOUNT);
        tab
    }

    /// Quits the browser, stops the server, and returns the server's log.
    pub(crate) fn end(self) -> String {
        self.chromium.close();
        self.server.stop()
    }
}

/// Selector of the link to the account page.
pub(crate) const ACCOUNT: &str = "nav a[href='/account']";

/// Selector of the link to the shop.
pub(crate) const SHOP: &str = "nav a[href='/']";

/// Selector of the link to the cart.
pub(crate) const CART: &str = "nav a[href='/cart']";

/// Selector of the button that puts a tin of mint tea into the cart, on the shop's page.
pub(crate) const ADD_MINT: &str = "#mint button";

/// Selector of the button that signs out, on the account page.
pub(crate) const SIGN_OUT: &str = "form[action='/sign-out'] button";

/// Fills the form on the sign-in page and sends it.
pub(crate) fn sign_in(tab: &Tab, name: &str) {
    tab.fill("#name", name);
    tab.follow("form[action='/sign-in'] button");
    shows(tab, &format!("Welcome, {name}!"));
}

/// Lets the test's scripts run in the tab's pages, whose policy forbids scripts.
pub(crate) fn allow_scripts(tab: &Tab) {
    tab.call("Page.setBypassCSP", &json!({ "enabled": true }));
    tab.reload();
}

/// Checks that the page shows `text`.
#[track_caller]
pub(crate) fn shows(tab: &Tab, text: &str) {
    assert!(tab.text().contains(text), "{} does not show {text:?}\n{}", tab.url(), tab.html());
}

/// Checks that the page does not show `text`.
#[track_caller]
pub(crate) fn hides(tab: &Tab, text: &str) {
    assert!(!tab.text().contains(text), "{} shows {text:?}\n{}", tab.url(), tab.html());
}

/// Checks that the page has the path `path`.
#[track_caller]
pub(crate) fn is_at(tab: &Tab, path: &str) {
    let found = tab.evaluate("location.pathname");
    assert_eq!(found, path, "{}", tab.html());
}

/// Returns the cookies that the tab's page is sent with.
pub(crate) fn cookies(tab: &Tab) -> Vec<serde_json::Value> {
    let answer = tab.call("Network.getCookies", &json!({}));
    answer["cookies"].as_array().cloned().unwrap_or_default()
}
