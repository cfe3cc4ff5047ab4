//! What the client must be told after a commit.

use std::fmt;
use std::time::Duration;

use crate::{Session, Timestamp};

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
    /// The id is the same; the session lives longer or shorter than the client knows.
    Extended(Ticket),
    /// The client needs this id, or must be told anew how long to keep it.
    Issue(Ticket),
    /// The client holds the id of a session that has ended.
    Clear,
}

/// What goes to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ticket {
    /// The value that opens the session.
    pub value: ClientValue,
    /// When the session expires as it is stored now.
    pub expires_at: Timestamp,
    /// How long that is from now.
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

impl Session {
    pub(crate) fn difference(&self) -> Commit {
        let now = self.shared.manager.now();
        let state = self.state();
        let Some(anchor) = &state.anchor else {
            // A logout that a clone has not committed yet has ended nothing.
            let ended = state.ended && state.ending.is_empty() && state.client.is_some();
            return if ended { Commit::Clear } else { Commit::Unchanged };
        };
        let held = state.client.as_ref();
        let persistent = state.base.own.persistent;
        // A cookie that is to outlive the browser from now on, or no longer, must be sent again.
        let same = held.is_some_and(|held| held.id.as_ref() == Some(&anchor.id) && held.persistent == persistent);
        if same && held.and_then(|held| held.expires_at) == Some(anchor.expires_at) {
            return Commit::Unchanged;
        }
        let ticket = Ticket {
            value: ClientValue(anchor.id.encode()),
            expires_at: anchor.expires_at,
            max_age: anchor.expires_at.since(now),
            persistent,
        };
        if same { Commit::Extended(ticket) } else { Commit::Issue(ticket) }
    }
}
