//! Signing in.

use serde_json::json;

use crate::common::backend::Backend;
use crate::rig::{ACCOUNT, ADD_MINT, CART, SIGN_OUT, Visit, allow_scripts, cookies, is_at, shows, sign_in};

#[test]
fn signing_in_changes_the_cookie_and_keeps_the_cart() {
    let visit = Visit::new();
    let tab = visit.tab("/");
    assert!(cookies(&tab).is_empty(), "a visit that writes nothing gets no cookie");
    tab.follow(ADD_MINT);
    let before = cookies(&tab);

    tab.open(&visit.page("/sign-in"));
    sign_in(&tab, "Ann");
    let after = cookies(&tab);
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before[0]["value"], after[0]["value"], "the id is a new one");
    for (name, value) in
        [("name", json!("id")), ("httpOnly", json!(true)), ("sameSite", json!("Lax")), ("session", json!(true))]
    {
        assert_eq!(after[0][name], value, "{after:?}");
    }

    tab.follow(CART);
    shows(&tab, "Garden Mint");
    tab.follow(ACCOUNT);
    shows(&tab, "Hello, Ann");
    shows(&tab, "Chrome on Linux");
    visit.end();
}

#[test]
fn a_session_that_is_kept_in_its_cookie_signs_in_and_out() {
    let visit = Visit::to(Backend::cookie().serve(), &[]);
    let tab = visit.tab("/");
    tab.follow(ADD_MINT);
    tab.open(&visit.page("/sign-in"));
    sign_in(&tab, "Ann");
    tab.follow(CART);
    shows(&tab, "Garden Mint");
    tab.follow(ACCOUNT);
    shows(&tab, "Hello, Ann");
    tab.follow(SIGN_OUT);
    shows(&tab, "You are signed out.");
    tab.back();
    is_at(&tab, "/sign-in");
    visit.end();
}

#[test]
fn a_slow_response_does_not_undo_a_sign_in() {
    let visit = Visit::new();
    let slow = visit.tab("/");
    allow_scripts(&slow);
    slow.follow(ADD_MINT);
    let tab = visit.tab("/sign-in");
    slow.evaluate("answer = fetch('/api/counter?hold=1000', { method: 'POST' }); 1");
    sign_in(&tab, "Ann");
    let status = slow.evaluate("answer.then((answer) => answer.status)");
    assert!(status == 200 || status == 409, "{status}");
    for tab in [slow, tab] {
        tab.open(&visit.page("/account"));
        shows(&tab, "Hello, Ann");
    }
    visit.end();
}

#[test]
fn the_account_page_asks_strangers_to_sign_in() {
    let visit = Visit::new();
    let tab = visit.tab("/account");
    is_at(&tab, "/sign-in");
    visit.end();
}
