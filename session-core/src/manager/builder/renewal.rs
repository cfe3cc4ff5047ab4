//! Settings of the renewal of ids.

use std::time::Duration;

use super::ManagerBuilder;
#[cfg(doc)]
use crate::EventKind;

impl ManagerBuilder {
    /// Renews the id of each session once it is `age` old (OWASP Session Management Cheat Sheet, "Renewal Timeout"). A stolen id is then of
    /// use for a limited time. Not renewed unless set.
    ///
    /// `age` is from 1 minute to the longest absolute time-out. It counts from the last renewal, login, reauthentication or
    /// [rotation](crate::Session::rotate).
    ///
    /// [`close`](crate::Manager::close) renews the id after it has stored the changes of the request, so the response sets a new cookie. This
    /// is the event [`EventKind::Renewed`]. A request that [keeps the expiry](crate::Session::keep_expiry) renews no id. A renewal that fails is a
    /// warning event and no error: the response sets no cookie, and the id stays.
    ///
    /// A renewal changes no right of the session. So the old id still opens it until a client was seen to have the new id, and for 30 s after.
    /// A request with the old id is given the new one again. So neither a lost response nor a second tab loses the session. As soon as the
    /// session has ended, or has got another id by a login, a reauthentication or a rotation, the old id opens nothing.
    ///
    /// A later use of the old id opens nothing, and is the event [`EventKind::Reused`]; see [`revoke_reused`](Self::revoke_reused). It is
    /// noticed until the next renewal.
    ///
    /// - A client must take the new value from each response. One that keeps the old value keeps its session, but its id is not renewed again.
    /// - A task that keeps a session for longer than a request follows a renewal when it next saves, reloads or touches the session. After
    ///   two renewals in between, that is [`Gone`](crate::ErrorKind::Gone).
    /// - A renewal costs the store four writes.
    /// - A session that is kept in its cookie cannot be renewed. The set of sessions is then [`Config`](crate::ErrorKind::Config).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{ErrorKind, Manager, NullStore, minutes, seconds};
    /// let manager = Manager::builder(NullStore).renew_id_every(minutes(15)).build()?;
    /// # let session = manager.open(None).await?;
    /// # assert_eq!(manager.close(&session).await?, session_core::Commit::Unchanged);
    ///
    /// let error = Manager::builder(NullStore).renew_id_every(seconds(10)).build().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Config);
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`build`](Self::build) returns [`Config`](crate::ErrorKind::Config) if `age` is outside its range.
    #[must_use]
    pub const fn renew_id_every(mut self, age: Duration) -> Self {
        self.renewal.every = Some(age);
        self
    }

    /// Ends a session when its old id is used more than 30 s after a client was seen to have the new one.
    ///
    /// Then two clients have used ids of one session, and one of them has stolen an id. It is unknown which, so both are signed out, as
    /// for tokens that are reused (RFC 9700, 4.14.2). Each such use is the event [`EventKind::Reused`], and the end is [`EventKind::Revoked`].
    ///
    /// Without this setting the session goes on for the client with the new id. A browser that restores an old cookie, such as from a
    /// backup, looks like a thief.
    ///
    /// Without [`renew_id_every`](Self::renew_id_every), [`build`](Self::build) returns [`Config`](crate::ErrorKind::Config).
    ///
    /// ```
    /// use session_core::{EventKind, Manager, NullStore, minutes};
    ///
    /// let manager = Manager::builder(NullStore)
    ///     .renew_id_every(minutes(15))
    ///     .revoke_reused()
    ///     .on_event(|event| {
    ///         if event.kind == EventKind::Reused {
    ///             eprintln!("an id of {:?} may be stolen", event.principal);
    ///         }
    ///     })
    ///     .build()?;
    /// # drop(manager);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub const fn revoke_reused(mut self) -> Self {
        self.renewal.revokes_reused = true;
        self
    }
}
