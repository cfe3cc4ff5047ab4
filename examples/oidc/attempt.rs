//! A sign-in under way. It lives for ten minutes in a sealed cookie of its own, apart from the session.
//!
//! The cookie needs no store, so visitors who never come back leave nothing behind. A browser has one attempt, the last one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use session_tower::{Error, Key, Next, Session};

/// Logical name of the sessions that hold attempts. The cookie is `__Host-sign-in`.
pub(super) const COOKIE: &str = "sign-in";

pub(super) const ATTEMPT: Key<Attempt> = Key::new("attempt");

/// Secrets of one attempt.
#[derive(Deserialize, Serialize)]
pub(super) struct Attempt {
    /// Comes back with the answer, which is thereby of this browser: another site cannot have it sign in as another user.
    pub(super) state: String,
    /// Comes back within the id token, which is thereby of this attempt.
    pub(super) nonce: String,
    /// Redeems the code, which is of no use without it (PKCE, RFC 7636).
    pub(super) verifier: String,
    /// Page to lead to afterwards.
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
