//! Walks through logouts that the provider tells, and attacks on them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use session_tower::{Manager, store};

use crate::browser::{Answer, Browser};
use crate::down::Switched;
use crate::oidc::ResponseMode;
use crate::oidc_walks::{Site, signed_with_the_public_key, unsigned};
use crate::provider::{CLIENT, Key, now};

const EVENT: &str = "http://schemas.openid.net/event/backchannel-logout";

impl Site {
    /// Returns the claims of a logout of `who`, under another name than any before.
    fn claims(&self, who: Value) -> Value {
        let mut claims = json!({
            "iss": self.provider.base, "aud": CLIENT[0], "iat": now(), "exp": now() + 120,
            "jti": rand::random::<u64>().to_string(), "events": { EVENT: {} },
        });
        claims.as_object_mut().unwrap().extend(who.as_object().unwrap().clone());
        claims
    }

    /// Sends a logout token, as the provider's server does.
    fn log_out(&self, token: &str) -> Answer {
        let mut server = Browser::new(&self.base);
        let answer = server.post_from("none", "/back-channel-logout", &format!("logout_token={token}"));
        assert_eq!(answer.cache_control, "no-store");
        assert!(answer.set_cookie.is_empty());
        answer
    }

    /// Has the provider end the sessions of `who`.
    fn ends(&self, who: Value) {
        let token = self.provider.sign("logout+jwt", &self.claims(who));
        assert_eq!(self.log_out(&token).status, 200);
    }
}

fn is_signed_in(browser: &mut Browser) -> bool {
    browser.get("/account").status == 200
}

/// Signs Ann in twice and Bob once, each in a session of the provider of its own.
fn three_browsers(site: &Site) -> [Browser; 3] {
    [("ann", "s1"), ("ann", "s2"), ("bob", "s3")].map(|(user, sid)| {
        let mut browser = site.browser();
        site.sign_in(&mut browser, user, sid);
        browser
    })
}

#[test]
fn the_provider_ends_one_session_or_all_of_a_user() {
    let cases = [
        (json!({"sub": "ann", "sid": "s1"}), [false, true, true]),
        (json!({"sid": "s1"}), [false, true, true]),
        (json!({"sub": "ann"}), [false, false, true]),
        // What does not fit together ends nothing.
        (json!({"sub": "bob", "sid": "s1"}), [true, true, true]),
        (json!({"sub": "eve"}), [true, true, true]),
    ];
    for mode in [ResponseMode::Query, ResponseMode::FormPost] {
        let site = Site::new(mode);
        for (who, expected) in &cases {
            let mut browsers = three_browsers(&site);
            site.ends(who.clone());
            assert_eq!(browsers.each_mut().map(is_signed_in), *expected, "{who}");
        }
    }
}

#[test]
fn a_session_has_the_name_of_its_last_sign_in() {
    let site = Site::new(ResponseMode::Query);
    let mut ann = site.browser();
    site.sign_in(&mut ann, "ann", "s1");
    site.sign_in(&mut ann, "ann", "s2");
    site.ends(json!({"sid": "s1"}));
    assert!(is_signed_in(&mut ann));
    site.provider.next_token(|mut claims, key| {
        claims.as_object_mut().unwrap().remove("sid");
        key.token("JWT", &claims)
    });
    site.sign_in(&mut ann, "ann", "none");
    site.ends(json!({"sid": "s2"}));
    assert!(is_signed_in(&mut ann));
    site.ends(json!({"sub": "ann"}));
    assert!(!is_signed_in(&mut ann));
}

#[test]
fn a_logout_token_that_does_not_hold_ends_no_session() {
    let site = Site::new(ResponseMode::Query);
    let mut browsers = three_browsers(&site);
    let claims = || site.claims(json!({"sub": "ann", "sid": "s1"}));
    let signed = |claims: &Value| site.provider.sign("logout+jwt", claims);
    let with = |name: &str, value: Value| {
        let mut claims = claims();
        claims[name] = value;
        signed(&claims)
    };
    let without = |names: &[&str]| {
        let mut claims = claims();
        names.iter().for_each(|name| drop(claims.as_object_mut().unwrap().remove(*name)));
        signed(&claims)
    };
    let key = Key::p256("first");
    let cases = [
        (key.token("logout+jwt", &claims()), "is not of the provider"),
        (Key::p256("made up").token("logout+jwt", &claims()), "has no key of that name"),
        (unsigned(&claims()), "is not signed"),
        (signed_with_the_public_key(claims(), &key), "algorithm is not that of the key"),
        (String::new(), "is not signed"),
        (site.provider.sign("JWT", &claims()), "is of another type"),
        (site.provider.sign("at+jwt", &claims()), "is of another type"),
        (with("iss", json!("https://evil.example")), "is of another issuer"),
        (without(&["iss"]), "lacks a claim"),
        (with("aud", json!("another application")), "is for another application"),
        (with("aud", json!([CLIENT[0], "another"])), "is for other applications, too"),
        (without(&["aud"]), "lacks a claim"),
        (with("iat", json!(now() - 300)), "was not made just now"),
        (with("iat", json!(now() + 300)), "was not made just now"),
        (with("iat", json!(u64::MAX)), "was not made just now"),
        (without(&["iat"]), "lacks a claim"),
        (with("exp", json!(now() - 60)), "has expired"),
        (without(&["exp"]), "lacks a claim"),
        (with("events", json!({"http://schemas.openid.net/event/other": {}})), "is about another event"),
        (with("events", json!({ EVENT: true })), "is about another event"),
        (with("events", json!([EVENT])), "lacks a claim"),
        (without(&["events"]), "is about another event"),
        (with("nonce", json!("of a sign-in")), "with a nonce"),
        (with("nonce", Value::Null), "with a nonce"),
        (without(&["sub", "sid"]), "names neither user nor session"),
        (without(&["jti"]), "lacks a claim"),
    ];
    for (token, why) in cases {
        let answer = site.log_out(&token);
        assert!(answer.status == 400 && answer.body.contains(why), "{why}: {answer:?}");
        assert_eq!(browsers.each_mut().map(is_signed_in), [true; 3], "{why}");
    }
    let mut server = Browser::new(&site.base);
    assert_eq!(server.post("/back-channel-logout", "").status, 400, "without a token");
    site.ends(json!({"sub": "ann", "sid": "s1"}));
    assert_eq!(browsers.each_mut().map(is_signed_in), [false, true, true]);
}

#[test]
fn an_id_token_ends_no_session() {
    let site = Site::new(ResponseMode::Query);
    let (seen, token) = std::sync::mpsc::channel();
    let mut ann = site.browser();
    site.provider.next_token(move |claims, key| {
        let token = key.token("JWT", &claims);
        seen.send(token.clone()).unwrap();
        token
    });
    site.sign_in(&mut ann, "ann", "s1");
    assert_eq!(site.log_out(&token.recv().unwrap()).status, 400);
    assert!(is_signed_in(&mut ann));
}

#[test]
fn a_logout_token_is_taken_once() {
    let site = Site::new(ResponseMode::Query);
    let mut ann = site.browser();
    site.sign_in(&mut ann, "ann", "s1");
    let token = site.provider.sign("logout+jwt", &site.claims(json!({"sub": "ann"})));
    assert_eq!(site.log_out(&token).status, 200);
    assert!(!is_signed_in(&mut ann));
    site.sign_in(&mut ann, "ann", "s2");
    let again = site.log_out(&token);
    assert!(again.status == 400 && again.body.contains("was used before"), "{again:?}");
    assert!(is_signed_in(&mut ann));
}

#[test]
fn a_logout_that_the_store_could_not_carry_out_can_be_sent_again() {
    let down = Arc::new(AtomicBool::new(false));
    let switch = down.clone();
    let site = Site::over(ResponseMode::Query, async move || {
        Manager::new(Switched { store: store::connect("memory:").await.unwrap(), down: switch })
    });
    let mut ann = site.browser();
    site.sign_in(&mut ann, "ann", "s1");
    let token = site.provider.sign("logout+jwt", &site.claims(json!({"sub": "ann", "sid": "s1"})));
    down.store(true, Ordering::Relaxed);
    assert_eq!(site.log_out(&token).status, 400);
    down.store(false, Ordering::Relaxed);
    assert!(is_signed_in(&mut ann));
    assert_eq!(site.log_out(&token).status, 200);
    assert!(!is_signed_in(&mut ann));
}
