//! State that the handlers share, and settings that both the server and the pages use.

use std::time::Duration;

use session_tower::{Manager, days};

use crate::store::NamedStore;

/// Time after a login for which a user is remembered who wants to be.
pub(crate) const REMEMBERED: Duration = days(14);

/// State that every handler can use.
#[derive(Clone, Debug)]
pub(crate) struct AppState {
    pub(crate) manager: Manager,
    pub(crate) sessions: NamedStore,
}
