//! Manager: a store joined with a policy.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::commit::Committer;
use crate::commit::write_queue::WriteQueues;
use crate::{Commit, Result, Session, Store, Timestamp};

mod administration;
mod builder;
mod description;
pub(crate) mod environment;
mod event;
mod excess;
mod filter;
mod listener;
mod login_times;
mod old_ids;
mod policy;
mod principals;
mod purge;
pub(crate) mod renewal;
mod report;
mod session_info;
pub(crate) mod session_limit;
pub(crate) mod verification;
mod verifier;

pub use builder::ManagerBuilder;
pub use event::{Event, EventKind};
pub use excess::Excess;
pub use filter::Filter;
pub use policy::ConflictPolicy;
pub use session_info::SessionInfo;

use environment::Environment;

/// Opens, closes, lists, ends and purges sessions. A manager joins a [`Store`] with a policy.
///
/// It is independent of HTTP, and reads the time only from its [`Clock`](crate::Clock). Clones are the same manager.
///
/// ```
/// # pollster::block_on(async {
/// use session_core::{Commit, Manager, NullStore, hours};
///
/// let manager = Manager::builder(NullStore).name("id").idle(hours(1)).absolute(hours(24)).build()?;
///
/// let session = manager.open(None).await?; // the client's cookie value, if it sent one
/// session.insert("cart", &["tea"])?;
/// let commit = manager.close(&session).await?; // the cookie to send, if any
/// assert_eq!(commit, Commit::Unchanged); // because this store keeps nothing
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Manager {
    env: Arc<Environment>,
}

impl Manager {
    /// Returns the logical name of the manager's sessions, which is part of their keys.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).name("shop").build()?;
    /// assert_eq!(manager.name(), "shop");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        &self.env.name
    }

    /// Returns the store of the manager's sessions.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    ///
    /// let manager = Manager::new(NullStore);
    /// assert!(manager.store().capabilities().discards);
    /// ```
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.env.store
    }

    /// Returns the present instant by the manager's clock.
    ///
    /// ```
    /// use session_core::{Clock, Manager, NullStore, SystemClock};
    ///
    /// let manager = Manager::new(NullStore);
    /// assert!(manager.now() <= SystemClock.now());
    /// ```
    pub fn now(&self) -> Timestamp {
        self.env.now()
    }

    /// Opens the session of the client's value, or a new one if there is none. [`Session::opened`] tells which.
    ///
    /// Opening stores nothing. An unknown id is never adopted: changes are stored under a new id.
    /// A record that does not decode gives a new session and an error event.
    /// The store is not called if there is no value, or if the value is not an id.
    /// A session with a principal is checked by [`verify`](ManagerBuilder::verify), if that is set.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, Opened};
    /// let manager = Manager::new(NullStore);
    /// let cookie: Option<&str> = None; // value of the request's cookie
    /// let session = manager.open(cookie).await?;
    /// assert_eq!(session.opened(), Opened::New);
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// Errors of the store, mostly [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable). An outage never gives a new session.
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for a record in a [codec](crate::Codec) that this program is built without.
    pub async fn open(&self, client_value: Option<&str>) -> Result<Session> {
        Session::open(&self.env, client_value).await
    }

    /// Stores the changes of `session`, closes it, and returns what the client must be told. Call it before the response's head is sent.
    ///
    /// After this, operations that need a new cookie return [`Closed`](crate::ErrorKind::Closed). Other changes can still be stored by
    /// [`Session::save`].
    ///
    /// A session that was only read is touched once its stored last use is a tenth of its idle time-out, or an hour, ago.
    /// A touch that fails is a warning event and no error, because it loses no change.
    ///
    /// The result has an id only if this call has written or touched the record under that id, also if an earlier save has stored it.
    /// So a late response cannot replace the id that a login in another request has set.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Commit, Manager, NullStore};
    /// let manager = Manager::new(NullStore);
    /// let session = manager.open(None).await?;
    /// session.insert("theme", "dark")?;
    /// let set_cookie = match manager.close(&session).await? {
    ///     Commit::Issue(update) => Some(format!("id={}", update.value.as_str())),
    ///     Commit::Clear => Some("id=; Max-Age=0".into()),
    ///     Commit::Unchanged | Commit::Extended(_) => None,
    /// };
    /// # assert_eq!(set_cookie, None); // this store keeps nothing
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`Session::save`]. The session then stays open.
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) also if an earlier save has stored a new id, and the store does not answer
    /// whether the session is still stored. Another call asks it again.
    pub async fn close(&self, session: &Session) -> Result<Commit> {
        Committer(session).close().await
    }

    /// Closes `session` without a future, if the store is not needed. Otherwise it returns `None` and does nothing.
    ///
    /// For `session-http`. Most requests only read, so they need no [`close`](Self::close), whose future
    /// must be kept alive after the client has disconnected.
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
    #[doc(hidden)]
    pub fn close_at_once(&self, session: &Session) -> Option<Commit> {
        Committer(session).close_at_once()
    }
}

/// Derived managers, for `session-http`.
impl Manager {
    /// Creates a manager with the name, policy and clock of this one over `store`, which lives for one request.
    ///
    /// It is for sessions that are stored in the cookie itself, as `session-http` does. The content of `store` is sent to the client
    /// with the response's head. Writes to a session that is [closed](Self::close) return [`Closed`](crate::ErrorKind::Closed),
    /// because they could no longer be sent.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    ///
    /// let manager = Manager::builder(NullStore).name("cart").build()?;
    /// let of_one_request = manager.for_request(NullStore);
    /// assert_eq!(of_one_request.name(), "cart");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[doc(hidden)]
    #[must_use]
    pub fn for_request(&self, store: impl Store) -> Self {
        let can = store.capabilities();
        let env = Environment {
            store: Arc::new(store),
            discards: can.discards,
            is_shared: can.shared,
            shares_decoding: can.shares_decoding,
            for_request: true,
            queues: Arc::new(WriteQueues::new(can.shared)),
            ..(*self.env).clone()
        };
        Self { env: Arc::new(env) }
    }

    /// Whether ids are [renewed](ManagerBuilder::renew_id_every).
    ///
    /// ```
    /// use session_core::{Manager, NullStore, minutes};
    ///
    /// let manager = Manager::builder(NullStore).renew_id_every(minutes(15)).build()?;
    /// assert!(manager.renews_ids());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[doc(hidden)]
    pub fn renews_ids(&self) -> bool {
        self.env.renewal.is_on()
    }

    /// Creates a manager like this one for the same sessions by plain HTTP.
    ///
    /// Its logical name is another one, so no id of this manager opens a session of it, and the other way round. It ends in
    /// a NUL and `http`, which no other name can.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// use session_core::{Manager, NullStore};
    ///
    /// let manager = Manager::new(NullStore);
    /// assert_ne!(manager.for_plain_http().name(), manager.name());
    /// # });
    /// ```
    #[doc(hidden)]
    #[must_use]
    pub fn for_plain_http(&self) -> Self {
        let name = format!("{}\0http", self.env.name).into();
        let queues = Arc::new(WriteQueues::new(self.env.is_shared));
        Self { env: Arc::new(Environment { name, queues, ..(*self.env).clone() }) }
    }

    /// Creates a manager like this one, with all idle time-outs capped at `longest`, also those that sessions set for themselves.
    ///
    /// It is for cookies with a lifetime of `longest`. [`close`](Self::close) returns [`Commit::Extended`] whenever the expiry has moved.
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
    #[doc(hidden)]
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
