//! A store joined with a policy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::commit::Committer;
use crate::commit::write_queue::WriteQueues;
use crate::{Commit, Result, Session, Store, Timestamp};

mod builder;
pub(crate) mod environment;
mod policy;
mod principals;
mod purge;

pub use builder::ManagerBuilder;
pub use policy::ConflictPolicy;
pub use principals::SessionInfo;

use environment::Environment;

/// Opens sessions of one kind, closes them, and looks after them: a [`Store`] joined with a policy.
///
/// It knows no HTTP, and no clock but the one it is given. Clones are the same manager.
///
/// ```
/// # pollster::block_on(async {
/// use session_core::{Commit, Manager, NullStore, hours};
///
/// let manager = Manager::builder(NullStore).name("id").idle(hours(1)).absolute(hours(24)).build()?;
///
/// let session = manager.open(None).await?; // what the client sent, if anything
/// session.insert("cart", &["tea"])?;
/// let commit = manager.close(&session).await?; // what the client must be told
/// assert_eq!(commit, Commit::Unchanged); // for this store keeps nothing
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Manager {
    env: Arc<Environment>,
}

impl Manager {
    /// The logical name of its sessions, which takes part in their keys.
    pub fn name(&self) -> &str {
        &self.env.name
    }

    /// Where its sessions are kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.env.store
    }

    /// The present instant by its clock.
    pub fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// The session that the client's value opens; a new one if there is none. [`Session::opened`] says which.
    ///
    /// There is always a session, and nothing is stored by opening one. An id that is unknown is never adopted:
    /// what is written goes under a new one. A record that does not decode gives a new session and an error event.
    /// Without a value, or with one that is no id, the store is not asked.
    ///
    /// # Errors
    /// Those of the store: above all [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable). An outage is never taken for a blank session.
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a record in a [codec](crate::Codec) that this program is built without.
    pub async fn open(&self, client_value: Option<&str>) -> Result<Session> {
        Session::open(&self.env, client_value).await
    }

    /// Stores what was changed and closes the handle: afterwards what needs a new cookie is
    /// [`Closed`](crate::ErrorKind::Closed), while the rest still works by [`Session::save`].
    ///
    /// A session that was only read is touched, at most once per tenth of its idle time-out and once per hour. A touch that fails
    /// is a warning event and no error, because nothing that was confirmed is lost by it.
    ///
    /// The answer has an id only if this call has written or touched the record under it, also where an earlier save has stored it.
    /// So a late response does not put an old id over the one that a login in another request has set.
    ///
    /// # Errors
    /// As [`Session::save`]; the handle then stays open. [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) also if an earlier save
    /// has stored a new id and the store does not answer whether the session is still there: closing again asks again.
    pub async fn close(&self, session: &Session) -> Result<Commit> {
        Committer(session).close().await
    }

    /// [`close`](Self::close), at once, where it needs nothing of the store; `None` if it does, and then nothing was done.
    ///
    /// For whoever puts this under a framework: most requests only read, and for those it takes no future that must be
    /// kept alive when the client hangs up.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Commit, Manager, NullStore};
    /// # let manager = Manager::new(NullStore);
    /// let session = manager.open(None).await?;
    /// let commit = match manager.close_at_once(&session) {
    ///     Some(commit) => commit,
    ///     None => manager.close(&session).await?,
    /// };
    /// assert_eq!(commit, Commit::Unchanged);
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn close_at_once(&self, session: &Session) -> Option<Commit> {
        Committer(session).close_at_once()
    }
}

/// For crates that put sessions under HTTP.
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
        let can = store.capabilities();
        let env = Environment {
            store: Arc::new(store),
            discards: can.discards,
            is_shared: can.shared,
            for_request: true,
            queues: Arc::new(WriteQueues::new(can.shared)),
            ..(*self.env).clone()
        };
        Self { env: Arc::new(env) }
    }

    /// A manager whose sessions lie unused for `longest` at most, whatever they set for themselves, and whose clients are told
    /// whenever the idle time-out begins anew: for cookies that live for `longest`.
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
        let policy = self.env.policy.idle_at_most(longest);
        let queues = Arc::new(WriteQueues::new(self.env.is_shared));
        Self { env: Arc::new(Environment { policy, renews_cookies: true, queues, ..(*self.env).clone() }) }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("name", &self.env.name)
            .field("store", &self.env.store)
            .field("policy", &self.env.policy)
            .finish_non_exhaustive()
    }
}
