//! Functions of the application that a manager calls.

use std::error::Error as StdError;

use super::ManagerBuilder;
use crate::SessionInfo;
use crate::manager::verifier::Verifier;

impl ManagerBuilder {
    /// Sets a check of every session with a principal, each time it is opened. A session that fails it ends, and opens as
    /// [`Unknown`](crate::Opened::Unknown).
    ///
    /// It is for what only the application knows: disabled accounts, and sessions from before a change of password or rights
    /// (OWASP ASVS 5.0, 7.4.2 and 7.4.3). It works on any store, also for sessions that are kept in their cookie.
    /// [`reload`](crate::Session::reload) opens the session again, and so checks it.
    ///
    /// The check is part of every request with a signed-in session, so it should be fast, such as a look into a cache.
    /// It is not called for anonymous sessions, nor for a [`login`](crate::Session::login).
    ///
    /// If `verify` returns an error, the session is not opened, and stays as it is. Opening it returns
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable), which HTTP answers with 503.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use std::sync::{Arc, RwLock};
    ///
    /// use session_core::{Manager, NullStore, Timestamp};
    ///
    /// /// Instant before which a user's sessions are invalid. A disabled account has `Timestamp::MAX`.
    /// type NotBefore = Arc<RwLock<HashMap<String, Timestamp>>>;
    ///
    /// let not_before = NotBefore::default();
    /// let known = not_before.clone();
    /// let manager = Manager::builder(NullStore)
    ///     .verify(move |info| {
    ///         let user = info.principal.map(|user| user.to_string()).unwrap_or_default();
    ///         let not_before = known.read().map(|known| known.get(&user).copied()).map_err(|_| "the table is broken");
    ///         async move { not_before.map(|not_before| info.auth_time >= not_before) }
    ///     })
    ///     .build()?;
    /// # drop(manager);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn verify<F, V, E>(mut self, verify: F) -> Self
    where
        F: Fn(SessionInfo) -> V + Send + Sync + 'static,
        V: Future<Output = Result<bool, E>> + Send + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
    {
        self.verifier = Some(Verifier::new(verify));
        self
    }
}
