//! Restarts of the browser.

use chromium::Chromium;

use crate::rig::{Visit, cookies, is_at, shows, sign_in};

/// Signs in, quits the browser, starts it again with the same profile, and opens the account page there.
fn after_a_restart(remember: bool, check: impl FnOnce(&chromium::Tab)) {
    let Visit { chromium, server, profile } = Visit::new();
    let tab = chromium.tab();
    tab.open(&format!("{}/sign-in", server.base));
    if remember {
        tab.click("[name=remember]");
    }
    sign_in(&tab, "Ann");
    assert_eq!(cookies(&tab)[0]["session"], !remember);
    chromium.close();

    let chromium = Chromium::start(profile.path(), &[]);
    let tab = chromium.tab();
    tab.open(&format!("{}/account", server.base));
    check(&tab);
    chromium.close();
    server.stop();
}

#[test]
fn remember_me_outlives_the_browser() {
    after_a_restart(true, |tab| shows(tab, "Hello, Ann"));
}

#[test]
fn without_remember_me_the_session_ends_with_the_browser() {
    after_a_restart(false, |tab| is_at(tab, "/sign-in"));
}
