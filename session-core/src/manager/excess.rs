//! Limit of the sessions that one principal may have at a time.

use crate::{Error, ErrorKind, Result};

/// What happens at a login if its principal has too many sessions; see [`ManagerBuilder::max_sessions`](crate::ManagerBuilder::max_sessions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Excess {
    /// The login succeeds, and the sessions that were unused for longest end.
    EndOldest,
    /// The login fails with [`ErrorKind::TooManySessions`], and the other sessions stay.
    Refuse,
}

/// Setting of a manager.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionLimit {
    pub(super) most: u32,
    pub(crate) excess: Excess,
}

impl SessionLimit {
    /// Checks the limit of a manager, whose store lists by principal or not.
    pub(super) fn check(self, by_principal: bool) -> Result<()> {
        let config = |message| Err(Error::fixed(ErrorKind::Config, message));
        if self.most == 0 {
            return config("`max_sessions` is 0, so that each login would fail; allow at least 1");
        }
        if !by_principal {
            return config("`max_sessions` needs a store that lists by principal; use another store, or set no limit");
        }
        Ok(())
    }

    pub(super) const fn is_exceeded_by(self, sessions: usize) -> bool {
        sessions > self.most as usize
    }
}
