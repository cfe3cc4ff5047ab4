//! Logouts that the provider tells (OpenID Connect Back-Channel Logout 1.0).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Form, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use session_tower::{Filter, Key, Manager};

use super::failure::Failure;
use super::provider::Provider;
use super::tokens::{LOGOUT_AGE, LogoutToken};

/// The provider's name for its own session with the browser. A logout token may name it.
pub(super) const SID: Key<String> = Key::new("oidc sid");

/// For as long a token would pass again, with the difference of clocks on both sides.
const REMEMBERED: Duration = Duration::from_secs(2 * LOGOUT_AGE);

#[derive(Clone)]
pub(super) struct BackChannel {
    provider: Arc<Provider>,
    manager: Manager,
    /// Names of the tokens that were carried out, with the time. Several servers keep them in the database that they share.
    used: Arc<Mutex<HashMap<String, Instant>>>,
}

#[derive(Deserialize)]
pub(super) struct Request {
    #[serde(default)]
    logout_token: String,
}

/// Ends the sessions that a logout token names.
pub(super) async fn log_out(State(channel): State<BackChannel>, Form(request): Form<Request>) -> Response {
    // 400 is the answer to whatever is not carried out (2.8).
    let status = match channel.carry_out(&request.logout_token).await {
        Ok(_) => StatusCode::OK.into_response(),
        Err(Failure::Refused(why) | Failure::Provider(why)) => (StatusCode::BAD_REQUEST, why).into_response(),
        Err(Failure::Session(error)) => (StatusCode::BAD_REQUEST, error.to_string()).into_response(),
    };
    ([(CACHE_CONTROL, HeaderValue::from_static("no-store"))], status).into_response()
}

impl BackChannel {
    pub(super) fn new(provider: Arc<Provider>, manager: Manager) -> Self {
        Self { provider, manager, used: Arc::default() }
    }

    /// Returns the number of sessions that were ended.
    async fn carry_out(&self, token: &str) -> Result<u64, Failure> {
        let token = self.provider.logout_token(token).await?;
        let sessions = sessions_of(&token)?;
        if self.is_used(&token.jti) {
            return Err(Failure::Refused("the token was used before"));
        }
        let ended = self.manager.revoke_where(sessions).await?;
        // Only now, so that the provider can send it again if the store was down.
        self.used.lock().unwrap_or_else(PoisonError::into_inner).insert(token.jti, Instant::now());
        Ok(ended)
    }

    fn is_used(&self, name: &str) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, at| at.elapsed() < REMEMBERED);
        used.contains_key(name)
    }
}

/// Returns what a token ends: one session at the provider, or all of a user.
/// With a user the store's index finds the sessions. With `sid` alone every session is read.
fn sessions_of(token: &LogoutToken) -> Result<Filter, Failure> {
    match (&token.sub, &token.sid) {
        (Some(sub), Some(sid)) => Ok(Filter::all().principal(sub).value(SID, sid)),
        (Some(sub), None) => Ok(Filter::all().principal(sub)),
        (None, Some(sid)) => Ok(Filter::all().value(SID, sid)),
        (None, None) => Err(Failure::Refused("the token names neither user nor session")),
    }
}
