//! Requests to the provider, and what is known of it.

use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet, PublicKeyUse};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Mutex, RwLock};
use tokio::task::spawn_blocking;
use ureq::http::Response;
use ureq::{Agent, Body};
use url::Url;
use url::form_urlencoded::byte_serialize;

use super::attempt::Attempt;
use super::failure::Failure;
use super::signatures;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Time that passes between two requests for unknown keys. Names of keys can be made up.
const BETWEEN_REQUESTS: Duration = Duration::from_secs(60);

/// What application and provider know of each other.
pub(crate) struct Settings {
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    pub(crate) client_secret: String,
    /// Base of this application's addresses, without a slash at the end.
    pub(crate) site: String,
    pub(crate) response_mode: ResponseMode,
}

/// How the provider's answer comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ResponseMode {
    /// In the address of a redirect.
    Query,
    /// As a form, which leaves the code out of addresses and logs.
    FormPost,
}

impl Settings {
    pub(crate) fn from_env() -> Result<Self, std::env::VarError> {
        let form_post = std::env::var("RESPONSE_MODE").is_ok_and(|mode| mode == "form_post");
        Ok(Self {
            issuer: std::env::var("ISSUER")?,
            client_id: std::env::var("CLIENT_ID")?,
            client_secret: std::env::var("CLIENT_SECRET")?,
            site: std::env::var("SITE").unwrap_or("http://localhost:3000".to_owned()),
            response_mode: if form_post { ResponseMode::FormPost } else { ResponseMode::Query },
        })
    }

    fn callback(&self) -> String {
        format!("{}/callback", self.site)
    }
}

/// The provider's description of itself (OpenID Connect Discovery 1.0, 3).
#[derive(Deserialize)]
struct Description {
    issuer: String,
    authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    end_session_endpoint: Option<String>,
}

pub(crate) struct Provider {
    pub(super) settings: Settings,
    sign_in: Url,
    sign_out: Option<Url>,
    token_endpoint: String,
    jwks_uri: String,
    http: Agent,
    keys: RwLock<JwkSet>,
    /// When a key that is not among them was last sought. Held while the provider is asked.
    sought: Mutex<Option<Instant>>,
}

impl Provider {
    /// Asks the issuer for its addresses and keys.
    pub(super) async fn discover(settings: Settings) -> Result<Self, BoxError> {
        signatures::install();
        let http: Agent = Agent::config_builder().timeout_global(Some(Duration::from_secs(10))).build().into();
        let address = format!("{}/.well-known/openid-configuration", settings.issuer.trim_end_matches('/'));
        let description: Description = get(&http, address).await?;
        // Otherwise one provider could answer for another one.
        if description.issuer != settings.issuer {
            return Err("the provider says that it is another issuer".into());
        }
        let set = get(&http, description.jwks_uri.clone()).await?;
        Ok(Self {
            settings,
            sign_in: description.authorization_endpoint.parse()?,
            sign_out: description.end_session_endpoint.map(|address| address.parse()).transpose()?,
            token_endpoint: description.token_endpoint,
            jwks_uri: description.jwks_uri,
            http,
            keys: RwLock::new(set),
            sought: Mutex::default(),
        })
    }

    /// Address at the provider where the user signs in.
    pub(super) fn sign_in_url(&self, attempt: &Attempt) -> String {
        let mut url = self.sign_in.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("scope", "openid")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", &self.settings.callback())
            .append_pair("state", &attempt.state)
            .append_pair("nonce", &attempt.nonce)
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        if self.settings.response_mode == ResponseMode::FormPost {
            url.query_pairs_mut().append_pair("response_mode", "form_post");
        }
        url.into()
    }

    /// Address at the provider where the user signs out; the home page if it has none.
    pub(super) fn sign_out_url(&self) -> String {
        let home = format!("{}/", self.settings.site);
        let Some(mut url) = self.sign_out.clone() else { return home };
        url.query_pairs_mut()
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("post_logout_redirect_uri", &home);
        url.into()
    }

    /// Redeems a code, and returns the id token (OpenID Connect Core 1.0, 3.1.3.1).
    pub(super) async fn redeem(&self, code: &str, verifier: &str) -> Result<String, Failure> {
        #[derive(Deserialize)]
        struct Tokens {
            id_token: String,
        }
        let form = [
            ("grant_type", "authorization_code".to_owned()),
            ("code", code.to_owned()),
            ("redirect_uri", self.settings.callback()),
            ("code_verifier", verifier.to_owned()),
        ];
        let request = self.http.post(&self.token_endpoint).header("authorization", self.credentials());
        match json(move || request.send_form(form)).await {
            Ok(Tokens { id_token }) => Ok(id_token),
            Err(ureq::Error::StatusCode(400)) => Err(Failure::Refused("the provider does not accept the code")),
            Err(_) => Err(Failure::Provider("the provider does not answer")),
        }
    }

    /// Name and secret of this application, each encoded as in a form (RFC 6749, 2.3.1).
    fn credentials(&self) -> String {
        use base64::Engine as _;
        let encoded = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
        let pair = format!("{}:{}", encoded(&self.settings.client_id), encoded(&self.settings.client_secret));
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
    }

    /// Returns the key of a token by its name. A provider changes its keys now and then, so an unknown one is asked for.
    pub(super) async fn key(&self, name: &str) -> Result<Jwk, Failure> {
        if let Some(key) = find(&*self.keys.read().await, name) {
            return Ok(key);
        }
        // Others that need a new key wait here until it has come.
        let mut sought = self.sought.lock().await;
        if find(&*self.keys.read().await, name).is_none() && sought.is_none_or(|at| at.elapsed() >= BETWEEN_REQUESTS) {
            *sought = Some(Instant::now());
            let set = get(&self.http, self.jwks_uri.clone()).await;
            *self.keys.write().await = set.map_err(|_| Failure::Provider("the provider does not answer"))?;
        }
        find(&*self.keys.read().await, name).ok_or(Failure::Refused("the provider has no key of that name"))
    }
}

/// Finds a key for signatures.
fn find(set: &JwkSet, name: &str) -> Option<Jwk> {
    let signs = |key: &Jwk| key.common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature);
    set.find(name).filter(|key| signs(key)).cloned()
}

async fn get<T: DeserializeOwned + Send + 'static>(http: &Agent, address: String) -> Result<T, ureq::Error> {
    let request = http.get(address);
    json(move || request.call()).await
}

/// Sends a request, and reads the JSON of its response. This HTTP client blocks, so it has a thread of its own. Use that of your application.
async fn json<T: DeserializeOwned + Send + 'static>(
    send: impl FnOnce() -> Result<Response<Body>, ureq::Error> + Send + 'static,
) -> Result<T, ureq::Error> {
    let answer = spawn_blocking(move || send()?.body_mut().read_json());
    answer.await.unwrap_or_else(|error| Err(ureq::Error::Other(error.into())))
}
