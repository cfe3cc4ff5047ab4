//! Sessions of one request and its response.

mod commit;

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use session_core::{Error, ErrorKind, Result, Session};

use crate::configured::{ConfiguredSession, OpenSession};
use crate::{CookieOptions, SessionSet};

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
}

#[derive(Default)]
struct Slot {
    opened: OnceLock<OpenSession>,
    /// Held while the session is opened, so that concurrent calls load it once.
    opening: async_lock::Mutex<()>,
    /// The last commit of this session succeeded.
    committed: AtomicBool,
    /// Cookie options for this response only. Boxed because they are rare.
    options: Mutex<Option<Box<CookieOptions>>>,
}

impl Slot {
    fn options(&self, configured: &ConfiguredSession) -> CookieOptions {
        self.own_options().unwrap_or_else(|| configured.options.clone())
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

    /// Returns the session `name`. The first call loads it, using the lines of the request's `Cookie` headers.
    ///
    /// Without its cookie nothing is loaded, and the session is new. After [`commit`](Self::commit) the session is closed.
    ///
    /// If the cookie has several values, the first 4 distinct ones that could belong to a session are tried. If two of them open
    /// live sessions, a neighbouring host has planted one ("cookie tossing"; RFC 6265bis, 8.6). Neither is used, and a warning is logged.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let cookie_headers: [&[u8]; 1] = [b"theme=dark; __Host-id=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0"];
    /// let exchange = set.begin();
    /// let session = exchange.open("id", cookie_headers).await?;
    /// assert!(session.is_new(), "no session has this id");
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no session `name`. [`ErrorKind::Unavailable`] or another error of the store if loading fails;
    /// a blank session is never returned instead.
    pub async fn open<'h>(&self, name: &str, cookies: impl IntoIterator<Item = &'h [u8]>) -> Result<Session> {
        match self.0.set.position(name) {
            Some(index) => self.open_at(index, cookies).await,
            None => Err(UNKNOWN_NAME),
        }
    }

    /// Returns the first session of the set, opened as by [`open`](Self::open).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// let session = exchange.open_first([]).await?; // the request has no cookies
    /// session.insert("n", &1)?;
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] or another error of the store if loading fails.
    pub async fn open_first<'h>(&self, cookies: impl IntoIterator<Item = &'h [u8]>) -> Result<Session> {
        self.open_at(0, cookies).await
    }

    async fn open_at<'h>(&self, index: usize, cookies: impl IntoIterator<Item = &'h [u8]>) -> Result<Session> {
        let (configured, slot) = self.0.slot(index);
        if let Some(open) = slot.opened.get() {
            return Ok(open.session.clone());
        }
        let found = configured.find(cookies);
        let guard = slot.opening.lock().await;
        let session = match slot.opened.get() {
            Some(open) => open.session.clone(),
            None => {
                let opened =
                    configured.open(found).await.inspect_err(|_| self.0.failed.store(true, Ordering::SeqCst))?;
                slot.opened.get_or_init(|| opened).session.clone()
            }
        };
        drop(guard);
        // The commit sets `closed` before it looks for sessions. So either it has seen this session, or `closed` is set here.
        if self.0.closed.load(Ordering::SeqCst) {
            // A closed session refuses changes that need a cookie, so there is none to announce.
            // Boxed because this is rare and would enlarge every handler's future.
            let _ = Box::pin(configured.manager.close(&session)).await?;
            slot.committed.store(true, Ordering::SeqCst);
        }
        Ok(session)
    }

    /// Lets a navigation begin a new session after a logout. It reads the request's `Sec-Fetch-Dest` header (W3C Fetch Metadata).
    ///
    /// Call it when a session of this exchange has [opened](Session::opened) as [`Ended`](session_core::Opened::Ended).
    /// If the request is for a document and the logout was at least 10 s ago, the session starts again as a new one.
    /// So a sign-in form can store its token.
    /// Any other request may come from the page that signed out. Its writes still fail with [`Gone`](ErrorKind::Gone).
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::{Manager, NullStore, Opened};
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(NullStore), CookieOptions::new())?;
    /// # let (exchange, cookie_headers, sec_fetch_dest) = (set.begin(), [&b"id=x"[..]], Some(&b"document"[..]));
    /// let session = exchange.open_first(cookie_headers).await?;
    /// if session.opened() == Opened::Ended {
    ///     exchange.note_destination(&session, sec_fetch_dest);
    /// }
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn note_destination(&self, session: &Session, sec_fetch_dest: Option<&[u8]>) {
        if sec_fetch_dest == Some(b"document") {
            session.restart_if_ended();
        }
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
        (&self.set.sessions[index], slot)
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
            names = names + comma + configured.manager.name();
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
/// A change may hold the session itself (in a closure of [`update`](Session::update)). Dropping the changes breaks this cycle,
/// because nothing else would free the session. The changes of a task that outlives a committed request are kept for its own save.
impl Drop for Inner {
    fn drop(&mut self) {
        let uncommitted = || self.opened().filter(|(_, slot, _)| !slot.committed.load(Ordering::SeqCst));
        drop_changes(uncommitted(), "a request ended without a commit");
        for (configured, _, _) in uncommitted().filter(|(_, _, open)| open.session.is_modified()) {
            tracing::warn!(
                name = configured.manager.name(),
                "a logout is not carried out: its request ended without a commit"
            );
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
