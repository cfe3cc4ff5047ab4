//! Pages of other sites.

use crate::rig::{Visit, hides, shows};

/// Address of a page of another site, which has no host.
fn page_elsewhere(html: &str) -> String {
    format!("data:text/html,{html}")
}

#[test]
fn a_link_from_another_site_arrives_signed_in() {
    let visit = Visit::new();
    let tab = visit.signed_in("Ann");
    tab.open(&page_elsewhere(&format!("<a href='{}'>tea</a>", visit.page("/account"))));
    tab.follow("a");
    shows(&tab, "Hello, Ann");
    visit.end();
}

#[test]
fn a_form_of_another_site_signs_out_no_user() {
    let visit = Visit::new();
    let tab = visit.signed_in("Ann");
    let form = format!("<form method='post' action='{}'><button>x</button></form>", visit.page("/sign-out"));
    tab.open(&page_elsewhere(&form));
    tab.follow("button");
    shows(&tab, "This came from another site's page.");
    hides(&tab, "Ann");
    tab.open(&visit.page("/account"));
    shows(&tab, "Hello, Ann");
    visit.end();
}
