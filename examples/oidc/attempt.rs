//! A sign-in under way. It lives for ten minutes in a sealed cookie of its own, apart from the session.
//!
//! The cookie needs no store, so visitors who never come back leave nothing behind. A browser has one attempt, the last one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use session_tower::{Error, Key, Next, Session};

use super::failure::Failure;
use super::provider::Provider;

/// Logical name of the sessions that hold attempts. The cookie is `__Host-sign-in`.
pub(super) const COOKIE: &str = "sign-in";

const ATTEMPT: Key<Attempt> = Key::new("attempt");
const USER: Key<User> = Key::new("user");

/// Secrets of one attempt.
#[derive(Deserialize, Serialize)]
pub(super) struct Attempt {
    /// Comes back with the answer, which is thereby of this browser: another site cannot have it sign in as another user.
    pub(super) state: String,
    /// Comes back within the id token, which is thereby of this attempt.
    pub(super) nonce: String,
    /// Redeems the code, which is of no use without it (PKCE, RFC 7636).
    pub(super) verifier: String,
    next: String,
}

/// What the provider answers (OpenID Connect Core 1.0, 3.1.2.5 and 3.1.2.6).
#[derive(Deserialize)]
pub(super) struct Answer {
    state: Option<String>,
    /// Missing if the provider or the user has refused.
    code: Option<String>,
}

/// Who has signed in, and the page to lead to.
#[derive(Deserialize, Serialize)]
pub(super) struct User {
    pub(super) sub: String,
    pub(super) sid: Option<String>,
    pub(super) next: String,
}

impl Attempt {
    pub(super) fn new(next: &Next) -> Self {
        let random = || URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>());
        Self { state: random(), nonce: random(), verifier: random(), next: next.to_string() }
    }

    /// What the provider learns of the verifier: its hash.
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(digest(&SHA256, self.verifier.as_bytes()))
    }

    /// Keeps the attempt in the browser's cookie, in place of an earlier one.
    pub(super) fn keep(&self, attempts: &Session) -> Result<(), Error> {
        attempts.insert(ATTEMPT, self)
    }
}

/// Checks an answer of the provider, and returns the user whom it names.
pub(super) async fn finish(attempts: &Session, provider: &Provider, answer: Answer) -> Result<User, Failure> {
    let attempt = attempts.get(ATTEMPT)?.ok_or(Failure::Refused("this browser has begun no sign-in"))?;
    if answer.state.as_ref() != Some(&attempt.state) {
        return Err(Failure::Refused("the answer is for another sign-in"));
    }
    // Whatever comes of it, an attempt has one answer.
    attempts.remove(ATTEMPT)?;
    let code = answer.code.ok_or(Failure::Refused("the provider has refused"))?;
    let token = provider.redeem(&code, &attempt.verifier).await?;
    let token = provider.id_token(&token, &attempt.nonce).await?;
    Ok(User { sub: token.sub, sid: token.sid, next: attempt.next })
}

impl User {
    /// Keeps the user in the browser's cookie until the next page.
    pub(super) fn keep(&self, attempts: &Session) -> Result<(), Error> {
        attempts.insert(USER, self)
    }

    pub(super) fn kept(attempts: &Session) -> Result<Self, Failure> {
        attempts.get(USER)?.ok_or(Failure::Refused("this browser has begun no sign-in"))
    }
}
