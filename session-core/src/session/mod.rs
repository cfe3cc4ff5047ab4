//! A session as one request sees it.

use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::Result;
use crate::manager::environment::Environment;
use crate::sync::{AsyncMutex, Mutex, MutexGuard};

mod auth;
pub(crate) mod committed;
pub(crate) mod compact_log;
mod flash;
mod key;
pub(crate) mod log;
mod open;
mod opened;
mod persist;
mod properties;
mod reentrancy;
pub(crate) mod state;
mod values;

pub use opened::Opened;

use state::State;

/// A session: a cheap handle, shared within one request.
///
/// Clones are the same session. Reading and writing is synchronous, for the record is here already;
/// nothing reaches the store before [`save`](Session::save) or [`Manager::close`](crate::Manager::close).
///
/// # Values
///
/// A value is anything that serde can turn into JSON, or into the other [codec](crate::Codec) that the session was created in.
/// It is kept encoded and decoded when it is asked for.
///
/// A key is anything that prints: text, a number, or an enum of one's own, so that none is misspelt.
///
/// ```
/// # pollster::block_on(async {
/// # use session_core::{Manager, NullStore};
/// # let session = Manager::new(NullStore).open(None).await?;
/// let product = 4711; // the key is what it prints
/// session.insert(product, "in the cart")?;
/// assert!(session.contains("4711"));
///
/// enum Key {
///     Theme,
///     Draft(u64),
/// }
///
/// impl std::fmt::Display for Key {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         match self {
///             Self::Theme => f.write_str("theme"),
///             Self::Draft(of) => write!(f, "draft/{of}"),
///         }
///     }
/// }
///
/// session.insert(Key::Theme, "dark")?;
/// session.insert(Key::Draft(7), "Dear")?;
/// assert_eq!(session.keys(), ["4711", "draft/7", "theme"]);
/// # session.discard();
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
///
/// # When somebody else was faster
///
/// If the stored record has changed by the time of the commit, what was done here is done again on the newer record, in order:
///
/// - keys that nobody else changed take this request's value;
/// - [`update`](Session::update) and [`flash`](Session::flash) run again on what is there now;
/// - a key written without having been read is overwritten;
/// - [`flashes`](Session::flashes) removes just the messages it showed;
/// - a key that was read here ([`get`](Session::get), [`contains`](Session::contains), [`take`](Session::take)), then written here,
///   and changed to something else meanwhile, is a clash: the commit answers [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) and names the key.
///
/// Reading one key and writing *another* is not protected, unless [`require_unchanged`](Session::require_unchanged) says so.
/// If the session changed hands meanwhile (login, logout, rotation, revocation), nothing is done again: [`ErrorKind::Gone`](crate::ErrorKind::Gone).
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
    state: Mutex<State>,
    /// Commits go one at a time.
    pub(crate) committing: AsyncMutex,
}

impl Shared {
    /// Never held across an await or while foreign code runs.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    pub(crate) fn new(env: Arc<Environment>, mut state: State) -> Self {
        state.for_request = env.for_request;
        Self { shared: Arc::new(Shared { env, state: Mutex::new(state), committing: AsyncMutex::default() }) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// For writing: refused from inside an `update` closure, since it would run again with every replay.
    fn writing(&self) -> Result<MutexGuard<'_, State>> {
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
            .field("values", &state.view.values.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        if state.is_modified() && !std::thread::panicking() {
            tracing::warn!(name = %self.env.name, "a session was dropped with changes that were not saved");
        }
    }
}
