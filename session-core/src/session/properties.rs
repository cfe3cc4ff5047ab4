//! Properties of a session, and the time-outs that it may set for itself.

use std::time::Duration;

use super::log::Op;
use super::{Opened, Session};
use crate::{Handle, Principal, Result, Timestamp};

impl Session {
    /// Returns how the session was opened, such as resumed, unknown or expired.
    pub fn opened(&self) -> Opened {
        self.state().opened
    }

    /// Whether the session is not stored.
    pub fn is_new(&self) -> bool {
        self.state().stored.is_none()
    }

    /// Whether a commit has anything to do, such as changes to store or a logout to carry out.
    pub fn is_modified(&self) -> bool {
        self.state().is_modified()
    }

    /// Returns the start of the session, from which the absolute time-out counts. A login or reauthentication sets it to the present.
    pub fn created_at(&self) -> Timestamp {
        self.state().view.created_at
    }

    /// Returns the end of the session unless it is used before, by the time-outs in force now.
    ///
    /// For a session that is not stored, it is the end that it would have if it were stored now.
    pub fn expires_at(&self) -> Timestamp {
        let env = &*self.shared.env;
        let state = self.state();
        match &state.stored {
            Some(stored) => env.life(stored, env.now()).ends_at,
            None => env.policy.end(&state.view, env.now()),
        }
    }

    /// Returns the instant of the last login or reauthentication. `None` if the session has no principal.
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.state().view.auth_time
    }

    /// Returns the principal that is signed in. `None` for an anonymous session.
    pub fn principal(&self) -> Option<Principal> {
        self.state().view.principal.clone()
    }

    /// Returns the label that [`set_label`](Session::set_label) has set.
    pub fn label(&self) -> Option<String> {
        self.state().view.label.as_deref().map(String::from)
    }

    /// Whether the session asks for a cookie that outlives the browser.
    pub fn is_persistent(&self) -> bool {
        self.state().view.own.persistent
    }

    /// Returns the handle of the session, for lists and for operators. `None` if the session is not stored.
    pub fn handle(&self) -> Option<Handle> {
        self.state().stored.as_ref().map(|stored| stored.key.into())
    }

    /// Sets the label of the session in [lists](crate::Manager::sessions_of), such as its browser and place. A label over 255 bytes is cut.
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn set_label(&self, label: &str) -> Result<()> {
        let end = (0..=label.len().min(255)).rfind(|end| label.is_char_boundary(*end));
        let label = &label[..end.unwrap_or(0)];
        self.writing()?.push(Op::Label(Some(label.into())))
    }

    /// Sets the session's own idle time-out, which replaces the manager's. `None` restores the manager's.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is below a millisecond or above the manager's
    /// [`max_idle`](crate::ManagerBuilder::max_idle), and those of [`insert`](Session::insert).
    pub fn set_idle(&self, idle: Option<Duration>) -> Result<()> {
        self.shared.env.policy.check_own(idle, self.shared.env.policy.max_idle)?;
        let mut state = self.writing()?;
        state.push(Op::Idle(idle))?;
        state.chosen.idle = idle;
        Ok(())
    }

    /// Caps the session's idle time-out at `longest`, for a cookie with a fixed lifetime.
    ///
    /// # Errors
    /// The errors of [`set_idle`](Self::set_idle).
    #[doc(hidden)]
    pub fn idle_at_most(&self, longest: Duration) -> Result<()> {
        let longer = self.shared.env.policy.idle(&self.state().view) > longest;
        if longer { self.set_idle(Some(longest)) } else { Ok(()) }
    }

    /// Sets the session's own absolute time-out, which replaces the manager's. `None` restores the manager's.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if it is below a millisecond or above the manager's
    /// [`max_absolute`](crate::ManagerBuilder::max_absolute), and those of [`insert`](Session::insert).
    pub fn set_absolute(&self, absolute: Option<Duration>) -> Result<()> {
        self.shared.env.policy.check_own(absolute, self.shared.env.policy.max_absolute)?;
        let mut state = self.writing()?;
        state.push(Op::Absolute(absolute))?;
        state.chosen.absolute = absolute;
        Ok(())
    }

    /// Sets whether the session asks for a cookie that outlives the browser ("remember me"). The lifetime of that cookie follows the session's.
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn set_persistent(&self, persistent: bool) -> Result<()> {
        let mut state = self.writing()?;
        state.push(Op::Persistent(persistent))?;
        state.chosen.persistent = persistent;
        Ok(())
    }

    /// Makes the next [`close`](crate::Manager::close) issue the same id again, such as for a cookie that was signed with an older key.
    #[doc(hidden)]
    pub fn renew_cookie(&self) {
        if let Some(client) = &mut self.state().client {
            client.outdated = true;
        }
    }

    /// Drops the changes that have not been saved. A [`logout`](Session::logout) is kept, and the next commit carries it out.
    pub fn discard(&self) {
        self.state().discard();
    }

    /// Drops the changes that have not been saved, because their request ends without a commit. Also closes the session.
    ///
    /// A task that outlives the request may have made some of them. So if there were any, the next [`save`](Session::save) of every clone
    /// returns [`ErrorKind::Gone`](crate::ErrorKind::Gone), until a task acknowledges the loss by [`discard`](Session::discard),
    /// [`reload`](Session::reload) or [`logout`](Session::logout). A logout is kept: [`Manager::close`](crate::Manager::close) still carries it out.
    ///
    /// This is for crates that connect sessions with HTTP.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{ErrorKind, Manager, NullStore};
    /// let session = Manager::new(NullStore).open(None).await?;
    /// session.insert("n", &1)?;
    /// session.abandon();
    /// assert!(!session.contains("n"));
    /// assert_eq!(session.login("ann").unwrap_err().kind(), ErrorKind::Closed);
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn abandon(&self) {
        self.state().abandon();
    }
}
