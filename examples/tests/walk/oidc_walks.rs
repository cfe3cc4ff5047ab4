//! Walks through sign-ins by OpenID Connect, and attacks on them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use session_tower::{KeyRing, Manager, store};

use crate::browser::{Answer, Browser, serve_at};
use crate::oidc::{ResponseMode, Settings};
use crate::provider::{self, CLIENT, Key, MakeToken, Provider};

/// Application, and the provider that its users sign in at.
pub(crate) struct Site {
    pub(crate) provider: Provider,
    pub(crate) base: String,
    mode: ResponseMode,
}

impl Site {
    pub(crate) fn new(mode: ResponseMode) -> Self {
        Self::over(mode, async || Manager::new(store::connect("memory:").await.unwrap()))
    }

    pub(crate) fn over(mode: ResponseMode, manager: impl AsyncFnOnce() -> Manager + Send + 'static) -> Self {
        let provider = Provider::start();
        let issuer = provider.base.clone();
        let base = serve_at(async move |site| {
            let keys = KeyRing::ephemeral();
            crate::oidc::app(settings(issuer, site, mode), &keys, manager().await).await.unwrap()
        });
        Self { provider, base, mode }
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(&self.base)
    }

    /// Begins a sign-in, and returns the address at the provider.
    fn begin(&self, browser: &mut Browser) -> String {
        let begun = browser.post("/sign-in?next=/account", "");
        assert_eq!(begun.status, 303, "{begun:?}");
        begun.location.unwrap()
    }

    /// Returns the provider's answer to a sign-in that begins, before the browser has brought it.
    fn answer(&self, browser: &mut Browser, user: &str, sid: &str) -> [String; 2] {
        let address = self.begin(browser);
        self.provider.answer(&address, user, sid)
    }

    /// Brings an answer of the provider to the application.
    fn bring(&self, browser: &mut Browser, [path, fields]: &[String; 2]) -> Answer {
        match self.mode {
            ResponseMode::Query => browser.get(&format!("{path}?{fields}")),
            ResponseMode::FormPost => browser.post_from("cross-site", path, fields),
        }
    }

    pub(crate) fn sign_in(&self, browser: &mut Browser, user: &str, sid: &str) {
        let answer = self.answer(browser, user, sid);
        let mut arrived = self.bring(browser, &answer);
        if self.mode == ResponseMode::FormPost {
            arrived.leads_to("/signed-in");
            arrived = browser.get("/signed-in");
        }
        arrived.leads_to("/account");
        browser.get("/account").shows(&format!("Account of {user}"));
    }
}

fn settings(issuer: String, site: String, response_mode: ResponseMode) -> Settings {
    let [client_id, client_secret] = CLIENT.map(str::to_owned);
    Settings { issuer, client_id, client_secret, site, response_mode }
}

impl Answer {
    /// Checks that this refuses a sign-in for the reason.
    #[track_caller]
    fn refuses(&self, why: &str) {
        assert!(self.status == 400 && self.body.contains(why), "{why}: {self:?}");
    }
}

const MODES: [ResponseMode; 2] = [ResponseMode::Query, ResponseMode::FormPost];

#[test]
fn a_user_signs_in_at_the_provider_and_the_guests_values_stay() {
    for mode in MODES {
        let site = Site::new(mode);
        let mut ann = site.browser();
        ann.get("/").shows("Visit number 1");
        let guest = ann.id().to_owned();
        ann.get("/account").leads_to("/sign-in?next=/account");
        site.sign_in(&mut ann, "ann", "s1");
        assert_ne!(ann.id(), guest, "a login makes a new id");
        ann.get("/").shows("Visit number 2");
        assert_eq!(ann.cookies.keys().collect::<Vec<_>>(), ["__Host-id"], "nothing is left of the attempt");
    }
}

#[test]
fn a_sign_in_has_a_short_lived_cookie_of_its_own() {
    for (mode, same_site) in MODES.into_iter().zip(["Lax", "None"]) {
        let site = Site::new(mode);
        let mut ann = site.browser();
        ann.get("/");
        let begun = ann.post("/sign-in", "");
        let [cookie] = &begun.set_cookie[..] else { panic!("{begun:?}") };
        assert!(cookie.starts_with("__Host-sign-in="), "{cookie}");
        assert!(cookie.ends_with(&format!("; HttpOnly; SameSite={same_site}; Secure; Path=/")), "{cookie}");
        // What the address says does not tell the secrets of the cookie.
        let address = url::Url::parse(&begun.location.unwrap()).unwrap();
        let named = |wanted: &str| address.query_pairs().find(|(name, _)| name == wanted).unwrap().1.into_owned();
        assert!(!cookie.contains(&named("state")) && named("state") != named("nonce"));
        assert_eq!(named("redirect_uri"), format!("{}/callback", site.base));
    }
}

#[test]
fn forms_of_other_sites_reach_the_callback_and_nothing_else() {
    for (mode, callback) in MODES.into_iter().zip([403, 400]) {
        let site = Site::new(mode);
        let mut ann = site.browser();
        site.sign_in(&mut ann, "ann", "s1");
        for path in ["/", "/sign-in", "/sign-out", "/account", "/signed-in", "/callback/", "//callback", "/Callback"] {
            assert_eq!(ann.post_from("cross-site", path, "").status, 403, "{path}");
        }
        assert_eq!(ann.post_from("cross-site", "/callback", "").status, callback);
        ann.get("/account").shows("ann");
    }
}

#[test]
fn the_answer_to_another_browsers_sign_in_is_refused() {
    for mode in MODES {
        let site = Site::new(mode);
        let (mut ann, mut mallory) = (site.browser(), site.browser());
        // Mallory wants Ann to be signed in as Mallory, without her noticing.
        let planted = site.answer(&mut mallory, "mallory", "s1");
        site.bring(&mut ann, &planted).refuses("has begun no sign-in");
        let own = site.answer(&mut ann, "ann", "s2");
        site.bring(&mut ann, &planted).refuses("is for another sign-in");
        let [path, fields] = &own;
        let without_state =
            fields.split('&').filter(|field| !field.starts_with("state=")).collect::<Vec<_>>().join("&");
        site.bring(&mut ann, &[path.clone(), without_state]).refuses("is for another sign-in");
        assert_eq!(site.provider.inner().codes_asked, 0, "the provider is not even asked");
        // Her own sign-in goes on.
        let arrived = site.bring(&mut ann, &own).location.unwrap();
        assert_eq!(arrived, if mode == ResponseMode::Query { "/account" } else { "/signed-in" });
    }
}

#[test]
fn a_code_of_another_sign_in_is_of_no_use() {
    for mode in MODES {
        let site = Site::new(mode);
        let (mut ann, mut mallory) = (site.browser(), site.browser());
        // Mallory has seen Ann's answer, and brings her code with a state of Mallory's own.
        let [_, of_ann] = site.answer(&mut ann, "ann", "s1");
        let [path, of_mallory] = site.answer(&mut mallory, "mallory", "s2");
        let named =
            |fields: &str, name: &str| fields.split('&').find(|field| field.starts_with(name)).unwrap().to_owned();
        let mixed = format!("{}&{}", named(&of_ann, "code="), named(&of_mallory, "state="));
        site.bring(&mut mallory, &[path, mixed]).refuses("does not accept the code");
    }
}

#[test]
fn an_answer_is_taken_once() {
    for mode in MODES {
        let site = Site::new(mode);
        let mut ann = site.browser();
        let answer = site.answer(&mut ann, "ann", "s1");
        let mut copy = ann.clone();
        site.bring(&mut ann, &answer);
        if mode == ResponseMode::FormPost {
            ann.get("/signed-in").leads_to("/account");
            ann.get("/signed-in").refuses("has begun no sign-in");
        }
        site.bring(&mut ann, &answer).refuses("has begun no sign-in");
        assert_eq!(site.provider.inner().codes_asked, 1, "the code is not sent again");
        // The cookie holds the attempt, so a copy of the browser tries again, and the provider knows that the code was used.
        site.bring(&mut copy, &answer).refuses("does not accept the code");
        assert_eq!(site.provider.inner().codes_asked, 2);
        // One answer ends an attempt, also one that is refused.
        site.bring(&mut copy, &answer).refuses("has begun no sign-in");
    }
}

#[test]
fn a_user_may_refuse() {
    for mode in MODES {
        let site = Site::new(mode);
        let mut ann = site.browser();
        let answer = site.answer(&mut ann, "", "");
        site.bring(&mut ann, &answer).refuses("the provider has refused");
        site.bring(&mut ann, &answer).refuses("has begun no sign-in");
        ann.get("/account").leads_to("/sign-in?next=/account");
    }
}

#[test]
fn an_id_token_that_does_not_hold_signs_no_one_in() {
    let site = Site::new(ResponseMode::Query);
    let changed = |change: fn(&mut Value)| {
        Box::new(move |mut claims: Value, key: &Key| {
            change(&mut claims);
            key.token("JWT", &claims)
        }) as MakeToken
    };
    let under = |header: Value| {
        Box::new(move |claims: Value, key: &Key| provider::token(&header, &claims, |message| key.sign(message)))
            as MakeToken
    };
    let cases = [
        (changed(|claims| claims["nonce"] = json!("of another sign-in")), "is for another sign-in"),
        (changed(|claims| drop(claims.as_object_mut().unwrap().remove("nonce"))), "is for another sign-in"),
        (changed(|claims| claims["iss"] = json!("https://evil.example")), "is of another issuer"),
        (changed(|claims| drop(claims.as_object_mut().unwrap().remove("iss"))), "lacks a claim"),
        (changed(|claims| claims["aud"] = json!("another application")), "is for another application"),
        (changed(|claims| claims["aud"] = json!([CLIENT[0], "another"])), "is for other applications, too"),
        (changed(|claims| drop(claims.as_object_mut().unwrap().remove("aud"))), "lacks a claim"),
        (changed(|claims| claims["exp"] = json!(provider::now() - 60)), "has expired"),
        (changed(|claims| drop(claims.as_object_mut().unwrap().remove("exp"))), "lacks a claim"),
        (changed(|claims| drop(claims.as_object_mut().unwrap().remove("sub"))), "lacks a claim"),
        (Box::new(|claims, _| Key::p256("first").token("JWT", &claims)), "is not of the provider"),
        (Box::new(|claims, _| Key::p256("made up").token("JWT", &claims)), "has no key of that name"),
        (under(json!({"alg": "ES256"})), "does not name its key"),
        (under(json!({"alg": "ES256", "kid": "for encryption"})), "has no key of that name"),
        (under(json!({"alg": "ES256", "kid": "later"})), "the key is of an unknown kind"),
        (under(json!({"alg": "RS256", "kid": "first"})), "algorithm is not that of the key"),
        (Box::new(changed_after_signing), "is not of the provider"),
        (Box::new(|claims, _| unsigned(&claims)), "is not signed"),
        (Box::new(signed_with_the_public_key), "algorithm is not that of the key"),
        (Box::new(|_, _| "no token".to_owned()), "is not signed"),
    ];
    for (make, why) in cases {
        let mut ann = site.browser();
        let answer = site.answer(&mut ann, "ann", "s1");
        site.provider.next_token(make);
        site.bring(&mut ann, &answer).refuses(why);
        ann.get("/account").leads_to("/sign-in?next=/account");
    }
}

/// Replaces the claims, and keeps the signature.
fn changed_after_signing(mut claims: Value, key: &Key) -> String {
    let signed = key.token("JWT", &claims);
    claims["sub"] = json!("admin");
    let [header, _, signature] = signed.split('.').collect::<Vec<_>>()[..] else { unreachable!() };
    [header, &URL_SAFE_NO_PAD.encode(claims.to_string()), signature].join(".")
}

pub(crate) fn unsigned(claims: &Value) -> String {
    provider::token(&json!({"typ": "JWT", "alg": "none", "kid": "first"}), claims, |_| Vec::new())
}

/// Signs with HMAC, whose key is then no secret.
pub(crate) fn signed_with_the_public_key(claims: Value, key: &Key) -> String {
    let header = json!({"typ": "JWT", "alg": "HS256", "kid": key.name});
    let hmac = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, key.public());
    provider::token(&header, &claims, |message| ring::hmac::sign(&hmac, message).as_ref().to_vec())
}

#[test]
fn new_keys_of_the_provider_are_found_and_made_up_ones_cost_no_request_each() {
    let site = Site::new(ResponseMode::Query);
    let asked = || site.provider.inner().keys_asked;
    site.sign_in(&mut site.browser(), "ann", "s1");
    assert_eq!(asked(), 1, "they are kept");
    site.provider.change_keys(Key::ed25519("second"));
    site.sign_in(&mut site.browser(), "ann", "s2");
    assert_eq!(asked(), 2);
    for _ in 0..5 {
        let mut mallory = site.browser();
        let answer = site.answer(&mut mallory, "mallory", "s3");
        site.provider.next_token(|claims, _| Key::p256("made up").token("JWT", &claims));
        site.bring(&mut mallory, &answer).refuses("has no key of that name");
    }
    assert_eq!(asked(), 2);
    site.sign_in(&mut site.browser(), "ann", "s4");
}

#[test]
fn a_provider_that_says_it_is_another_issuer_is_refused_at_the_start() {
    let provider = Provider::start();
    let issuer = provider.base.clone();
    provider.claim_to_be("https://login.example.com");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let started = runtime.block_on(async {
        let manager = Manager::new(store::connect("memory:").await.unwrap());
        let settings = settings(issuer, "http://localhost:3000".to_owned(), ResponseMode::Query);
        crate::oidc::app(settings, &KeyRing::ephemeral(), manager).await
    });
    assert_eq!(started.unwrap_err().to_string(), "the provider says that it is another issuer");
}

#[test]
fn a_sign_out_leads_to_the_provider() {
    let site = Site::new(ResponseMode::Query);
    let mut ann = site.browser();
    site.sign_in(&mut ann, "ann", "s1");
    let mut copy = ann.clone();
    let home = url::form_urlencoded::byte_serialize(format!("{}/", site.base).as_bytes()).collect::<String>();
    let expected = format!("{}/sign-out?theme=dark&client_id=shop&post_logout_redirect_uri={home}", site.provider.base);
    ann.post("/sign-out", "").leads_to(&expected);
    copy.get("/account").leads_to("/sign-in?next=/account");
}
