//! The provider's answer to a sign-in.

use serde::{Deserialize, Serialize};
use session_tower::{Error, Key, Session, seconds};

use super::attempt::ATTEMPT;
use super::failure::Failure;
use super::provider::Provider;

const USER: Key<User> = Key::new("user");

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
    ///
    /// A copy of that cookie would sign in again, whatever has ended meanwhile, so it is good for half a minute only.
    pub(super) fn keep(&self, attempts: &Session) -> Result<(), Error> {
        attempts.insert_for(USER, self, seconds(30))
    }

    pub(super) fn kept(attempts: &Session) -> Result<Self, Failure> {
        attempts.get(USER)?.ok_or(Failure::Refused("this browser has begun no sign-in"))
    }
}
