//! What the client must be told after a commit.

use std::fmt;
use std::time::Duration;

use super::committer::Committer;
use crate::mutant::{self, Mutant};
use crate::session::state::State;
use crate::{Result, Timestamp};

/// How what is stored differs from what the client holds, over the whole request.
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
    /// The client holds what it should.
    Unchanged,
    /// The id is the same, and the session's expiry has moved. Only a client that keeps the id no longer than that must be told.
    Extended(CookieUpdate),
    /// The client needs this id, or has to keep it for another time than before.
    Issue(CookieUpdate),
    /// The client holds the id of a session that has ended.
    Clear,
}

/// What goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CookieUpdate {
    /// The value that opens the session.
    pub value: ClientValue,
    /// When the session ends unless it is used, as it is stored now.
    pub expires_at: Timestamp,
    /// Time from now to the session's absolute time-out: the client never needs the value for longer.
    pub max_age: Duration,
    /// Whether the session asked for a cookie that outlives the browser.
    pub persistent: bool,
}

/// What a client sends to open its session: a secret, so `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientValue(String);

impl ClientValue {
    /// The text for the client, and for nobody else.
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
    /// Compares what is stored with what the client holds.
    pub(crate) fn difference(&self, state: &State) -> Commit {
        let env = &*self.shared.env;
        let now = env.now();
        let Some(stored) = &state.stored else {
            // A logout that a clone has not committed yet has ended nothing.
            let ended = state.ended && state.client.is_some();
            let ended = ended && (state.ending.is_empty() || mutant::is(Mutant::ClearsBeforeTheLogout));
            return if ended { Commit::Clear } else { Commit::Unchanged };
        };
        let client = state.client.as_ref();
        let lifetime = env.cookie_lifetime(&state.base);
        // A cookie is sent again if it is to outlive the browser from now on, or no longer, or if the absolute time-out has moved.
        let same = client.is_some_and(|client| {
            client.id.as_ref() == Some(&stored.id) && client.lifetime == Some(lifetime) && !client.outdated
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

    /// The difference. It has an id only if the record under it was written or touched during this close.
    ///
    /// # Errors
    /// An id that the client does not have yet cannot be confirmed for want of an answer. The next close tries again.
    pub(crate) async fn confirmed_difference(&self) -> Result<Commit> {
        let difference = {
            let state = self.state();
            let difference = self.difference(&state);
            if !needs_confirmation(&state, &difference) {
                return Ok(difference);
            }
            difference
        };
        // A cookie without an expiry of its own says nothing that an extension could change.
        if matches!(difference, Commit::Extended(_)) && !self.shared.env.renews_cookies {
            return Ok(Commit::Unchanged);
        }
        let touched = Box::pin(self.touch_current()).await;
        let state = self.state();
        let repeats = match (&state.client, &state.stored) {
            (Some(client), Some(stored)) => client.id.as_ref() == Some(&stored.id),
            _ => false,
        };
        match touched {
            _ if state.confirmed => Ok(self.difference(&state)),
            Ok(_) => Ok(Commit::Unchanged),
            Err(error) if repeats => {
                tracing::warn!(name = %self.shared.env.name, %error, "a cookie could not be renewed");
                Ok(Commit::Unchanged)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether `commit` has an id without a write or touch of this close under it. The session may have ended since an earlier save.
pub(super) const fn needs_confirmation(state: &State, commit: &Commit) -> bool {
    !state.confirmed && matches!(commit, Commit::Extended(_) | Commit::Issue(_))
}
