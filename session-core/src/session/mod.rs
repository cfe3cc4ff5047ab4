//! Session as one request sees it.

use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::manager::environment::Environment;
use crate::sync::{AsyncMutex, Mutex};
use crate::{EventKind, Result, Timestamp};

mod auth;
pub(crate) mod committed;
pub(crate) mod compact_log;
mod flash;
pub(crate) mod key;
mod locked;
pub(crate) mod log;
mod open;
mod opened;
mod persist;
mod properties;
mod reentrancy;
mod removed;
pub(crate) mod state;
mod update;
mod values;

pub use key::{AnyKey, IntoKey, Key};
pub use opened::Opened;

use locked::Locked;
use state::State;

/// Session of one request: values, flash messages, login and logout.
///
/// It is a cheap handle, and clones are the same session. Values are read and written in memory, without waiting for the store.
/// Changes are stored by [`Manager::close`](crate::Manager::close) at the end of the request, or earlier by [`save`](Session::save).
///
/// # Values
///
/// A value is anything that serde can encode in the session's [codec](crate::Codec), which is JSON unless the manager is set to another one.
/// It is kept encoded, and decoded when it is read.
///
/// A key is a [`Key`] constant, which also fixes the type of the value, or anything that implements `Display`, such as text or a number.
/// Constants protect from misspelt keys and from wrong types.
///
/// ```
/// # pollster::block_on(async {
/// # use session_core::{Key, Manager, NullStore};
/// # let session = Manager::new(NullStore).open(None).await?;
/// let product = 4711; // the key is what it prints
/// session.insert(product, "in the cart")?;
/// assert!(session.contains("4711"));
///
/// const THEME: Key<str> = Key::new("theme");
/// session.insert(THEME, "dark")?;
/// assert_eq!(session.keys(), ["4711", "theme"]);
/// # session.discard();
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
///
/// # Conflicts
///
/// If another request has saved the session meanwhile, the commit replays this request's changes on the newer record, in order.
/// (A manager may have another [policy](crate::ConflictPolicy).)
///
/// - A key that no other request has changed takes this request's value.
/// - [`update`](Session::update) and [`flash`](Session::flash) run again on the newer values.
/// - A key that this request writes without having read it is overwritten.
/// - [`flashes`](Session::flashes) removes only the messages that it returned.
/// - A clash is a key that this request has read ([`get`](Session::get), [`contains`](Session::contains), [`take`](Session::take))
///   and then written, while another request changed it to another value.
///   The commit returns [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) and names the key.
///
/// Reading one key and writing *another* is protected only by [`require_unchanged`](Session::require_unchanged).
///
/// After a login, logout, rotation or revocation by another request nothing is replayed, and the commit returns
/// [`ErrorKind::Gone`](crate::ErrorKind::Gone). A [`login`](Session::login) may start a new session instead.
/// A [renewal](crate::ManagerBuilder::renew_id_every) of the id is no such change: the changes go to the session under its new id.
///
/// # Example
///
/// ```
/// # pollster::block_on(async {
/// use session_core::{Manager, NullStore};
///
/// let manager = Manager::new(NullStore);
/// let session = manager.open(None).await?;
/// session.insert("name", "Ann")?;
/// assert_eq!(session.get::<String>("name")?.as_deref(), Some("Ann"));
/// let visits = session.update("visits", |n: &mut u64| *n += 1)?;
/// assert_eq!(visits, 1);
/// # session.discard();
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Session {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) env: Arc<Environment>,
    /// Boxed, because opening a session would copy it several times.
    state: Mutex<Box<State>>,
    /// Held by a commit, so that commits of one session run one at a time.
    pub(crate) committing: AsyncMutex,
}

impl Shared {
    /// Locks the state. The lock must not be held across an await, or while code of the application runs.
    pub(crate) fn state(&self) -> Locked<'_> {
        Locked::new(self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Session {
    pub(crate) fn new(env: Arc<Environment>, mut state: Box<State>) -> Self {
        state.for_request = env.for_request;
        Self { shared: Arc::new(Shared { env, state: Mutex::new(state), committing: AsyncMutex::default() }) }
    }

    pub(crate) fn state(&self) -> Locked<'_> {
        self.shared.state()
    }

    fn now(&self) -> Timestamp {
        self.shared.env.now()
    }

    /// Reports an event about this session as it is stored.
    pub(crate) fn emit(&self, kind: EventKind) {
        let (content, key) = {
            let state = self.state();
            (state.base.clone(), state.stored.as_ref().map(|stored| stored.key))
        };
        self.shared.env.emit(kind, &content, key.as_ref());
    }

    /// Locks the state for a write. A write from inside an `update` closure is refused, because every replay would repeat it.
    fn writing(&self) -> Result<Locked<'_>> {
        reentrancy::refuse(Arc::as_ptr(&self.shared).cast())?;
        let state = self.state();
        state.writable()?;
        Ok(state)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state();
        f.debug_struct("Session")
            .field("name", &self.shared.env.name)
            .field("opened", &state.opened)
            .field("is_new", &state.stored.is_none())
            .field("is_modified", &state.is_modified())
            .field("principal", &state.view.principal)
            .field("values", &state.view.live_values(self.now()).count())
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if !state.has_changes() {
            return;
        }
        // Also while the thread panics, because the changes are lost all the same.
        tracing::warn!(name = %self.env.name, "a session was dropped with changes that were not saved");
        let key = state.stored.as_ref().map(|stored| &stored.key);
        self.env.emit(EventKind::Dropped, &state.base, key);
    }
}
