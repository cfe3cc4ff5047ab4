//! What a session is, and the policy it may set for itself.

use std::time::Duration;

use super::log::Op;
use super::{Opened, Session};
use crate::{Handle, Principal, Result, Timestamp};

impl Session {
    /// How it came to be.
    pub fn opened(&self) -> Opened {
        self.state().opened
    }

    /// Whether nothing of it is stored.
    pub fn is_new(&self) -> bool {
        self.state().stored.is_none()
    }

    /// Whether there is anything that a commit would store.
    pub fn is_modified(&self) -> bool {
        self.state().is_modified()
    }

    /// When it began; the absolute time-out counts from here. A login or reauthentication begins it anew.
    pub fn created_at(&self) -> Timestamp {
        self.state().view.created_at
    }

    /// When it ends unless it is used, by today's time-outs; of a new session, when it would if it were stored now.
    pub fn expires_at(&self) -> Timestamp {
        let env = &*self.shared.env;
        let state = self.state();
        match &state.stored {
            Some(stored) => env.life(stored, env.now()).ends_at,
            None => env.policy.end(&state.view, env.now()),
        }
    }

    /// When its principal last proved who they are; `None` if nobody is signed in.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.state().view.auth_time
    }

    /// Who is signed in.
    pub fn principal(&self) -> Option<Principal> {
        self.state().view.principal.clone()
    }

    /// What [`set_label`](Session::set_label) said.
    pub fn label(&self) -> Option<String> {
        self.state().view.label.as_deref().map(String::from)
    }

    /// Whether it asks for a cookie that outlives the browser.
    pub fn is_persistent(&self) -> bool {
        self.state().view.own.persistent
    }

    /// Its handle for lists and operators; `None` while nothing is stored.
    pub fn handle(&self) -> Option<Handle> {
        self.state().stored.as_ref().map(|stored| stored.key.into())
    }

    /// Describes it in [lists](crate::Manager::sessions_of), such as by browser and place. What is longer than 255 bytes is cut.
    ///
    /// # Errors
    /// As [`insert`](Session::insert).
    pub fn set_label(&self, label: &str) -> Result<()> {
        let end = (0..=label.len().min(255)).rfind(|end| label.is_char_boundary(*end));
        let label = &label[..end.unwrap_or(0)];
        self.writing()?.push(Op::Label(Some(label.into())))
    }

    /// Its own idle time-out, in place of the manager's; `None` for the manager's again.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is zero or over the manager's [`max_idle`](crate::ManagerBuilder::max_idle);
    /// else as [`insert`](Session::insert).
    pub fn set_idle(&self, idle: Option<Duration>) -> Result<()> {
        self.shared.env.policy.check_own(idle, self.shared.env.policy.max_idle)?;
        let mut state = self.writing()?;
        state.push(Op::Idle(idle))?;
        state.chosen.idle = idle;
        Ok(())
    }

    /// Makes its idle time-out `longest` where it is longer: what its cookie's own lifetime allows.
    ///
    /// # Errors
    /// As [`set_idle`](Self::set_idle).
    pub fn idle_at_most(&self, longest: Duration) -> Result<()> {
        let longer = self.shared.env.policy.idle(&self.state().view) > longest;
        if longer { self.set_idle(Some(longest)) } else { Ok(()) }
    }

    /// Its own absolute time-out, in place of the manager's; `None` for the manager's again.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is zero or over the manager's [`max_absolute`](crate::ManagerBuilder::max_absolute);
    /// else as [`insert`](Session::insert).
    pub fn set_absolute(&self, absolute: Option<Duration>) -> Result<()> {
        self.shared.env.policy.check_own(absolute, self.shared.env.policy.max_absolute)?;
        let mut state = self.writing()?;
        state.push(Op::Absolute(absolute))?;
        state.chosen.absolute = absolute;
        Ok(())
    }

    /// Asks for a cookie that outlives the browser ("remember me"), with a lifetime in step with the session's.
    ///
    /// # Errors
    /// As [`insert`](Session::insert).
    pub fn set_persistent(&self, persistent: bool) -> Result<()> {
        let mut state = self.writing()?;
        state.push(Op::Persistent(persistent))?;
        state.chosen.persistent = persistent;
        Ok(())
    }

    /// Asks for a new cookie of the same id with the next [`close`](crate::Manager::close), such as in place of one that an older key signed.
    #[doc(hidden)]
    pub fn renew_cookie(&self) {
        if let Some(client) = &mut self.state().client {
            client.outdated = true;
        }
    }

    /// Drops the changes that have not been saved. A [`logout`](Session::logout) is kept: the next commit carries it out.
    pub fn discard(&self) {
        self.state().discard();
    }
}
