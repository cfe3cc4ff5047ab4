//! Redirects, reloads and the back button.

use chromium::Arrival;

use crate::rig::{ACCOUNT, ADD_MINT, CART, SHOP, SIGN_OUT, Visit, hides, is_at, shows, sign_in};

const MESSAGE: &str = "Garden Mint is in your cart.";

#[test]
fn a_message_crosses_a_redirect_and_is_shown_once() {
    let visit = Visit::new();
    let tab = visit.tab("/");
    tab.follow(ADD_MINT);
    shows(&tab, MESSAGE);
    assert!(tab.url().ends_with("/#mint"), "{}", tab.url());
    // A reload neither sends the form again nor shows the message again.
    tab.reload();
    hides(&tab, MESSAGE);
    tab.follow(CART);
    hides(&tab, MESSAGE);
    shows(&tab, "€ 6.40");
    visit.end();
}

#[test]
fn the_back_button_shows_no_page_of_a_user_who_has_signed_out() {
    let visit = Visit::new();
    let tab = visit.signed_in("Ann");
    shows(&tab, "Hello, Ann");
    tab.follow(SIGN_OUT);
    shows(&tab, "You are signed out.");
    assert_eq!(tab.back(), Arrival::Loaded);
    is_at(&tab, "/sign-in");
    hides(&tab, "Ann");
    visit.end();
}

#[test]
fn the_back_button_shows_no_page_of_a_user_who_has_signed_out_in_another_tab() {
    let visit = Visit::new();
    let tab = visit.signed_in("Ann");
    tab.follow(SHOP);
    shows(&tab, "Ann");
    let other = visit.tab("/account");
    other.follow(SIGN_OUT);
    assert_eq!(tab.back(), Arrival::Loaded);
    is_at(&tab, "/sign-in");
    visit.end();
}

#[test]
fn the_back_button_shows_no_page_of_the_user_before() {
    let visit = Visit::new();
    let tab = visit.signed_in("Ann");
    let other = visit.tab("/account");
    other.follow(SIGN_OUT);
    other.open(&visit.page("/sign-in"));
    sign_in(&other, "Bob");
    tab.follow(SHOP);
    shows(&tab, "Bob");
    tab.back();
    shows(&tab, "Hello, Bob");
    visit.end();
}

#[test]
fn a_page_kept_from_before_a_sign_out_elsewhere_can_do_nothing() {
    let visit = Visit::new();
    let tab = visit.signed_in("Ann");
    let elsewhere = visit.chromium.tab_elsewhere();
    elsewhere.open(&visit.page("/sign-in"));
    sign_in(&elsewhere, "Ann");
    elsewhere.follow(ACCOUNT);
    elsewhere.follow("form[action='/account/end-others'] button");
    tab.follow(SHOP);
    hides(&tab, "Ann");
    // Browsers may keep the page of before for a while and show it without a request, as if the tab had never left it.
    tab.back();
    if tab.has(SIGN_OUT) {
        tab.follow(SIGN_OUT);
        tab.open(&visit.page("/account"));
    }
    is_at(&tab, "/sign-in");
    elsewhere.reload();
    shows(&elsewhere, "Hello, Ann");
    visit.end();
}
