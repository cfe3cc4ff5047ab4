//! OpenID provider that the walks sign in at.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{Form, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _};
use serde_json::{Value, json};
use url::Url;

use crate::browser::{Browser, serve_at};

/// What the application is called here. The characters show whether it encodes them.
pub(crate) const CLIENT: [&str; 2] = ["shop", "se cret:1%"];

type Fields = HashMap<String, String>;

/// Makes an id token of the claims that are due.
pub(crate) type MakeToken = Box<dyn FnOnce(Value, &Key) -> String + Send>;

#[derive(Clone)]
pub(crate) struct Provider {
    pub(crate) base: String,
    state: Shared,
}

type Shared = Arc<Mutex<Inner>>;

pub(crate) struct Inner {
    issuer: String,
    /// What it says its name is, if not that.
    claimed: Option<String>,
    /// Keys that are published. The last one signs.
    keys: Vec<Key>,
    /// Codes that were not redeemed yet, with the fields of their request.
    codes: HashMap<String, Fields>,
    /// How the next id token is made, if not as it should be.
    make_token: Option<MakeToken>,
    pub(crate) codes_asked: usize,
    pub(crate) keys_asked: usize,
}

/// Key that signs tokens.
pub(crate) struct Key {
    pub(crate) name: String,
    pair: Pair,
}

enum Pair {
    Ed25519(Ed25519KeyPair),
    P256(EcdsaKeyPair, SystemRandom),
}

impl Key {
    pub(crate) fn ed25519(name: &str) -> Self {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self { name: name.into(), pair: Pair::Ed25519(Ed25519KeyPair::from_pkcs8(made.as_ref()).unwrap()) }
    }

    pub(crate) fn p256(name: &str) -> Self {
        let (random, algorithm) = (SystemRandom::new(), &ECDSA_P256_SHA256_FIXED_SIGNING);
        let made = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, made.as_ref(), &random).unwrap();
        Self { name: name.into(), pair: Pair::P256(pair, random) }
    }

    pub(crate) fn public(&self) -> &[u8] {
        match &self.pair {
            Pair::Ed25519(pair) => pair.public_key().as_ref(),
            Pair::P256(pair, _) => pair.public_key().as_ref(),
        }
    }

    fn algorithm(&self) -> &'static str {
        match self.pair {
            Pair::Ed25519(_) => "EdDSA",
            Pair::P256(..) => "ES256",
        }
    }

    fn jwk(&self) -> Value {
        let (name, algorithm, public) = (&self.name, self.algorithm(), self.public());
        match self.pair {
            Pair::Ed25519(_) => {
                json!({"kid": name, "use": "sig", "alg": algorithm, "kty": "OKP", "crv": "Ed25519", "x": text(public)})
            }
            // The point begins with a byte that says that both coordinates follow.
            Pair::P256(..) => {
                let (x, y) = (text(&public[1..33]), text(&public[33..]));
                json!({"kid": name, "use": "sig", "alg": algorithm, "kty": "EC", "crv": "P-256", "x": x, "y": y})
            }
        }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.pair {
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::P256(pair, random) => pair.sign(random, message).unwrap().as_ref().to_vec(),
        }
    }

    /// Returns a token of type `typ` with these claims.
    pub(crate) fn token(&self, typ: &str, claims: &Value) -> String {
        let header = json!({"typ": typ, "alg": self.algorithm(), "kid": self.name});
        token(&header, claims, |message| self.sign(message))
    }
}

pub(crate) fn token(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", text(header.to_string()), text(claims.to_string()));
    let signature = text(sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn text(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn random() -> String {
    text(rand::random::<[u8; 16]>())
}

/// The present time in seconds.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

impl Provider {
    pub(crate) fn start() -> Self {
        let state = Arc::new(Mutex::new(Inner {
            issuer: String::new(),
            claimed: None,
            keys: vec![Key::p256("first")],
            codes: HashMap::new(),
            make_token: None,
            codes_asked: 0,
            keys_asked: 0,
        }));
        let shared = state.clone();
        let base = serve_at(async move |base| {
            shared.lock().unwrap().issuer = base;
            Router::new()
                .route("/.well-known/openid-configuration", get(describe))
                .route("/keys", get(keys))
                .route("/authorize", get(authorize))
                .route("/token", post(redeem))
                .with_state(shared)
        });
        Self { base, state }
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.state.lock().unwrap()
    }

    /// Says that it is another issuer than the one that it is.
    pub(crate) fn claim_to_be(&self, issuer: &str) {
        self.inner().claimed = Some(issuer.to_owned());
    }

    /// Publishes another key, and signs with it.
    pub(crate) fn change_keys(&self, key: Key) {
        self.inner().keys = vec![key];
    }

    /// Makes the next id token in another way.
    pub(crate) fn next_token(&self, make: impl FnOnce(Value, &Key) -> String + Send + 'static) {
        self.inner().make_token = Some(Box::new(make));
    }

    /// Signs with the present key.
    pub(crate) fn sign(&self, typ: &str, claims: &Value) -> String {
        self.inner().keys.last().unwrap().token(typ, claims)
    }

    /// Visits the address with a browser that `user` has signed in with, in the session `sid`. Returns the path and query that the
    /// answer leads to, or the path and the fields of its form.
    pub(crate) fn answer(&self, address: &str, user: &str, sid: &str) -> [String; 2] {
        let mut browser = Browser::with_cookie(&self.base, "user", &format!("{user}.{sid}"));
        let answer = browser.get(address.strip_prefix(&*self.base).unwrap());
        if let Some(location) = answer.location {
            let url = Url::parse(&location).unwrap();
            return [url.path().to_owned(), url.query().unwrap().to_owned()];
        }
        let after = |text: &str, mark: &str| text.split(mark).nth(1).unwrap().split('\'').next().unwrap().to_owned();
        let fields = answer.body.split("<input ").skip(1);
        let fields: Vec<_> =
            fields.map(|field| format!("{}={}", after(field, "name='"), after(field, "value='"))).collect();
        [Url::parse(&after(&answer.body, "action='")).unwrap().path().to_owned(), fields.join("&")]
    }
}

async fn describe(State(state): State<Shared>) -> Json<Value> {
    let state = state.lock().unwrap();
    let base = &state.issuer;
    let at = |path: &str| format!("{base}{path}");
    Json(json!({
        "issuer": state.claimed.as_ref().unwrap_or(base),
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "jwks_uri": at("/keys"),
        "end_session_endpoint": at("/sign-out?theme=dark"),
        "id_token_signing_alg_values_supported": ["ES256", "EdDSA"],
    }))
}

/// Publishes the keys, and two that are for something else.
async fn keys(State(state): State<Shared>) -> Json<Value> {
    let mut state = state.lock().unwrap();
    state.keys_asked += 1;
    let mut keys: Vec<_> = state.keys.iter().map(Key::jwk).collect();
    keys.push(json!({"kid": "later", "kty": "LATER", "use": "sig", "data": [1]}));
    keys.push(json!({"kid": "for encryption", "kty": "OKP", "crv": "Ed25519", "use": "enc", "x": text([0; 32])}));
    Json(json!({ "keys": keys }))
}

async fn authorize(State(state): State<Shared>, headers: HeaderMap, Query(request): Query<Fields>) -> Response {
    let is = |name: &str, value: &str| request.get(name).is_some_and(|given| given == value);
    if !(is("response_type", "code") && is("client_id", CLIENT[0]) && is("scope", "openid")) {
        return (StatusCode::BAD_REQUEST, "this is no request for a sign-in").into_response();
    }
    if !is("code_challenge_method", "S256") || request["code_challenge"].len() != 43 {
        return (StatusCode::BAD_REQUEST, "a proof of the code is required").into_response();
    }
    let mut fields = vec![("state", request["state"].clone())];
    match headers.get("cookie").unwrap().to_str().unwrap().strip_prefix("user=").unwrap() {
        "." => fields.push(("error", "access_denied".to_owned())),
        user => {
            let code = random();
            let granted = request.clone().into_iter().chain([("user".to_owned(), user.to_owned())]).collect();
            state.lock().unwrap().codes.insert(code.clone(), granted);
            fields.push(("code", code));
        }
    }
    if is("response_mode", "form_post") {
        let inputs = fields.iter().map(|(name, value)| format!("<input name='{name}' value='{value}'>"));
        let inputs = inputs.collect::<String>();
        return Html(format!("<form method=post action='{}'>{inputs}</form>", request["redirect_uri"])).into_response();
    }
    let url = Url::parse_with_params(&request["redirect_uri"], fields).unwrap();
    Redirect::to(url.as_str()).into_response()
}

async fn redeem(State(state): State<Shared>, headers: HeaderMap, Form(form): Form<Fields>) -> Response {
    let mut state = state.lock().unwrap();
    state.codes_asked += 1;
    let encoded = |text: &str| url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let credentials = format!("Basic {}", STANDARD.encode(CLIENT.map(encoded).join(":")));
    if headers.get("authorization").is_none_or(|given| *given != credentials) {
        return (StatusCode::UNAUTHORIZED, Json(json!({"error": "invalid_client"}))).into_response();
    }
    // A code is of use once.
    let granted = state.codes.remove(&form["code"]).filter(|granted| {
        form["grant_type"] == "authorization_code"
            && form["redirect_uri"] == granted["redirect_uri"]
            && text(digest(&SHA256, form["code_verifier"].as_bytes())) == granted["code_challenge"]
    });
    let Some(granted) = granted else {
        return (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant"}))).into_response();
    };
    let (user, sid) = granted["user"].split_once('.').unwrap();
    let claims = json!({
        "iss": state.issuer, "aud": CLIENT[0], "sub": user, "sid": sid, "nonce": granted["nonce"],
        "iat": now(), "exp": now() + 300,
    });
    let make = state.make_token.take().unwrap_or(Box::new(|claims, key| key.token("JWT", &claims)));
    let id_token = make(claims, state.keys.last().unwrap());
    Json(json!({"access_token": random(), "token_type": "Bearer", "id_token": id_token})).into_response()
}
