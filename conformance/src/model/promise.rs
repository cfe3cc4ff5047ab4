//! Promises that the model checks.

use std::fmt;
use std::str::FromStr;

/// A promise of the core. Variants are named after the way it breaks, and documented as the promise.
///
/// ```
/// use session_conformance::model::Promise;
///
/// assert_eq!(Promise::UpdateLost.name(), "update-lost");
/// assert_eq!("update-lost".parse(), Ok(Promise::UpdateLost));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Promise {
    /// A change of a confirmed commit stays stored.
    UpdateLost,
    /// A change is applied once.
    UpdateTwice,
    /// Only one request takes a value that is stored once.
    TakeTwice,
    /// A message is removed when the request that showed it has committed.
    FlashKept,
    /// Two clones of one handle never show the same message.
    FlashTwice,
    /// A session that no request ended is still stored.
    SessionDestroyed,
    /// A session that no request ended is still stored. For scenes in which a handle discarded or reloaded after a
    /// commit without an answer.
    DiscardDestroyed,
    /// A session that a logout or `revoke` ended does not open again.
    EndUndone,
    /// A session that `revoke_all` ended does not open again.
    RevokeUndone,
    /// A client is told to clear its cookie only if the session has ended.
    ClearWhileOpen,
    /// The id from before a login or a rotation does not open a session.
    OldIdOpens,
    /// A login gives the session a new id.
    LoginKeepsId,
    /// Every live record belongs to a handle or a client.
    Ghost,
    /// Every live record belongs to a handle or a client. For records of a handle that discarded or reloaded after a
    /// commit without an answer.
    DiscardGhost,
    /// A session holds no data of another principal.
    Foreign,
    /// A confirmed login is in effect.
    LoginLost,
    /// A `close` stores each login that was accepted before it ended.
    LoginUnanswered,
    /// An answer never replaces a live id with an id that was dead when its `close` began.
    CookieBack,
    /// A commit succeeds after the faults have ended, unless another request wrote to the session.
    Stuck,
    /// A logout succeeds after the faults have ended.
    LogoutStuck,
    /// Without faults, only documented errors occur.
    Undocumented,
}

impl Promise {
    /// All promises.
    pub const ALL: [Self; 21] = [
        Self::UpdateLost,
        Self::UpdateTwice,
        Self::TakeTwice,
        Self::FlashKept,
        Self::FlashTwice,
        Self::SessionDestroyed,
        Self::DiscardDestroyed,
        Self::EndUndone,
        Self::RevokeUndone,
        Self::ClearWhileOpen,
        Self::OldIdOpens,
        Self::LoginKeepsId,
        Self::Ghost,
        Self::DiscardGhost,
        Self::Foreign,
        Self::LoginLost,
        Self::LoginUnanswered,
        Self::CookieBack,
        Self::Stuck,
        Self::LogoutStuck,
        Self::Undocumented,
    ];

    /// Returns the name of the promise in commands and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::UpdateLost => "update-lost",
            Self::UpdateTwice => "update-twice",
            Self::TakeTwice => "take-twice",
            Self::FlashKept => "flash-kept",
            Self::FlashTwice => "flash-twice",
            Self::SessionDestroyed => "session-destroyed",
            Self::DiscardDestroyed => "discard-destroyed",
            Self::EndUndone => "end-undone",
            Self::RevokeUndone => "revoke-undone",
            Self::ClearWhileOpen => "clear-while-open",
            Self::OldIdOpens => "old-id-opens",
            Self::LoginKeepsId => "login-keeps-id",
            Self::Ghost => "ghost",
            Self::DiscardGhost => "discard-ghost",
            Self::Foreign => "foreign",
            Self::LoginLost => "login-lost",
            Self::LoginUnanswered => "login-unanswered",
            Self::CookieBack => "cookie-back",
            Self::Stuck => "stuck",
            Self::LogoutStuck => "logout-stuck",
            Self::Undocumented => "undocumented",
        }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Promise {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|promise| promise.name() == name);
        found.ok_or_else(|| format!("there is no promise `{name}`"))
    }
}
