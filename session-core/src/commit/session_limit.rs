//! Enforces the limit of a principal's sessions at a login.

use super::changes::Changes;
use super::committer::Committer;
use crate::manager::session_limit::TOO_MANY;
use crate::mutant::{self, Mutant};
use crate::{Error, ErrorKind, Excess, Result};

const ENDED_BY_NEWER: Error = Error::fixed(
    ErrorKind::Gone,
    "newer logins of its principal have reached `max_sessions`; `discard` the session, or log in again",
);

impl Committer<'_> {
    /// Refuses a login of `changes` that would be one session too many, before anything is stored.
    ///
    /// Two logins at once may both pass. [`enforce_limit`](Self::enforce_limit) finds out.
    pub(super) async fn check_limit(&self, changes: &Changes) -> Result<()> {
        let env = &*self.shared.env;
        let Some(limit) = env.session_limit else { return Ok(()) };
        let (true, Some(principal)) = (changes.log_in(), &changes.content.principal) else { return Ok(()) };
        if limit.excess != Excess::Refuse {
            return Ok(());
        }
        let own = changes.stored.as_ref().map(|stored| &stored.key);
        Box::pin(env.check_session_limit(limit, principal, own)).await
    }

    /// Ends the sessions that are too many since a login of this session was stored. They are listed afterwards, so that of two logins
    /// at once the later one sees both.
    pub(super) async fn enforce_limit(&self) -> Result<()> {
        let env = &*self.shared.env;
        let (stored, epoch) = {
            let mut state = self.state();
            match (env.session_limit, &state.stored) {
                _ if !state.limit_due => return Ok(()),
                (Some(_), Some(stored)) if !mutant::is(Mutant::LimitsBeforeTheLogin) => (stored.clone(), state.epoch),
                _ => {
                    state.limit_due = false;
                    return Ok(());
                }
            }
        };
        let (Some(limit), Some(principal), Some(login)) =
            (env.session_limit, &stored.content.principal, stored.content.auth_time)
        else {
            return Ok(());
        };
        let is_live = Box::pin(env.end_excess(limit, principal, &stored.key, login)).await?;
        let mut state = self.state();
        state.limit_due = false;
        if is_live {
            return Ok(());
        }
        let logged = state.ops_end();
        state.mark_gone(epoch, logged, env.now());
        Err(if limit.excess == Excess::Refuse { TOO_MANY } else { ENDED_BY_NEWER })
    }
}
