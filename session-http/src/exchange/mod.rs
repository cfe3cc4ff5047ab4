//! Sessions of one request and its response.

mod commit;
mod open;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use session_core::{Error, ErrorKind, Result};

use crate::configured::{ConfiguredSession, OpenSession};
use crate::request_facts::RequestFacts;
use crate::transport::{Source, Token};
use crate::{CookieOptions, SessionSet, Transport};

/// Sessions of one request, from its `Cookie` header to the response's `Set-Cookie`.
///
/// All clones share one state. A session is loaded when it is first opened, and only once per request, even by concurrent calls.
/// When the response's head is known, [`commit`](Self::commit) stores the changes.
///
/// ```
/// # pollster::block_on(async {
/// use session_core::{Manager, NullStore};
/// use session_http::{Caching, CookieOptions, SessionSet};
///
/// let set = SessionSet::new(Manager::new(NullStore), CookieOptions::new())?;
///
/// let exchange = set.begin();
/// let cookie_headers = ["theme=dark"];
/// let session = exchange.open("id", cookie_headers.map(str::as_bytes)).await?;
/// assert!(session.is_new());
///
/// let report = exchange.commit().await;
/// assert!(report.set_cookie.is_empty(), "nothing was written");
/// assert_eq!(report.caching, Caching::Private, "but the page may differ with the cookie");
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    set: SessionSet,
    /// Kept outside of `others`, so that an application with one session allocates no list.
    first: Slot,
    others: Box<[Slot]>,
    /// The commit has begun, so the response's head has been sent or soon will be.
    closed: AtomicBool,
    /// Nothing must be stored any more.
    abandoned: AtomicBool,
    /// A session could not be opened, so the response may be an error and must not be cached.
    failed: AtomicBool,
    /// The request moves no expiry, whatever its head says.
    keeps_expiry: AtomicBool,
    /// What the request's head says about its cause, once a head was given.
    facts: OnceLock<RequestFacts>,
    /// Set if the application's cookie options for this request are refused. No session is opened then.
    refused: OnceLock<Error>,
}

#[derive(Default)]
struct Slot {
    /// The request came by plain HTTP, and the session's cookie depends on that.
    is_plain: AtomicBool,
    opened: OnceLock<OpenSession>,
    /// Held while the session is opened, so that concurrent calls load it once.
    opening: futures_util::lock::Mutex<()>,
    /// The last commit of this session succeeded.
    committed: AtomicBool,
    /// Number of transports that the request was searched for the session's value.
    looked: AtomicUsize,
    /// Value that the handler has passed to the client itself. Boxed because it is rare.
    handed: Mutex<Option<Box<Token>>>,
    /// Cookie options for this response only. Boxed because they are rare.
    options: Mutex<Option<Box<CookieOptions>>>,
}

impl Slot {
    fn options(&self, configured: &ConfiguredSession) -> CookieOptions {
        self.own_options().unwrap_or_else(|| configured.options.clone())
    }

    fn handed(&self) -> Option<Token> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }

    fn own_options(&self) -> Option<CookieOptions> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }
}

impl SessionSet {
    /// Starts an exchange for one request. Nothing is loaded yet.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin(); // for each request
    /// assert!(exchange.is_untouched());
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn begin(&self) -> Exchange {
        let others = self.sessions.iter().skip(1).map(|_| Slot::default()).collect();
        Exchange(Arc::new(Inner {
            set: self.clone(),
            first: Slot::default(),
            others,
            closed: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            keeps_expiry: AtomicBool::new(false),
            facts: OnceLock::new(),
            refused: OnceLock::new(),
        }))
    }
}

impl Exchange {
    /// Set of sessions that this exchange belongs to.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// assert_eq!(exchange.set().names().collect::<Vec<_>>(), ["id"]);
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn set(&self) -> &SessionSet {
        &self.0.set
    }

    /// Changes the cookie's options of the session `name` for this response only.
    ///
    /// Every option can change except the cookie's name. A cookie on another path or domain is a second cookie beside the usual one.
    /// A [`max_age`](CookieOptions::max_age) or [`persistent`](CookieOptions::persistent) given here also changes the session:
    /// it becomes persistent, and its idle time-out is limited to `max_age`. The cookie lives for `max_age` from this response on,
    /// because later responses that only read send no cookie.
    /// [`signed`](CookieOptions::signed) has no effect here, because it is set for all responses.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// exchange.open_first([]).await?.login("ann")?;
    /// exchange.set_cookie_options("id", CookieOptions::persistent)?; // Ann wants to be remembered
    /// assert!(exchange.commit().await.set_cookie[0].as_str().contains("; Max-Age="));
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no session `name`, or if browsers would reject the cookie.
    pub fn set_cookie_options(&self, name: &str, change: impl FnOnce(CookieOptions) -> CookieOptions) -> Result<()> {
        let Some(index) = self.0.set.position(name) else {
            return Err(UNKNOWN_NAME);
        };
        let (configured, slot) = self.0.slot(index);
        let options = change(slot.options(configured));
        configured.check_override(&options)?;
        *slot.options.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(options));
        Ok(())
    }

    /// Whether no session was opened. There is then nothing to commit.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// // ... the handler runs, without a session:
    /// if !exchange.is_untouched() {
    ///     let _report = exchange.commit().await;
    /// }
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn is_untouched(&self) -> bool {
        self.0.opened().next().is_none() && !self.0.failed.load(Ordering::SeqCst)
    }
}

const UNKNOWN_NAME: Error =
    Error::fixed(ErrorKind::Config, "the set has no session of this name: add it with `SessionSetBuilder::session`");

impl Inner {
    fn slot(&self, index: usize) -> (&ConfiguredSession, &Slot) {
        let slot = if index == 0 { &self.first } else { &self.others[index - 1] };
        let configured = &self.set.sessions[index];
        let plain = configured.plain.as_deref().filter(|_| slot.is_plain.load(Ordering::SeqCst));
        (plain.unwrap_or(configured), slot)
    }

    /// Transports of a session. Only the set's first session has others than the cookie.
    fn transports(&self, index: usize) -> &[Transport] {
        if index == 0 { &self.set.transports } else { &[Transport::Cookie] }
    }

    fn facts(&self) -> RequestFacts {
        self.facts.get().copied().unwrap_or_default()
    }

    /// Whether a session must not be stored, because the browser may have withheld the cookie of another one, which would be replaced.
    fn is_withheld(&self, (configured, slot, open): OpenSlot<'_>) -> bool {
        open.without_value
            && open.source == Source::Cookie
            && open.session.principal().is_none()
            && self.facts().withholds(slot.own_options().map_or(configured.options.same_site, |own| own.same_site))
    }

    fn opened(&self) -> impl Iterator<Item = OpenSlot<'_>> {
        let slots = (0..self.set.sessions.len()).map(|index| self.slot(index));
        slots.filter_map(|(configured, slot)| slot.opened.get().map(|open| (configured, slot, open)))
    }

    /// Drops the changes of all sessions that are not stored. One event names the sessions that had any.
    fn drop_changes(&self, why: &str) {
        drop_changes(self.opened(), why);
    }
}

fn drop_changes<'e>(opened: impl Iterator<Item = OpenSlot<'e>>, why: &str) {
    let mut names = String::new();
    for (configured, _, OpenSession { session, .. }) in opened {
        if session.has_changes() {
            let comma = if names.is_empty() { "" } else { ", " };
            names = names + comma + configured.name();
        }
        session.abandon();
    }
    if !names.is_empty() {
        tracing::warn!(sessions = names, "{why}: its changes are not stored");
    }
}

type OpenSlot<'e> = (&'e ConfiguredSession, &'e Slot, &'e OpenSession);

/// Drops the changes that no commit has stored, and logs a warning if there are any, even if the thread panics.
///
/// A change may hold the session itself (in a closure of [`update`](session_core::Session::update)). Dropping the changes breaks this cycle,
/// because nothing else would free the session. The changes of a task that outlives a committed request are kept for its own save.
impl Drop for Inner {
    fn drop(&mut self) {
        let uncommitted = || self.opened().filter(|(_, slot, _)| !slot.committed.load(Ordering::SeqCst));
        drop_changes(uncommitted(), "a request ended without a commit");
        for (configured, _, _) in uncommitted().filter(|(_, _, open)| open.session.is_modified()) {
            tracing::warn!(name = configured.name(), "a logout is not carried out: its request ended without a commit");
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("opened", &self.0.opened().map(|(_, _, open)| &open.session).collect::<Vec<_>>())
            .field("closed", &self.0.closed)
            .field("abandoned", &self.0.abandoned)
            .field("failed", &self.0.failed)
            .finish_non_exhaustive()
    }
}
