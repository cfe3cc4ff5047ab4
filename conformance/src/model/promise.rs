//! The promises that the model checks.

use std::fmt;
use std::str::FromStr;

/// A promise of the core. Its name says how it is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Promise {
    /// A change is stored that a confirmed commit held.
    UpdateLost,
    /// A change is done once.
    UpdateTwice,
    /// One request takes a value that is there once.
    TakeTwice,
    /// A message is gone when the request that showed it has committed.
    FlashKept,
    /// Two clones of one handle do not show the same message.
    FlashTwice,
    /// A session that no request ended is still there.
    SessionDestroyed,
    /// As [`SessionDestroyed`](Self::SessionDestroyed), where a handle discarded or reloaded after a commit without an answer.
    DiscardDestroyed,
    /// What a logout or `revoke` ended does not open.
    EndUndone,
    /// What `revoke_all` ended does not open.
    RevokeUndone,
    /// A client is told to clear its cookie only if the session has ended.
    ClearWhileOpen,
    /// The id of before a login or a rotation does not open.
    OldIdOpens,
    /// A login gives the session a new id.
    LoginKeepsId,
    /// Every live record belongs to a handle or a client.
    Ghost,
    /// As [`Ghost`](Self::Ghost), where the handle discarded or reloaded after a commit without an answer.
    DiscardGhost,
    /// A session holds nothing of another principal's.
    Foreign,
    /// A confirmed login is in effect.
    LoginLost,
    /// A login that was accepted before a `close` ended is stored by it.
    LoginUnanswered,
    /// An answer does not set an id that was dead when its `close` began over one that lives.
    CookieBack,
    /// A commit succeeds when the faults have ended, unless another request wrote to the session.
    Stuck,
    /// A logout succeeds when the faults have ended.
    LogoutStuck,
    /// Without faults, only documented errors are answered.
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

    /// The name by which commands and reports know it.
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
