//! Sessions that live longer than the 400 days for which browsers keep a cookie (RFC 6265bis, 5.5).

use std::time::Duration;

use session_core::{Opened, Session, days, hours};
use session_http::CookieOptions;

use crate::rig::{Head, Rig, pair};

const LONGEST: &str = "; Max-Age=34560000";

fn for_years(session: &Session) {
    session.login("ann").unwrap();
    session.set_absolute(Some(days(2_000))).unwrap();
    session.set_idle(Some(days(1_000))).unwrap();
}

fn remembered(session: &Session) {
    for_years(session);
    session.set_persistent(true).unwrap();
}

#[test]
fn a_daily_visitor_stays_signed_in_beyond_400_days() {
    for (options, fill) in
        [(CookieOptions::new(), remembered as fn(&Session)), (CookieOptions::new().persistent(), for_years)]
    {
        let rig = Rig::new(options);
        let first = rig.request(Head::get(&[]), fill);
        let cookie = pair(&first);
        assert!(first.set_cookie[0].as_str().ends_with(LONGEST), "{first:?}");
        // A browser that drops the cookie 400 days after it was last set.
        let mut kept_until = 400;
        for day in 1..1_000 {
            rig.clock.advance(days(1));
            assert!(day < kept_until, "the browser has dropped the cookie on day {day}");
            let report = rig.request(Head::get(&[]).cookies(&cookie), |session| {
                assert_eq!(session.opened(), Opened::Resumed, "on day {day}");
            });
            if let Some(line) = report.set_cookie.first() {
                assert!(line.as_str().ends_with(LONGEST));
                kept_until = day + 400;
            }
        }
    }
}

#[test]
fn the_session_ends_when_the_browser_drops_the_cookie() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = pair(&rig.request(Head::get(&[]), remembered));
    rig.clock.advance(days(399));
    let mut left = Duration::ZERO;
    let now = rig.set.manager("id").unwrap().now();
    rig.request(Head::of("HEAD", &[]).cookies(&cookie), |session| left = session.expires_at().since(now));
    assert_eq!(left, days(1), "not 1,000 days after the last use");
    rig.clock.advance(days(1));
    rig.request(Head::get(&[]).cookies(&cookie), |session| assert_eq!(session.opened(), Opened::Unknown));
}

#[test]
fn a_session_that_ends_with_the_browser_keeps_its_time_outs() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = pair(&rig.request(Head::get(&[]), for_years));
    rig.clock.advance(days(999));
    let report = rig.request(Head::get(&[]).cookies(&cookie), |session| assert_eq!(session.opened(), Opened::Resumed));
    assert!(report.set_cookie.is_empty());
}

#[test]
fn within_400_days_no_read_sends_the_cookie_again() {
    let rig = Rig::new(CookieOptions::new().persistent());
    let cookie = pair(&rig.request(Head::get(&[]), |session| {
        session.login("ann").unwrap();
        session.set_absolute(Some(days(400))).unwrap();
        session.set_idle(Some(days(100))).unwrap();
    }));
    for _ in 0..10 {
        rig.clock.advance(days(30) + hours(1));
        let report =
            rig.request(Head::get(&[]).cookies(&cookie), |session| assert_eq!(session.opened(), Opened::Resumed));
        assert!(report.set_cookie.is_empty());
    }
}
