//! Events in the life of sessions, for audit logs and metrics.

use std::fmt;
use std::sync::Arc;

use crate::{Handle, Principal};

/// What has happened to a session, or to several; see [`Event`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A session was stored for the first time.
    Created,
    /// A principal has signed in. The handle is that of the new id.
    Login,
    /// A principal has authenticated again. The handle is that of the new id.
    Reauthenticated,
    /// A session was ended by [`logout`](crate::Session::logout).
    Logout,
    /// A session was stored under a new id, without a login or reauthentication. The handle is that of the new id.
    Rotated,
    /// A session was stored under a new id, because its id was as old as [`renew_id_every`](crate::ManagerBuilder::renew_id_every) says. The
    /// handle is that of the new id.
    Renewed,
    /// A client has used an id more than 30 s after a client had the next one, so the id may be stolen. It opens nothing. The handle is that of
    /// the present id.
    Reused,
    /// Sessions were ended by a revocation, or by [`verify`](crate::ManagerBuilder::verify).
    Revoked,
    /// A session was ended by a login elsewhere, because its principal had more than [`max_sessions`](crate::ManagerBuilder::max_sessions).
    Evicted,
    /// A commit has failed, because another request was faster.
    Conflict,
    /// Changes of a request were thrown away, because the session had ended, or because the request ended without a commit.
    Dropped,
}

impl EventKind {
    /// Returns the name of the kind in lower case, as the `tracing` event has it.
    ///
    /// ```
    /// assert_eq!(session_core::EventKind::Login.as_str(), "login");
    /// ```
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Login => "login",
            Self::Reauthenticated => "reauthenticated",
            Self::Logout => "logout",
            Self::Rotated => "rotated",
            Self::Renewed => "renewed",
            Self::Reused => "reused",
            Self::Revoked => "revoked",
            Self::Evicted => "evicted",
            Self::Conflict => "conflict",
            Self::Dropped => "dropped",
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Event in the life of a session, for audit logs and metrics (OWASP ASVS 5.0, 16.3). It holds no id and no value.
///
/// [`ManagerBuilder::on_event`](crate::ManagerBuilder::on_event) receives it. The same event goes to `tracing`, at the level `INFO` and with
/// the target [`Event::TARGET`]. Its fields are `event`, `name`, `principal`, `handle`, `label` and `count`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// What has happened.
    pub kind: EventKind,
    /// Logical name of the manager's sessions.
    pub name: Arc<str>,
    /// Principal of the session. `None` if it is anonymous, or if sessions of several principals were ended.
    pub principal: Option<Principal>,
    /// Handle of the session. `None` if it is not stored, or if the event is about several sessions.
    pub handle: Option<Handle>,
    /// Label of the session.
    pub label: Option<String>,
    /// Number of sessions that the event is about. More than one only in [`EventKind::Revoked`].
    pub count: u64,
}

impl Event {
    /// Target of the `tracing` events.
    ///
    /// ```
    /// // A filter such as `RUST_LOG=session_core::event=info` shows them.
    /// assert_eq!(session_core::Event::TARGET, "session_core::event");
    /// ```
    pub const TARGET: &str = "session_core::event";
}
