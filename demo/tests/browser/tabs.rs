//! Several tabs, and several browsers.

use crate::rig::{ACCOUNT, ADD_MINT, SHOP, SIGN_OUT, Visit, allow_scripts, hides, is_at, shows, sign_in};

#[test]
fn clicks_in_two_tabs_are_all_counted() {
    let visit = Visit::new();
    let (one, other) = (visit.tab("/"), visit.tab("/"));
    // The first click makes the session.
    one.follow(ADD_MINT);
    other.reload();
    for _ in 0..5 {
        one.click(ADD_MINT);
        other.click(ADD_MINT);
        one.arrived();
        other.arrived();
    }
    one.open(&visit.page("/cart"));
    shows(&one, "€ 70.40");

    // Ordered in both tabs at once, the cart is ordered once. The messages wait for the next page, because both tabs could show them.
    for tab in [&one, &other] {
        allow_scripts(tab);
    }
    for tab in [&one, &other] {
        tab.evaluate("order = fetch('/cart/check-out', { method: 'POST', redirect: 'manual' }); 1");
    }
    for tab in [&one, &other] {
        tab.evaluate("order.then(() => 1)");
    }
    one.open(&visit.page("/"));
    assert_eq!(one.text().matches("Your order of € 70.40 is on its way").count(), 1, "{}", one.text());
    visit.end();
}

#[test]
fn signing_out_in_one_tab_signs_out_the_other() {
    let visit = Visit::new();
    let one = visit.signed_in("Ann");
    let other = visit.tab("/account");
    shows(&other, "Hello, Ann");
    one.follow(SIGN_OUT);
    shows(&one, "You are signed out.");
    // A form of the page from before does nothing any more.
    other.follow(SIGN_OUT);
    other.follow(SHOP);
    hides(&other, "Ann");
    other.open(&visit.page("/account"));
    is_at(&other, "/sign-in");
    visit.end();
}

#[test]
fn signing_out_everywhere_else_ends_the_other_browsers_only() {
    let visit = Visit::new();
    let here = visit.signed_in("Ann");
    let elsewhere = visit.chromium.tab_elsewhere();
    elsewhere.open(&visit.page("/sign-in"));
    sign_in(&elsewhere, "Ann");
    elsewhere.follow(ACCOUNT);

    here.reload();
    assert_eq!(here.text().matches("Chrome on Linux").count(), 2, "{}", here.text());
    here.follow("form[action='/account/end-others'] button");
    shows(&here, "One other session is signed out.");

    elsewhere.reload();
    is_at(&elsewhere, "/sign-in");
    sign_in(&elsewhere, "Ann");
    here.reload();
    shows(&here, "Hello, Ann");
    visit.end();
}
