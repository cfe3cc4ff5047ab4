//! Expiry in the cookie and `Max-Age`.

use std::time::Duration;

use session_core::{Opened, hours, minutes};
use session_http::CookieOptions;

use crate::rig::{Rig, max_age, pair};

#[test]
fn the_expiry_inside_is_what_max_age_says() {
    let rig = Rig::new(CookieOptions::new().persistent());
    let first = rig.request("", |session| session.insert("n", &1).unwrap());
    assert_eq!(max_age(&first), Some(3600));
    let cookie = pair(&first);
    rig.clock.advance(minutes(30));
    let touched = rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
    assert_eq!(max_age(&touched), Some(3600), "reading moves both");
    rig.clock.advance(minutes(30));
    assert_eq!(rig.opened(&cookie), Opened::Unknown, "the old one says that it has expired");
    let mut left = Duration::ZERO;
    rig.request(&pair(&touched), |session| left = session.expires_at().since(rig.set.manager("id").unwrap().now()));
    assert_eq!(left, minutes(30), "the new one lives");
}

#[test]
fn a_cookie_that_ends_with_the_browser_is_sent_again_when_its_expiry_moves() {
    let rig = Rig::new(CookieOptions::new());
    let mut cookie = rig.begun();
    for _ in 0..5 {
        rig.clock.advance(minutes(50));
        let committed = rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
        assert_eq!(max_age(&committed), None);
        cookie = pair(&committed);
    }
    rig.clock.advance(hours(24));
    assert_eq!(rig.opened(&cookie), Opened::Unknown);
}

#[test]
fn max_age_of_the_options_bounds_the_session_too() {
    let rig = Rig::new(CookieOptions::new().max_age(minutes(5)));
    let committed = rig.request("", |session| session.insert("n", &1).unwrap());
    assert_eq!(max_age(&committed), Some(300));
    let cookie = pair(&committed);
    rig.clock.advance(minutes(5));
    assert_eq!(rig.opened(&cookie), Opened::Unknown);
}
