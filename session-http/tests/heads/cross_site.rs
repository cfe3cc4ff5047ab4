//! Cross-site requests, whose cookie the browser may have withheld.

use pollster::block_on;
use session_core::{Opened, Session};
use session_http::{CookieOptions, SameSite};

use crate::rig::{Head, Rig, cleared, events, pair};

const CROSS: (&str, &str) = ("sec-fetch-site", "cross-site");

fn post() -> Head {
    Head::of("POST", &[CROSS, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")])
}

fn link() -> Head {
    Head::get(&[CROSS, ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")])
}

fn write(session: &Session) {
    session.insert("n", &1).unwrap();
}

#[test]
fn an_anonymous_session_replaces_no_cookie_that_the_browser_withheld() {
    for (same_site, head, is_issued) in [
        (SameSite::Lax, post(), false),
        (SameSite::Lax, link(), true),
        (SameSite::Lax, Head::get(&[CROSS]), false),
        (SameSite::Lax, Head::of("POST", &[("sec-fetch-site", "same-site")]), true),
        (SameSite::Lax, Head::of("POST", &[]), true),
        (SameSite::Strict, link(), false),
        (SameSite::Strict, post(), false),
        (SameSite::None, post(), true),
    ] {
        let rig = Rig::new(CookieOptions::new().same_site(same_site));
        let mut issued = false;
        let said = events(|| issued = !rig.request(head.clone(), write).set_cookie.is_empty());
        assert_eq!(issued, is_issued, "{same_site:?} {:?}", head.headers);
        assert_eq!(said.matches("cross-site").count(), usize::from(!is_issued), "{said}");
    }
}

#[test]
fn a_login_is_always_issued() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = pair(&rig.request(post(), |session| session.login("ann").unwrap()));
    rig.request(Head::get(&[]).cookies(&cookie), |session| assert_eq!(session.principal().unwrap().as_str(), "ann"));
}

#[test]
fn a_session_whose_cookie_came_is_stored() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored(write);
    rig.request(post().cookies(&cookie), |session| session.insert("n", &2).unwrap());
    rig.request(Head::get(&[]).cookies(&cookie), |session| assert_eq!(session.get("n").unwrap(), Some(2)));
}

#[test]
fn a_cross_site_request_that_only_reads_says_nothing() {
    let rig = Rig::new(CookieOptions::new());
    let said = events(|| assert!(rig.request(post(), |_| ()).set_cookie.is_empty()));
    assert!(!said.contains("cross-site"), "{said}");
}

#[test]
fn what_was_saved_by_hand_is_ended_and_sends_no_cookie() {
    let rig = Rig::new(CookieOptions::new());
    block_on(async {
        let (exchange, session) = rig.open(post()).await;
        write(&session);
        let saved = session.save().await.unwrap();
        let session_core::Commit::Issue(cookie) = saved else { panic!("{saved:?}") };
        let report = exchange.commit().await;
        assert!(report.error.is_none() && report.set_cookie.is_empty(), "{report:?}");
        let cookies = format!("__Host-id={}", cookie.value.as_str());
        rig.request(Head::get(&[]).cookies(&cookies), |session| assert_ne!(session.opened(), Opened::Resumed));
    });
}

#[test]
fn options_of_the_response_decide() {
    let rig = Rig::new(CookieOptions::new());
    block_on(async {
        let (exchange, session) = rig.open(post()).await;
        write(&session);
        exchange.set_cookie_options("id", |options| options.same_site(SameSite::None)).unwrap();
        let report = exchange.commit().await;
        assert_eq!((report.set_cookie.len(), cleared(&report).len()), (1, 0));
    });
}
