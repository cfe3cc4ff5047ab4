//! Cookie of a session's client.

use crate::session::committed::CookieLifetime;
use crate::{SessionId, StoreKey, Timestamp, Version};

/// Value that the client sent when the session was opened, and what is known about its cookie.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientCookie {
    /// Id, if the value was an id.
    pub(crate) id: Option<SessionId>,
    /// Expiry of the record when it was opened.
    pub(crate) expires_at: Option<Timestamp>,
    /// Lifetime of the cookie, as the record tells. `None` if no live record was found.
    pub(crate) lifetime: Option<CookieLifetime>,
    /// Set when the client needs the same id in a new cookie, such as one that an older key signed.
    pub(crate) outdated: bool,
    /// Id that a renewal has given to the session, if it is not the client's. The client's own id still opens the session.
    pub(crate) successor: Option<Successor>,
}

/// Id that a renewal has given to a client's session.
#[derive(Clone, Debug)]
pub(crate) struct Successor {
    pub(crate) id: SessionId,
    /// Tombstone under the client's id, if it was loaded when the session was opened: its key, its version and its expiry.
    pub(crate) tombstone: Option<(StoreKey, Version, Timestamp)>,
}

impl ClientCookie {
    pub(crate) fn of(id: SessionId) -> Self {
        Self { id: Some(id), ..Self::default() }
    }

    /// Whether a renewal has given the session the id `id`, which the client does not have yet.
    pub(crate) fn is_succeeded_by(&self, id: &SessionId) -> bool {
        self.successor.as_ref().is_some_and(|successor| successor.id == *id)
    }
}
