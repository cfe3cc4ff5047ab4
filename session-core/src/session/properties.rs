//! Properties of a session, and the time-outs that it may set for itself.

use std::time::Duration;

use super::log::Op;
use super::{Opened, Session};
use crate::{Error, ErrorKind, EventKind, Handle, Principal, Result, Timestamp};

impl Session {
    /// Returns how the session was opened, such as resumed, unknown or expired.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// assert_eq!(session.opened(), session_core::Opened::New);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn opened(&self) -> Opened {
        self.state().opened
    }

    /// Whether the session is not stored.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// assert!(session.is_new());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn is_new(&self) -> bool {
        self.state().stored.is_none()
    }

    /// Whether a commit has anything to do, such as changes to store or a logout to carry out.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// assert!(!session.is_modified());
    /// session.insert("n", &1)?;
    /// assert!(session.is_modified());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn is_modified(&self) -> bool {
        self.state().is_modified()
    }

    /// Whether there are changes that no commit has stored, besides a logout. [`abandon`](Self::abandon) would drop them.
    ///
    /// For `session-http`, whose event says that changes were dropped.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.logout();
    /// assert!(!session.has_changes());
    /// session.insert("n", &1)?;
    /// assert!(session.has_changes());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[doc(hidden)]
    pub fn has_changes(&self) -> bool {
        self.state().has_new_changes()
    }

    /// Returns the start of the session, from which the absolute time-out counts. A login or reauthentication sets it to the present.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, minutes};
    /// let manager = Manager::new(NullStore);
    /// let session = manager.open(None).await?;
    /// let age = manager.now().since(session.created_at());
    /// assert!(age < minutes(1));
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn created_at(&self) -> Timestamp {
        self.state().view.created_at
    }

    /// Returns the end of the session unless it is used before, by the time-outs in force now.
    ///
    /// For a session that is not stored, it is the end that it would have if it were stored now.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, minutes};
    /// let manager = Manager::builder(NullStore).idle(minutes(30)).build()?;
    /// let session = manager.open(None).await?;
    /// let left = session.expires_at().since(manager.now());
    /// assert!(left <= minutes(30));
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn expires_at(&self) -> Timestamp {
        let env = &*self.shared.env;
        let state = self.state();
        match &state.stored {
            Some(stored) => env.life(stored, env.now()).ends_at,
            None => env.policy.end(&state.view, env.now()),
        }
    }

    /// Returns the instant of the last login or reauthentication. `None` if the session has no principal.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// assert_eq!(session.auth_time(), None);
    /// session.login("ann")?;
    /// assert!(session.auth_time().is_some());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn auth_time(&self) -> Option<Timestamp> {
        self.state().view.auth_time
    }

    /// Returns the principal that is signed in. `None` for an anonymous session.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.login("ann")?;
    /// assert_eq!(session.principal().unwrap().as_str(), "ann");
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn principal(&self) -> Option<Principal> {
        self.state().view.principal.clone()
    }

    /// Returns the label that [`set_label`](Session::set_label) has set.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.set_label("Firefox on Linux")?;
    /// assert_eq!(session.label().as_deref(), Some("Firefox on Linux"));
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn label(&self) -> Option<String> {
        self.state().view.label.as_deref().map(String::from)
    }

    /// Whether the session asks for a cookie that outlives the browser.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// assert!(!session.is_persistent());
    /// session.set_persistent(true)?;
    /// assert!(session.is_persistent());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn is_persistent(&self) -> bool {
        self.shared.env.policy.is_persistent(&self.state().view)
    }

    /// Returns the handle of the session, for lists and for operators. `None` if the session is not stored.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// assert_eq!(session.handle(), None); // nothing is stored yet
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn handle(&self) -> Option<Handle> {
        self.state().stored.as_ref().map(|stored| stored.key.into())
    }

    /// Sets the label of the session in [lists](crate::Manager::sessions_of), such as its browser and place. A label over 255 bytes is cut.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.set_label("Firefox on Linux")?;
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn set_label(&self, label: &str) -> Result<()> {
        let end = (0..=label.len().min(255)).rfind(|end| label.is_char_boundary(*end));
        let label = &label[..end.unwrap_or(0)];
        self.writing()?.push(Op::Label(Some(label.into())), self.now())
    }

    /// Sets the session's own idle time-out, which replaces the manager's. `None` restores the manager's.
    ///
    /// For "remember me" call [`remember`](Session::remember), which sets all that it needs.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, days};
    /// let manager = Manager::builder(NullStore).max_idle(days(14)).max_absolute(days(90)).build()?;
    /// let session = manager.open(None).await?;
    /// session.set_absolute(Some(days(90)))?;
    /// session.set_idle(Some(days(14)))?;
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is below a millisecond or above the manager's
    /// [`max_idle`](crate::ManagerBuilder::max_idle), and those of [`insert`](Session::insert).
    pub fn set_idle(&self, idle: Option<Duration>) -> Result<()> {
        self.shared.env.policy.check_own_idle(idle)?;
        let mut state = self.writing()?;
        state.push(Op::Idle(idle), self.now())?;
        state.chosen.idle = idle;
        Ok(())
    }

    /// Caps the session's idle time-out at `longest`, for a cookie with a fixed lifetime.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.idle_at_most(session_core::minutes(5))?;
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
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
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, days};
    /// let manager = Manager::builder(NullStore).max_absolute(days(30)).build()?;
    /// let session = manager.open(None).await?;
    /// session.set_absolute(Some(days(30)))?;
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if it is below a millisecond or above the manager's
    /// [`max_absolute`](crate::ManagerBuilder::max_absolute), and those of [`insert`](Session::insert).
    pub fn set_absolute(&self, absolute: Option<Duration>) -> Result<()> {
        self.shared.env.policy.check_own_absolute(absolute)?;
        let mut state = self.writing()?;
        state.push(Op::Absolute(absolute), self.now())?;
        state.chosen.absolute = absolute;
        Ok(())
    }

    /// Remembers the session: its cookie outlives the browser, and both of its time-outs are the manager's
    /// [`remember`](crate::ManagerBuilder::remember), counted from the login.
    ///
    /// Call it before or after [`login`](Session::login), in the same request. A later login forgets it, and so does
    /// [`set_persistent(false)`](Session::set_persistent). Time-outs that the session sets for itself still replace the remembered ones.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, days};
    /// let manager = Manager::builder(NullStore).remember(days(30)).build()?;
    /// let session = manager.open(None).await?;
    /// session.login("ann")?;
    /// session.remember()?; // the user has ticked "remember me"
    /// assert!(session.is_persistent());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the manager has no [`remember`](crate::ManagerBuilder::remember), and those of
    /// [`insert`](Session::insert).
    pub fn remember(&self) -> Result<()> {
        if !self.shared.env.policy.remembers() {
            return Err(Error::fixed(
                ErrorKind::Config,
                "the manager remembers no session; say for how long by `ManagerBuilder::remember`",
            ));
        }
        self.set_remembered(true)
    }

    fn set_remembered(&self, remember: bool) -> Result<()> {
        let now = self.now();
        let mut state = self.writing()?;
        state.push(Op::Remember(remember), now)?;
        state.chosen.remember = remember;
        Ok(())
    }

    /// Sets whether the session asks for a cookie that outlives the browser. The lifetime of that cookie follows the session's.
    ///
    /// For "remember me" call [`remember`](Session::remember), which also sets the time-outs. `false` ends that too.
    ///
    /// Browsers keep a cookie for at most 400 days (RFC 6265bis, 5.5). So over HTTP a longer idle time-out of the session becomes 400 days,
    /// and both end together.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.set_persistent(true)?;
    /// assert!(session.is_persistent());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`insert`](Session::insert).
    pub fn set_persistent(&self, persistent: bool) -> Result<()> {
        let mut state = self.writing()?;
        state.push(Op::Persistent(persistent), self.now())?;
        state.chosen.persistent = persistent;
        let remembered = state.view.own.remember;
        drop(state);
        if remembered && !persistent { self.set_remembered(false) } else { Ok(()) }
    }

    /// Makes the next [`close`](crate::Manager::close) issue the same id again, such as for a cookie that was signed with an older key.
    #[doc(hidden)]
    pub fn renew_cookie(&self) {
        if let Some(client) = &mut self.state().client {
            client.outdated = true;
        }
    }

    /// Drops the changes that have not been saved. A [`logout`](Session::logout) is kept, and the next commit carries it out.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("n", &1)?;
    /// session.discard();
    /// assert!(!session.contains("n"));
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn discard(&self) {
        self.state().discard();
    }

    /// Drops the changes that have not been saved, because their request ends without a commit. Also closes the session.
    /// If there were any, this is the event [`EventKind::Dropped`].
    ///
    /// A task that outlives the request may have made some of them. So if there were any, the next [`save`](Session::save) of every clone
    /// returns [`ErrorKind::Gone`], until a task acknowledges the loss by [`discard`](Session::discard),
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
        let (any, content, key) = {
            let mut state = self.state();
            let (content, key) = (state.base.clone(), state.stored.as_ref().map(|stored| stored.key));
            (state.abandon(), content, key)
        };
        if any {
            self.shared.env.emit(EventKind::Dropped, &content, key.as_ref());
        }
    }
}
