//! Changes of who a session belongs to, and its end. All take effect with the next commit.

use std::fmt::Display;

use super::Session;
use super::log::{Keep, Op};
use super::opened::Opened;
use crate::codec::OwnPolicy;
use crate::commit::uncertain::UncertainWrite;
use crate::{Error, ErrorKind, Principal, Result};

impl Session {
    /// Signs `principal` in: from the commit on the session has a new id, and the old one is of no use.
    ///
    /// The session begins anew ([`created_at`](Session::created_at), [`auth_time`](Session::auth_time)). The values of an anonymous
    /// session stay, those of the same principal too; another principal's are dropped.
    ///
    /// Time-outs and persistence begin with the manager's settings. What a guest has chosen does not rule the account's session
    /// (NIST SP 800-63B-4, 5.1; OWASP ASVS 5.0, 7.3.1), and neither does an earlier login. Only what this handle sets since it was opened is kept,
    /// before or after this call: [`set_idle`](Session::set_idle), [`set_absolute`](Session::set_absolute), [`set_persistent`](Session::set_persistent).
    /// A login in two steps carries the choice as a value.
    ///
    /// The new id keeps a session that an attacker planted or overheard before the login from being the one after it
    /// (OWASP ASVS 5.0, 7.2.4).
    ///
    /// If the session was revoked or moved on meanwhile, the login begins a fresh one with what is written after it, rather than fail.
    /// It does fail, with [`ErrorKind::Gone`], if this request took a value ([`take`](Session::take)), or read one and then wrote it:
    /// that value is gone, and two requests must not both have had it.
    ///
    /// # Errors
    /// As [`Principal::new`]; [`ErrorKind::Closed`] after the response's head, since it needs a cookie.
    pub fn login(&self, principal: impl Display) -> Result<()> {
        self.log_in(Principal::new(principal)?, Keep::All)
    }

    /// Signs `principal` in as [`login`](Session::login) does, and keeps only the values under `keys`.
    ///
    /// # Errors
    /// As [`login`](Session::login).
    pub fn login_keeping(&self, principal: impl Display, keys: &[&str]) -> Result<()> {
        self.log_in(Principal::new(principal)?, Keep::Only(keys.iter().map(|&key| key.into()).collect()))
    }

    fn log_in(&self, principal: Principal, keep: Keep) -> Result<()> {
        super::reentrancy::refuse(std::sync::Arc::as_ptr(&self.shared).cast())?;
        let mut state = self.state();
        state.cookie_possible()?;
        if state.gone {
            // Nothing of the old session is left that could be carried over.
            state.reset(self.shared.env.blank());
            state.gone = false;
        }
        let (at, own) = (self.shared.env.now(), state.chosen);
        state.push(Op::Login { principal, at, keep, own })?;
        state.new_ids_wanted += 1;
        // Values may have been dropped, so what was read before says nothing about them.
        state.reads.clear();
        Ok(())
    }

    /// Notes that the principal has proved who they are once more: new id, and both time-outs begin anew.
    ///
    /// # Errors
    /// [`ErrorKind::Other`] if nobody is signed in; else as [`login`](Session::login), and [`ErrorKind::Gone`] if it moved or ended.
    pub fn reauthenticate(&self) -> Result<()> {
        let mut state = self.writing()?;
        state.cookie_possible()?;
        if state.view.principal.is_none() {
            return Err(Error::fixed(ErrorKind::Other, "nobody is signed in who could reauthenticate"));
        }
        let at = self.shared.env.now();
        state.push(Op::Reauthenticate { at })?;
        state.new_ids_wanted += 1;
        Ok(())
    }

    /// Gives the session a new id from the commit on; the old one is then of no use. Do so when its rights change.
    ///
    /// A session that is not stored yet gets a new id anyway.
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if it moved or ended, [`ErrorKind::Closed`] after the response's head.
    pub fn rotate(&self) -> Result<()> {
        let mut state = self.writing()?;
        state.cookie_possible()?;
        state.new_ids_wanted += 1;
        Ok(())
    }

    /// Lets a page write to a session that [opened](Session::opened) as [`Ended`](Opened::Ended), if the logout was at least 10 s before:
    /// from then on it counts as [`Unknown`](Opened::Unknown). Returns whether it does.
    ///
    /// For crates that put sessions under HTTP, and for requests of which they know that the browser made them after it had the logout's answer.
    /// Any other request may come from the page that signed out. What it writes would begin a session whose cookie goes over that of
    /// a login, so it stays [`Gone`](ErrorKind::Gone).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore};
    /// let session = Manager::new(NullStore).open(None).await?;
    /// assert!(!session.begin_anew_if_ended(), "nothing ended it");
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn begin_anew_if_ended(&self) -> bool {
        let mut state = self.state();
        let begins = state.may_begin_anew && state.opened == Opened::Ended && state.gone;
        if begins {
            (state.opened, state.gone) = (Opened::Unknown, false);
        }
        begins
    }

    /// Ends the session: whatever other requests of it are in flight, nothing of it stays live once this is committed.
    ///
    /// What is written afterwards in the same request, such as a farewell flash, goes to a fresh session;
    /// otherwise the client's cookie is cleared. Works after the response's head too, but then the cookie stays.
    pub fn logout(&self) {
        let mut state = self.state();
        let old = state.stored.as_ref().map(|stored| stored.key);
        // The key that the client sent counts too: it may have been moved on a moment ago, and its owner wants out.
        let sent = state.client.as_ref().and_then(|client| client.id.as_ref());
        let sent = sent.map(|id| crate::StoreKey::derive(&self.shared.env.name, id));
        let uncertain = state.uncertain.as_deref().and_then(UncertainWrite::leads_to);
        for key in [old, sent, uncertain].into_iter().flatten() {
            if !state.ending.contains(&key) {
                state.ending.push(key);
            }
        }
        state.reset(self.shared.env.blank());
        state.chosen = OwnPolicy::default();
        state.gone = false;
        state.ended = true;
    }
}
