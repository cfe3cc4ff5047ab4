//! Managers that differ from another in one thing, for whoever puts sessions under HTTP.

use std::sync::Arc;
use std::time::Duration;

use super::{Inner, Manager};
use crate::Store;

impl Manager {
    /// A manager of the same name, policy and clock over `store`, which lives for one request: what is in it by the time the
    /// response's head leaves goes to the client. For whoever keeps the session in the cookie, as `session-http` does.
    ///
    /// Once its session is [closed](Self::close) every write is [`Closed`](crate::ErrorKind::Closed), for nobody would ever see it.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).name("cart").build()?;
    /// let of_one_request = manager.for_request(NullStore);
    /// assert_eq!(of_one_request.name(), "cart");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn for_request(&self, store: impl Store) -> Self {
        let discards = store.capabilities().discards;
        let inner = Inner { store: Arc::new(store), discards, for_request: true, ..(*self.inner).clone() };
        Self { inner: Arc::new(inner) }
    }

    /// The same manager, whose sessions lie unused for `longest` at most, whatever they set for themselves:
    /// for whoever hands them out for no longer than that.
    ///
    /// ```
    /// use session_core::{Manager, NullStore, hours, minutes};
    ///
    /// # pollster::block_on(async {
    /// let manager = Manager::builder(NullStore).idle(hours(1)).build()?.idle_at_most(minutes(5));
    /// let session = manager.open(None).await?;
    /// assert_eq!(session.expires_at(), session.created_at().plus(minutes(5)));
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    #[must_use]
    pub fn idle_at_most(&self, longest: Duration) -> Self {
        let policy = self.inner.policy.idle_at_most(longest);
        Self { inner: Arc::new(Inner { policy, ..(*self.inner).clone() }) }
    }
}
