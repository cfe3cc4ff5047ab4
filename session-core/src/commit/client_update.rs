//! Notice for the client after a commit.

use std::fmt;
use std::time::Duration;

use super::committer::Committer;
use crate::mutant::{self, Mutant};
use crate::session::state::State;
use crate::{Result, Timestamp};

/// Difference between the stored session and the client's cookie, over the whole request.
///
/// ```
/// # use session_core::Commit;
/// fn cookie(commit: &Commit) -> Option<String> {
///     match commit {
///         Commit::Issue(ticket) => Some(format!("id={}", ticket.value.as_str())),
///         Commit::Clear => Some("id=; Max-Age=0".into()),
///         Commit::Unchanged | Commit::Extended(_) => None, // unless cookies carry the expiry
///     }
/// }
/// # assert_eq!(cookie(&Commit::Unchanged), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "the client must be told of a new id"]
pub enum Commit {
    /// The client's cookie is up to date.
    Unchanged,
    /// The client has the right id, but the session's expiry has moved. A new cookie is needed only if cookies end with the idle time-out.
    Extended(CookieUpdate),
    /// The client needs a new cookie: the id or the cookie's lifetime has changed, or the cookie is outdated.
    Issue(CookieUpdate),
    /// The client's session has ended, so its cookie must be removed.
    Clear,
}

/// Content of a new cookie for the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CookieUpdate {
    /// Value that opens the session.
    pub value: ClientValue,
    /// Instant at which the session ends unless it is used again.
    pub expires_at: Timestamp,
    /// Time from now to the session's absolute time-out. The client never needs the cookie for longer.
    pub max_age: Duration,
    /// Whether the session asked for a cookie that outlives the browser.
    pub persistent: bool,
}

/// Value that a client sends to open its session. It is a secret, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientValue(String);

impl ClientValue {
    /// Returns the text to send to the client. It is a secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientValue(***)")
    }
}

impl Committer<'_> {
    /// Compares the stored session with the client's cookie at the instant `now`.
    pub(crate) fn difference(&self, state: &State, now: Timestamp) -> Commit {
        let env = &*self.shared.env;
        let Some(stored) = &state.stored else {
            // A logout that is not committed yet, such as a clone's, has not ended the stored session.
            let ended = state.ended && state.client.is_some();
            let ended = ended && (state.ending.is_empty() || mutant::is(Mutant::ClearsBeforeTheLogout));
            return if ended { Commit::Clear } else { Commit::Unchanged };
        };
        let client = state.client.as_ref();
        let lifetime = env.cookie_lifetime(&state.base);
        // Besides a new id, a change of persistence or of the absolute time-out needs a new cookie.
        let same = client.is_some_and(|client| {
            let is_renewed = state.quiet.keeps_expiry && client.is_succeeded_by(&stored.id);
            (client.id.as_ref() == Some(&stored.id) || is_renewed)
                && client.lifetime == Some(lifetime)
                && (!client.outdated || state.quiet.keeps_expiry)
        });
        if same && client.and_then(|client| client.expires_at) == Some(stored.expires_at) {
            return Commit::Unchanged;
        }
        let update = CookieUpdate {
            value: ClientValue(stored.id.encode()),
            expires_at: env.life(stored, now).ends_at,
            max_age: lifetime.ends_at.since(now),
            persistent: lifetime.persistent,
        };
        if same { Commit::Extended(update) } else { Commit::Issue(update) }
    }

    /// Returns the difference. It has an id only if the record under that id was written or touched during this close.
    ///
    /// # Errors
    /// The store's error, if no id that the client has opens the session, and the store did not confirm the new one. The next close tries again.
    pub(crate) async fn confirmed_difference(&self) -> Result<Commit> {
        let now = self.shared.env.now();
        let difference = {
            let state = self.state();
            let difference = self.difference(&state, now);
            if !needs_confirmation(&state, &difference) {
                return Ok(difference);
            }
            difference
        };
        // Unless cookies end with the idle time-out, an extension does not change them.
        if matches!(difference, Commit::Extended(_)) && !self.shared.env.renews_cookies {
            return Ok(Commit::Unchanged);
        }
        let touched = Box::pin(self.touch_current()).await;
        let now = self.shared.env.now();
        let state = self.state();
        let repeats = match (&state.client, &state.stored) {
            (Some(client), Some(stored)) => {
                client.id.as_ref() == Some(&stored.id) || client.is_succeeded_by(&stored.id)
            }
            _ => false,
        };
        match touched {
            _ if state.confirmed => Ok(self.difference(&state, now)),
            Ok(_) => Ok(Commit::Unchanged),
            Err(error) if repeats => {
                drop(state);
                tracing::warn!(name = %self.shared.env.name, %error, "a cookie could not be renewed");
                Ok(Commit::Unchanged)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether `commit` has an id that no write or touch of this close has confirmed. The session may have ended since an earlier save.
pub(super) const fn needs_confirmation(state: &State, commit: &Commit) -> bool {
    !state.confirmed && matches!(commit, Commit::Extended(_) | Commit::Issue(_))
}
