//! Settings of signed-in sessions.

use std::time::Duration;

use super::ManagerBuilder;
#[cfg(doc)]
use crate::ErrorKind;
use crate::manager::excess::{Excess, SessionLimit};

impl ManagerBuilder {
    /// Sets for how long a session is [remembered](crate::Session::remember), for "remember me". Not set, no session can be.
    ///
    /// It is both time-outs of a remembered session, counted from the login. It must not be shorter than [`idle`](Self::idle).
    /// A changed time also applies to sessions that are remembered already.
    ///
    /// NIST SP 800-63B-4, 2.1.3 asks for a new authentication at least every 30 days at AAL1. Higher levels allow no such time.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, days};
    /// let manager = Manager::builder(NullStore).remember(days(30)).build()?;
    /// let session = manager.open(None).await?;
    /// session.login("ann")?;
    /// session.remember()?; // the user has ticked "remember me"
    /// assert_eq!(session.expires_at(), session.created_at().plus(days(30)));
    /// # session.discard();
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub const fn remember(mut self, time: Duration) -> Self {
        self.remember = Some(time);
        self
    }

    /// Limits how many sessions of this manager's name a principal may have at a time (OWASP ASVS 5.0, 7.1.2). `excess` says what a login
    /// does that would exceed `sessions`. At least 1; no limit unless set.
    ///
    /// The sessions are listed after each login is stored, so logins at the same time exceed the limit only until their commits end.
    ///
    /// - [`Excess::EndOldest`]: sessions are kept in the order of their last use, then of their login. A use after a login never puts
    ///   another session before the login's. Logins at the same time may leave fewer sessions than allowed, but at least one. A login that
    ///   is ended by newer ones in this way fails with [`ErrorKind::Gone`].
    ///   Times are whole milliseconds. So that the newer login stays, logins of one manager count as a millisecond apart, for 100 ms at most.
    /// - [`Excess::Refuse`]: the commit of the login fails with [`ErrorKind::TooManySessions`] and stores nothing. Commit it by
    ///   [`Session::save`](crate::Session::save) to handle that, and [`discard`](crate::Session::discard) the login then. Of logins at the
    ///   same time all may be refused, and then they have ended the sessions that they began from.
    ///
    /// The store must list by [principal](crate::Capabilities::by_principal). A login then costs another call to the store.
    ///
    /// ```
    /// # use session_core::{Capabilities, Manager, Store};
    /// use session_core::Excess;
    ///
    /// fn at_most_three(store: impl Store) -> session_core::Result<Manager> {
    ///     Manager::builder(store).max_sessions(3, Excess::EndOldest).build()
    /// }
    /// # assert!(at_most_three(session_core::NullStore).is_err(), "it has no lists");
    /// ```
    #[must_use]
    pub const fn max_sessions(mut self, sessions: u32, excess: Excess) -> Self {
        self.session_limit = Some(SessionLimit { most: sessions, excess });
        self
    }
}
