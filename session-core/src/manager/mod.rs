//! A store joined with a policy.

use std::fmt;
use std::sync::Arc;

use crate::commit::tombstone_tells;
use crate::content::{Content, Rules, Stored};
use crate::session::state::{Anchor, Held, InDoubt, State};
use crate::{Clock, Commit, Error, ErrorKind, Opened, Outcome, Result, Session, SessionId, Store, StoreKey, Timestamp};

mod builder;
mod derived;
pub(crate) mod hot;
mod people;
mod sweep;

pub use builder::{ConflictPolicy, ManagerBuilder};
pub use people::SessionInfo;

use builder::Policy;
use hot::Hot;

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
    inner: Arc<Inner>,
}

#[derive(Clone)]
pub(crate) struct Inner {
    store: Arc<dyn Store>,
    pub(crate) name: Box<str>,
    pub(crate) policy: Policy,
    pub(crate) rules: Rules,
    pub(crate) conflicts: ConflictPolicy,
    pub(crate) max_replays: u32,
    /// The store keeps nothing, on purpose.
    pub(crate) discards: bool,
    /// The store lives for one request, and what is in it goes to the client with the response's head.
    pub(crate) for_request: bool,
    pub(crate) hot: Arc<Hot>,
    clock: Arc<dyn Clock>,
}

impl Manager {
    /// A manager with the defaults: named `id`, idle time-out 1 hour, absolute time-out 24 hours.
    pub fn new(store: impl Store) -> Self {
        Self::builder(store).build().expect("the defaults go together")
    }

    /// A manager to be configured.
    pub fn builder(store: impl Store) -> ManagerBuilder {
        ManagerBuilder::new(Arc::new(store))
    }

    /// The logical name of its sessions, which takes part in their keys.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Where its sessions are kept.
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.inner.store
    }

    /// The present instant by its clock.
    pub fn now(&self) -> Timestamp {
        self.inner.now()
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
        let state = match client_value {
            None => State::new(Opened::New, None, self.now()),
            Some(text) => match SessionId::parse(text) {
                None => State::new(
                    Opened::Undecodable,
                    Some(Held { id: None, expires_at: None, persistent: false }),
                    self.now(),
                ),
                Some(id) => self.resume(id).await?,
            },
        };
        Ok(Session::new(self.inner.clone(), state))
    }

    async fn resume(&self, id: SessionId) -> Result<State> {
        let inner = &*self.inner;
        let key = StoreKey::derive(&inner.name, &id);
        let call = inner.call();
        let blank =
            |opened, id| State::new(opened, Some(Held { id: Some(id), expires_at: None, persistent: false }), call.now);
        let record = match inner.store().load(&call, &key).await {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(blank(Opened::Unknown, id)),
            Err(error) if error.kind() == crate::ErrorKind::Corrupt => {
                tracing::error!(name = %inner.name, %error, "a stored session does not decode; the client gets a new one");
                return Ok(blank(Opened::Undecodable, id));
            }
            Err(error) => return Err(error),
        };
        Ok(match Stored::read(&record) {
            Ok(Stored::Tombstone(_)) if !tombstone_tells(&record, call.now) => blank(Opened::Unknown, id),
            Ok(Stored::Tombstone(Some(_))) => blank(Opened::Moved, id),
            Ok(Stored::Tombstone(None)) => blank(Opened::Ended, id),
            Ok(Stored::Content(content)) if inner.policy.outlived(&content, call.now) => blank(Opened::Expired, id),
            Ok(Stored::Content(content)) => {
                State::resumed(Anchor { id, key, version: record.version, expires_at: record.expires_at }, content)
            }
            Err(error) if error.kind() == crate::ErrorKind::Corrupt => {
                tracing::error!(name = %inner.name, %error, "a stored session does not decode; the client gets a new one");
                blank(Opened::Undecodable, id)
            }
            Err(error) => return Err(error),
        })
    }

    /// Stores what was changed and closes the handle: afterwards what needs a new cookie is
    /// [`Closed`](crate::ErrorKind::Closed), while the rest still works by [`Session::save`].
    ///
    /// A session that was only read is touched, at most once per tenth of its idle time-out; a touch that fails
    /// is a warning event and no error, for nothing that was confirmed is lost by it.
    ///
    /// # Errors
    /// As [`Session::save`]. The handle then stays open.
    pub async fn close(&self, session: &Session) -> Result<Commit> {
        for _ in 0..=self.inner.max_replays {
            let written = session.is_modified();
            session.commit().await?;
            if !written {
                session.touch_if_due().await;
            }
            // Another task may have written since: what it was not refused is stored as well.
            let mut state = session.shared.state();
            if !state.has_changes() {
                state.closed = true;
                drop(state);
                return Ok(session.difference());
            }
        }
        Err(Error::fixed(ErrorKind::Conflict, "other tasks wrote to the session while it was closed, again and again"))
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
        // Another clone's commit under way may still fail and leave something to store.
        let _turn = session.shared.committing.try_lock()?;
        if session.touch_is_due() {
            return None;
        }
        {
            let mut state = session.shared.state();
            if state.is_modified() {
                return None;
            }
            state.closed = true;
        }
        Some(session.difference())
    }
}

impl Inner {
    /// Past the pointer: a call to the pointer's own `Store` would box a second future around the store's.
    pub(crate) fn store(&self) -> &dyn Store {
        &*self.store
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// When a session of this content expires if it was used at `now`.
    pub(crate) fn expiry(&self, content: &Content, now: Timestamp) -> Timestamp {
        now.plus(self.policy.idle(content)).min(content.created_at.plus(self.policy.absolute(content)))
    }
}

impl Session {
    async fn touch_if_due(&self) {
        let _turn = self.shared.committing.lock().await;
        if self.touch_is_due()
            && let Err(error) = self.touch_now().await
        {
            tracing::warn!(name = %self.shared.manager.name, %error, "a session's expiry could not be moved");
        }
    }

    /// Whether a tenth of the idle time-out would be gained.
    fn touch_is_due(&self) -> bool {
        let manager = &*self.shared.manager;
        let state = self.shared.state();
        let Some(anchor) = &state.anchor else { return false };
        let gained = manager.expiry(&state.base, manager.now()).since(anchor.expires_at);
        !gained.is_zero() && gained >= manager.policy.idle(&state.base) / 10
    }

    /// Moves the stored expiry out; `None` if there is nothing stored. After a `Conflict`, as after `Missing`, nothing has moved:
    /// the record that was read is not the one that is stored.
    pub(crate) async fn touch_now(&self) -> Result<Option<Outcome>> {
        let manager = &*self.shared.manager;
        let now = manager.now();
        let (key, version, epoch, expires_at) = {
            let state = self.shared.state();
            let Some(anchor) = &state.anchor else { return Ok(None) };
            (anchor.key, anchor.version, state.epoch, manager.expiry(&state.base, now))
        };
        let outcome = manager.store().touch(&manager.call(), &key, version, expires_at).await?;
        let mut state = self.shared.state();
        if outcome == Outcome::Done
            && state.epoch == epoch
            && let Some(anchor) = &mut state.anchor
        {
            anchor.expires_at = anchor.expires_at.max(expires_at);
        }
        Ok(Some(outcome))
    }

    /// Reads what is stored now, in place of everything that was not saved.
    pub(crate) async fn reload_now(&self) -> Result<()> {
        let manager = Manager { inner: self.shared.manager.clone() };
        // Under which id to read, a rotation in doubt has to be asked first.
        if self.shared.state().in_doubt.as_ref().is_some_and(InDoubt::is_rotation) {
            self.settle_doubt().await?;
        }
        let (id, epoch) = {
            let mut state = self.shared.state();
            let Some(anchor) = &state.anchor else {
                state.discard();
                return Ok(());
            };
            (anchor.id.clone(), state.epoch)
        };
        let fresh = manager.resume(id).await?;
        let mut state = self.shared.state();
        if state.epoch != epoch {
            return Err(Error::fixed(ErrorKind::Gone, "it ended while it was read"));
        }
        match fresh.anchor {
            Some(anchor) => {
                state.discard();
                state.anchor = Some(anchor);
                state.base = fresh.base;
                state.set_view(fresh.view);
                Ok(())
            }
            None => {
                let logged = state.ops_end();
                state.lose(epoch, logged, manager.now());
                Err(Error::fixed(ErrorKind::Gone, "it ended, moved or was revoked"))
            }
        }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Manager")
            .field("name", &self.inner.name)
            .field("store", &self.inner.store)
            .field("policy", &self.inner.policy)
            .finish_non_exhaustive()
    }
}
