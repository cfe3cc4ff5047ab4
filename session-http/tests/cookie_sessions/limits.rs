//! Limits of a cookie session: its length, and what no cookie can promise.

use pollster::block_on;
use session_core::{ErrorKind, Manager, Principal};
use session_http::{CookieOptions, CookieStore, SessionSet};

use crate::rig::{Rig, pair, ring};

/// Finds the longest value that still fits into the cookie's `limit` in bytes, by bisection.
fn longest(rig: &Rig, limit: usize) -> usize {
    let fits = |n: usize| {
        let committed = rig.request("", |session| session.insert("n", &"x".repeat(n)).unwrap());
        match committed.error {
            None => {
                assert!(committed.set_cookie[0].as_str().len() <= limit);
                true
            }
            Some(error) => {
                assert_eq!(error.kind(), ErrorKind::TooLarge);
                assert!(committed.set_cookie.is_empty());
                false
            }
        }
    };
    let (mut longest, mut too_long) = (2_000, 4_000);
    while too_long - longest > 1 {
        let middle = usize::midpoint(longest, too_long);
        *(if fits(middle) { &mut longest } else { &mut too_long }) = middle;
    }
    assert!(fits(longest) && !fits(too_long));
    let committed = rig.request("", |session| session.insert("n", &"x".repeat(longest)).unwrap());
    // Base64 has 4 characters for 3 bytes, so one more byte adds one or two characters.
    assert!((limit - 1..=limit).contains(&committed.set_cookie[0].as_str().len()));
    longest
}

#[test]
fn name_and_attributes_count_for_the_4096_bytes() {
    let longest = |options: CookieOptions| longest(&Rig::new(options.max_len(4096)), 4096);
    let usual = longest(CookieOptions::new());
    let long_name = longest(CookieOptions::new().name("a".repeat(9 + 400)));
    let path = longest(CookieOptions::new().name("__Secure-a").path(format!("/{}", "p".repeat(399))));
    assert!((299..=301).contains(&(usual - long_name)), "{usual} {long_name}");
    assert!((299..=301).contains(&(usual - path)), "{usual} {path}");
    assert!(usual > 2_800);
}

#[test]
fn a_cookie_leaves_room_for_other_headers_of_a_proxy_unless_it_is_told_otherwise() {
    let usual = longest(&Rig::new(CookieOptions::new()), 3584);
    assert!(usual > 2_400, "{usual}");
}

#[test]
fn an_explicit_save_hears_that_it_is_too_large() {
    let rig = Rig::new(CookieOptions::new());
    block_on(async {
        let (exchange, session) = rig.open("").await;
        session.insert("n", &"x".repeat(4_000)).unwrap();
        assert_eq!(session.save().await.unwrap_err().kind(), ErrorKind::TooLarge);
        session.insert("n", &1).unwrap();
        let _ = session.save().await.unwrap();
        pair(&exchange.commit().await);
    });
}

#[test]
fn too_large_a_session_leaves_the_cookie_before_it() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.begun();
    let committed = rig.request(&cookie, |session| session.insert("n", &"x".repeat(4_000)).unwrap());
    assert_eq!(committed.error.unwrap().kind(), ErrorKind::TooLarge);
    assert!(committed.set_cookie.is_empty());
    rig.request(&cookie, |session| assert_eq!(session.get("n").unwrap(), Some(1)));
}

#[test]
fn nothing_is_written_after_the_head() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = rig.begun();
    block_on(async {
        let (exchange, session) = rig.open(&cookie).await;
        let _ = exchange.commit().await;
        for refused in [session.insert("n", &2), session.clear(), session.flash("f", &1), session.rotate()] {
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::Closed);
        }
        assert_eq!(session.get("n").unwrap(), Some(1), "reading goes on");
        let late = rig.set.begin();
        let _ = late.commit().await;
        let session = late.open_first([cookie.as_bytes()]).await.unwrap();
        assert_eq!(session.insert("n", &2).unwrap_err().kind(), ErrorKind::Closed);
    });
}

#[test]
fn what_a_cookie_store_cannot_promise_is_unsupported() {
    let rig = Rig::new(CookieOptions::new());
    let cookie = pair(&rig.request("", |session| session.login("ann").unwrap()));
    let ann = Principal::new("ann").unwrap();
    let manager = rig.set.manager("id").unwrap().clone();
    block_on(async {
        let (exchange, session) = rig.open(&cookie).await;
        let handle = session.handle().unwrap();
        let unsupported = |kind: ErrorKind| assert_eq!(kind, ErrorKind::Unsupported);
        unsupported(session.sessions().await.unwrap_err().kind());
        unsupported(session.revoke_others().await.unwrap_err().kind());
        unsupported(manager.sessions_of(&ann, None).await.unwrap_err().kind());
        unsupported(manager.revoke_all(&ann).await.unwrap_err().kind());
        unsupported(manager.revoke(&ann, &handle).await.unwrap_err().kind());
        unsupported(manager.open(Some(&session_core::SessionId::random().encode())).await.unwrap_err().kind());
        assert!(exchange.commit().await.set_cookie.is_empty());
    });
}

#[test]
fn a_cookie_without_room_for_a_session_is_refused_at_the_start() {
    let set = |name: usize| {
        let manager = Manager::new(CookieStore::new(&ring(&[1])));
        SessionSet::new(manager, CookieOptions::new().name("a".repeat(name)))
    };
    assert!(set(3_000).is_ok());
    assert_eq!(set(3_800).unwrap_err().kind(), ErrorKind::Config);
}

#[test]
fn a_sealed_cookie_takes_no_signature() {
    let manager = Manager::new(CookieStore::new(&ring(&[1])));
    let error = SessionSet::new(manager, CookieOptions::new().signed(&ring(&[1]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
}
