//! Lifetimes of cookies that carry an id.

use pollster::block_on;
use session_core::{Opened, minutes};
use session_http::CookieOptions;

use crate::rig::{Rig, pair};

#[test]
fn a_persistent_cookie_lives_to_the_absolute_time_out_and_no_read_sends_it_again() {
    let rig = Rig::new(CookieOptions::new().persistent());
    let first = rig.request("", |session| session.insert("n", &1).unwrap());
    assert!(first.set_cookie[0].as_str().ends_with("; Max-Age=86400"));
    let cookie = pair(&first);
    for _ in 0..28 {
        rig.clock.advance(minutes(50));
        let read = rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
        assert!(read.set_cookie.is_empty());
        let written = rig.request(&cookie, |session| session.insert("n", &2).unwrap());
        assert!(written.set_cookie.is_empty());
    }

    // A new absolute time-out sends the cookie again, with the remaining lifetime.
    let until = minutes(28 * 50 + 10);
    let other = rig.request(&cookie, |session| session.set_absolute(Some(until)).unwrap());
    assert!(other.set_cookie[0].as_str().ends_with("; Max-Age=600"), "{other:?}");
    assert_eq!(pair(&other), cookie);
}

#[test]
fn an_explicit_save_is_no_reason_to_send_the_id_after_a_login_elsewhere() {
    // Both cases send the id again, so the close asks the store whether the id is still valid.
    let short = || CookieOptions::new().max_age(minutes(10));
    for is_short in [true, false] {
        let rig = Rig::new(if is_short { short() } else { CookieOptions::new() });
        let cookie = rig.stored();
        let (page, signed_in) = block_on(async {
            let (page, session) = rig.open(&cookie).await;
            if is_short {
                session.insert("n", &2).unwrap();
            } else {
                session.set_persistent(true).unwrap();
            }
            let _explicit = session.save().await.unwrap();
            let signed_in = rig.request(&cookie, |session| session.login("ann").unwrap());
            (page.commit().await, signed_in)
        });
        assert_eq!(signed_in.set_cookie.len(), 1);
        assert!(page.set_cookie.is_empty(), "{:?} would go over the login's", page.set_cookie);
    }
}

#[test]
fn a_cookie_that_an_explicit_save_made_persistent_is_sent_with_the_response() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.stored();
    let page = block_on(async {
        let (page, session) = rig.open(&cookie).await;
        session.set_persistent(true).unwrap();
        let _explicit = session.save().await.unwrap();
        // Another request saves meanwhile, but the session keeps its id.
        rig.request(&cookie, |session| session.insert("n", &3).unwrap());
        page.commit().await
    });
    assert!(page.set_cookie[0].as_str().ends_with("; Max-Age=86400"), "{page:?}");
}

#[test]
fn a_session_asks_to_be_remembered() {
    let rig = Rig::new(CookieOptions::new());
    let committed = rig.request("", |session| {
        session.login("ann").unwrap();
        session.set_persistent(true).unwrap();
    });
    assert!(committed.set_cookie[0].as_str().ends_with("; Max-Age=86400"));
}

#[test]
fn max_age_and_the_records_expiry_are_one_setting() {
    let rig = Rig::new(CookieOptions::new().max_age(minutes(10)));
    let first = rig.request("", |session| session.insert("n", &1).unwrap());
    assert!(first.set_cookie[0].as_str().ends_with("; Max-Age=600"));
    let cookie = pair(&first);
    for _ in 0..3 {
        rig.clock.advance(minutes(9));
        let read = rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Resumed));
        assert!(read.set_cookie[0].as_str().ends_with("; Max-Age=600"), "who is active stays");
    }
    rig.clock.advance(minutes(10));
    rig.request(&cookie, |session| assert_eq!(session.opened(), Opened::Unknown));
}
