//! Login, logout and rotation. All take effect with the next commit.

use std::fmt::Display;

use super::Session;
use super::key::{AnyKey, PrintedKey};
use super::log::{Keep, Op};
use super::opened::Opened;
use crate::codec::OwnPolicy;
use crate::commit::uncertain::UncertainWrite;
use crate::{Error, ErrorKind, Principal, Result};

pub(super) const NO_PRINCIPAL: Error =
    Error::fixed(ErrorKind::Unauthenticated, "the session has no principal; call `login` first");

impl Session {
    /// Signs `principal` in. The commit gives the session a new id, and the old id no longer opens it.
    ///
    /// The new id protects from session fixation: an id that an attacker planted or overheard before the login is useless after it
    /// (OWASP ASVS 5.0, 7.2.4).
    ///
    /// [`created_at`](Session::created_at) and [`auth_time`](Session::auth_time) become the present instant. Values of an anonymous
    /// session and of the same principal are kept. Those of another principal are dropped.
    ///
    /// Time-outs and persistence return to the manager's settings, because choices of a guest must not apply to the account's session
    /// (NIST SP 800-63B-4, 5.1; OWASP ASVS 5.0, 7.3.1). Choices of an earlier login are dropped too. Only choices of this request are kept,
    /// made before or after this call: [`remember`](Session::remember), [`set_idle`](Session::set_idle),
    /// [`set_absolute`](Session::set_absolute), [`set_persistent`](Session::set_persistent). A login in two steps has to carry them over as a value.
    ///
    /// If the session was revoked or moved to another id meanwhile, the login starts a new session with the values written after this call.
    /// The commit fails with [`ErrorKind::Gone`] instead in two cases:
    ///
    /// - A logout in another request came first.
    /// - This request took a value ([`take`](Session::take)), read and then wrote one, or required one to be unchanged
    ///   ([`require_unchanged`](Session::require_unchanged)). Two requests must not both succeed with that value.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.login("ann")?; // after the password was checked
    /// assert_eq!(session.principal().unwrap().as_str(), "ann");
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`Principal::new`]; [`ErrorKind::Closed`] after the response's head has been sent, because a login needs a cookie.
    pub fn login(&self, principal: impl Display) -> Result<()> {
        self.log_in(Principal::new(principal)?, Keep::All)
    }

    /// Signs `principal` in as [`login`](Session::login) does, and keeps only the values under `keys`.
    ///
    /// Keys of different types are given by their [names](crate::Key::name).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("cart", &["tea"])?;
    /// session.insert("draft", "of a guest")?;
    /// session.login_keeping("ann", ["cart"])?;
    /// assert_eq!(session.keys(), ["cart"]);
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`login`](Session::login), and [`ErrorKind::Other`] if a key cannot be printed.
    pub fn login_keeping(&self, principal: impl Display, keys: impl IntoIterator<Item = impl AnyKey>) -> Result<()> {
        let printed = |key| PrintedKey::new(key).map(|key| Box::from(&*key));
        let keys = keys.into_iter().map(printed).collect::<Result<_>>()?;
        self.log_in(Principal::new(principal)?, Keep::Only(keys))
    }

    fn log_in(&self, principal: Principal, keep: Keep) -> Result<()> {
        super::reentrancy::refuse(std::sync::Arc::as_ptr(&self.shared).cast())?;
        let mut state = self.state();
        state.cookie_possible()?;
        if state.gone {
            // The old session has left nothing that could be carried over.
            state.reset(self.shared.env.blank());
            state.gone = false;
        }
        let (at, own) = (self.shared.env.login_time(), state.chosen);
        state.push(Op::Login { principal, at, keep, own }, at)?;
        state.new_ids_wanted += 1;
        // Values may have been dropped, so earlier reads no longer hold.
        state.reads.clear();
        Ok(())
    }

    /// Notes that the principal has authenticated again. The session gets a new id, and both time-outs start again.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.login("ann")?;
    /// session.reauthenticate()?; // the password was asked for again
    /// assert!(session.auth_time().is_some());
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// - [`ErrorKind::Unauthenticated`]: the session has no principal.
    /// - [`ErrorKind::Gone`]: the session has moved or ended.
    /// - [`ErrorKind::Closed`]: the response's head has been sent, and a new id needs a cookie.
    pub fn reauthenticate(&self) -> Result<()> {
        let mut state = self.writing()?;
        state.cookie_possible()?;
        if state.view.principal.is_none() {
            return Err(NO_PRINCIPAL);
        }
        let at = self.now();
        state.push(Op::Reauthenticate { at }, at)?;
        state.new_ids_wanted += 1;
        Ok(())
    }

    /// Gives the session a new id with the next commit. The old id then no longer opens it. Call this when the rights of the session change.
    ///
    /// A session that is not stored yet gets a new id anyway.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.insert("role", "admin")?;
    /// session.rotate()?;
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Gone`] if the session has moved or ended, [`ErrorKind::Closed`] after the response's head has been sent.
    pub fn rotate(&self) -> Result<()> {
        let mut state = self.writing()?;
        state.cookie_possible()?;
        state.new_ids_wanted += 1;
        Ok(())
    }

    /// Lets a page start a new session after a logout that is at least 10 s old. Returns whether it does.
    ///
    /// It applies to a session that [opened](Session::opened) as [`Ended`](Opened::Ended). From then on it counts as
    /// [`Unknown`](Opened::Unknown), and accepts writes.
    ///
    /// This is for crates that connect sessions with HTTP. They call it only for requests that the browser must have made after it received
    /// the logout's response. Any other request may come from the page that signed out. A session that it started would
    /// replace the cookie of a login, so its writes stay [`Gone`](ErrorKind::Gone).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore};
    /// let session = Manager::new(NullStore).open(None).await?;
    /// assert!(!session.restart_if_ended(), "nothing ended it");
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[doc(hidden)]
    pub fn restart_if_ended(&self) -> bool {
        let mut state = self.state();
        let begins = state.may_restart && state.opened == Opened::Ended && state.gone;
        if begins {
            (state.opened, state.gone) = (Opened::Unknown, false);
        }
        begins
    }

    /// Ends the session. Once this is committed, no request can use or revive it, not even one that is already in flight.
    ///
    /// Later writes of the same request, such as a flash message, start a new session. Without them the client's cookie is cleared.
    /// A logout also works after the response's head has been sent, but the cookie then stays.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # let session = session_core::Manager::new(session_core::NullStore).open(None).await?;
    /// session.login("ann")?;
    /// session.logout();
    /// assert!(session.principal().is_none());
    /// session.flash("notice", "Goodbye")?; // in a new session
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn logout(&self) {
        let mut state = self.state();
        let old = state.stored.as_ref().map(|stored| stored.key);
        // The record under the client's key is ended too, because it may have moved to another id a moment ago.
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
