//! Pages that the browser fetches in advance.

use chromium::Tab;
use serde_json::json;

use crate::rig::{SIGN_OUT, Visit, allow_scripts, hides, is_at, shows, sign_in};

const MESSAGE: &str = "Garden Mint is in your cart.";

/// Adds a tin to the cart, and does not follow the redirect. So its message waits for the next page.
fn leave_a_message(tab: &Tab) {
    let body = "new URLSearchParams({ tea: 'mint', from: 'shop', change: 'add' })";
    tab.evaluate(&format!("fetch('/cart', {{ method: 'POST', redirect: 'manual', body: {body} }}).then(() => 1)"));
}

/// Fetches a page in advance by speculation rules, and waits for it. A navigation then shows it without another request.
fn speculate(tab: &Tab, path: &str) {
    tab.call("Page.bringToFront", &json!({}));
    tab.call("Preload.enable", &json!({}));
    let rules = json!({ "prefetch": [{ "source": "list", "urls": [path], "eagerness": "immediate" }] }).to_string();
    tab.evaluate(&format!(
        "{{ const rules = document.createElement('script'); rules.type = 'speculationrules'; rules.text = {}; document.head.append(rules) }}",
        json!(rules)
    ));
    let status = tab.event("a prefetch", "Preload.prefetchStatusUpdated", |event| {
        let over = ["Ready", "Success", "Failure"].iter().any(|status| event["status"] == *status);
        over.then(|| event["status"].clone())
    });
    assert_eq!(status, "Ready");
}

/// Goes to a page as a link does, and returns whether it had been fetched in advance.
fn go(tab: &Tab, path: &str) -> bool {
    tab.evaluate(&format!("document.body.insertAdjacentHTML('beforeend', `<a id=go href='{path}'>go</a>`)"));
    tab.follow("#go");
    tab.evaluate("performance.getEntriesByType('navigation')[0].deliveryType") == "navigational-prefetch"
}

#[test]
fn a_page_fetched_in_advance_takes_no_message() {
    let visit = Visit::new();
    let tab = visit.tab("/");
    allow_scripts(&tab);
    leave_a_message(&tab);
    speculate(&tab, "/session");
    assert!(go(&tab, "/session"), "it was fetched in advance");
    hides(&tab, MESSAGE);
    go(&tab, "/cart");
    shows(&tab, MESSAGE);
    visit.end();
}

#[test]
fn a_linked_prefetch_takes_no_message() {
    let visit = Visit::new();
    let tab = visit.tab("/");
    allow_scripts(&tab);
    leave_a_message(&tab);
    let url = visit.page("/cart");
    tab.evaluate(&format!("document.head.insertAdjacentHTML('beforeend', `<link rel=prefetch href='{url}'>`)"));
    tab.event("a prefetch", "Network.responseReceived", |event| (event["response"]["url"] == *url).then_some(()));
    go(&tab, "/cart");
    shows(&tab, MESSAGE);
    visit.end();
}

#[test]
fn a_page_of_a_user_that_was_fetched_in_advance_is_not_shown_after_the_sign_out() {
    let visit = Visit::new();
    let tab = visit.signed_in("Ann");
    allow_scripts(&tab);
    let other = visit.tab("/account");
    speculate(&tab, "/account");
    other.follow(SIGN_OUT);
    assert!(!go(&tab, "/account"), "it shows the page of before");
    is_at(&tab, "/sign-in");
    hides(&tab, "Ann");
    visit.end();
}

#[test]
fn a_page_of_a_stranger_that_was_fetched_in_advance_is_not_shown_after_the_sign_in() {
    let visit = Visit::new();
    let tab = visit.tab("/");
    allow_scripts(&tab);
    let other = visit.tab("/sign-in");
    speculate(&tab, "/cart");
    sign_in(&other, "Ann");
    assert!(!go(&tab, "/cart"), "it shows the page of before");
    shows(&tab, "Ann");
    visit.end();
}
