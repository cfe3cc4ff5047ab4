//! Functions of the application that a manager calls.

use std::error::Error as StdError;

use super::ManagerBuilder;
use crate::manager::listener::Listener;
use crate::manager::verifier::Verifier;
use crate::{Event, SessionInfo};

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

    /// Sets a function that receives every [`Event`] of the manager's sessions, such as a login or a revocation.
    ///
    /// An event is sent once the store has confirmed the change, and once, however often the change was replayed or sent again.
    /// A process that ends between the two sends none, so an audit log that must be complete compares it with the store.
    ///
    /// The function is called in the task that commits, so it should be fast, such as a send into a channel. Its panic is caught and logged.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use std::sync::mpsc;
    ///
    /// use session_core::{EventKind, Manager, NullStore};
    ///
    /// let (send, audit) = mpsc::channel();
    /// let manager = Manager::builder(NullStore)
    ///     .on_event(move |event| {
    ///         if event.kind == EventKind::Login {
    ///             let _ = send.send(event.clone());
    ///         }
    ///     })
    ///     .build()?;
    /// # let session = manager.open(None).await?;
    /// # session.login("ann")?;
    /// # let _ = manager.close(&session).await?;
    /// # assert!(audit.try_recv().is_err(), "this store keeps nothing");
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn on_event(mut self, listen: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.listener = Some(Listener::new(listen));
        self
    }
}
