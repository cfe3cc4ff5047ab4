//! Description of a session in a list.

use serde::Serialize;

use super::policy::Life;
use crate::codec::Content;
use crate::{Handle, Principal, StoreKey, Timestamp};

/// One session, as [`Manager::sessions_of`](crate::Manager::sessions_of) and [`Manager::list`](crate::Manager::list) return it. It holds no values.
///
/// Serialized, instants are text as in RFC 3339, and the handle is its 64 digits.
///
/// ```
/// # use session_core::{Manager, Result};
/// async fn devices_as_json(manager: &Manager, user: u64) -> Result<String> {
///     let list = manager.sessions_of(user, None).await?;
///     Ok(serde_json::to_string(&list).expect("it has only text"))
/// }
/// # let manager = Manager::new(session_core::NullStore);
/// # assert!(pollster::block_on(devices_as_json(&manager, 7)).is_err(), "this store has no index");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SessionInfo {
    /// Handle for [`Manager::revoke`](crate::Manager::revoke). It does not open the session.
    pub handle: Handle,
    /// Logical name of the manager that stored the session. `None` for an anonymous session.
    pub name: Option<String>,
    /// Principal that is signed in. `None` for an anonymous session.
    pub principal: Option<Principal>,
    /// Start of the session: its creation, or its last login or reauthentication.
    pub created_at: Timestamp,
    /// Last use, accurate to a tenth of the idle time-out or to an hour, whichever is shorter. Reads are not stored more often.
    pub last_used: Timestamp,
    /// Instant at which the session ends unless it is used before, by the time-outs in force now.
    pub expires_at: Timestamp,
    /// Instant of the last [login](crate::Session::login) or [reauthentication](crate::Session::reauthenticate).
    pub auth_time: Option<Timestamp>,
    /// Label that the application [has set](crate::Session::set_label).
    pub label: Option<String>,
    /// Whether this is the session whose handle was passed as `current`.
    pub current: bool,
    /// Key under which the session was stored before its id was renewed.
    #[serde(skip)]
    pub(super) before: Option<StoreKey>,
}

impl SessionInfo {
    /// Describes the session under `key`.
    pub(crate) fn new(key: StoreKey, content: &Content, life: Life) -> Self {
        Self {
            handle: key.into(),
            name: content.name.as_deref().map(String::from),
            principal: content.principal.clone(),
            created_at: content.created_at,
            last_used: life.last_used,
            expires_at: life.ends_at,
            auth_time: content.auth_time,
            label: content.label.as_deref().map(String::from),
            current: false,
            before: content.id_age.as_ref().and_then(|age| age.before.as_ref()).map(|before| before.key),
        }
    }
}
