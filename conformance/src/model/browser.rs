//! The client: one cookie, as the answers set it.

use session_core::{Commit, SessionId, StoreKey};

use super::ledger::Ledger;
use super::monitor::Monitor;
use super::promise::Promise;

/// Logical name of the sessions.
pub(super) const NAME: &str = "id";

#[derive(Debug, Default)]
pub(super) struct Browser {
    cookie: Option<String>,
}

/// Returns the store key of the cookie value `value`.
pub(super) fn key_of(value: &str) -> Option<StoreKey> {
    SessionId::parse(value).map(|id| StoreKey::derive(NAME, &id))
}

impl Browser {
    pub(super) fn cookie(&self) -> Option<String> {
        self.cookie.clone()
    }

    /// Applies an answer whose `close` began at `began`.
    pub(super) fn take(&mut self, monitor: &Monitor, ledger: &mut Ledger, began: u64, commit: &Commit) {
        let ticket = match commit {
            Commit::Unchanged => return,
            // The cookie itself does not change, because it ends with the browser or with the absolute time-out.
            Commit::Extended(_) => return,
            Commit::Issue(ticket) => ticket,
            Commit::Clear => {
                self.cookie = None;
                return;
            }
        };
        let value = ticket.value.as_str();
        let keys = self.cookie.as_deref().and_then(key_of).zip(key_of(value));
        if let Some((had, gets)) = keys.filter(|(had, gets)| had != gets) {
            let back = {
                let effects = monitor.effects();
                let lives = effects.known(&had).is_some_and(|known| known.dead.is_none());
                lives && effects.dead_before(&gets, began)
            };
            if back {
                ledger.breaks(monitor, Promise::CookieBack, "an answer sets a dead id over one that lives");
            }
        }
        self.cookie = Some(value.to_owned());
    }
}
