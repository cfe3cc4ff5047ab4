//! The sessions of one request and its response.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures_util::future::join_all;
use session_core::{Error, ErrorKind, Result, Session};

use crate::committed::Committed;
use crate::named::{Named, Open};
use crate::{CookieOptions, SessionSet, SetCookie};

/// The sessions of one request, from its `Cookie` header to the response's `Set-Cookie`.
///
/// Clones are the same exchange. A session is loaded when it is asked for, once per request, however many ask at a time.
/// When the response's head is known, [`commit`](Self::commit) stores what changed.
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
/// let committed = exchange.commit().await;
/// assert!(committed.set_cookie.is_empty(), "nothing was written");
/// assert_eq!(committed.caching, Caching::Private, "but the page may differ with the cookie");
/// # Ok::<(), session_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Exchange(Arc<Inner>);

struct Inner {
    set: SessionSet,
    /// Apart from the others, so that an application with one session pays for no list.
    first: Slot,
    others: Box<[Slot]>,
    /// The head has left, or is about to.
    closed: AtomicBool,
    /// Nothing is to be stored any more.
    abandoned: AtomicBool,
    /// A session could not be opened, so the response tells of that.
    failed: AtomicBool,
}

#[derive(Default)]
struct Slot {
    opened: OnceLock<Open>,
    /// Whoever opens it holds this, so that it is loaded once.
    opening: async_lock::Mutex<()>,
    /// The cookie's options for this response. Boxed, for it is seldom there.
    options: Mutex<Option<Box<CookieOptions>>>,
}

impl Slot {
    fn options(&self, named: &Named) -> CookieOptions {
        self.own_options().unwrap_or_else(|| named.options.clone())
    }

    fn own_options(&self) -> Option<CookieOptions> {
        self.options.lock().unwrap_or_else(PoisonError::into_inner).as_deref().cloned()
    }
}

impl Exchange {
    pub(crate) fn new(set: SessionSet) -> Self {
        let others = set.named.iter().skip(1).map(|_| Slot::default()).collect();
        Self(Arc::new(Inner {
            set,
            first: Slot::default(),
            others,
            closed: AtomicBool::new(false),
            abandoned: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        }))
    }

    /// The set it belongs to.
    pub fn set(&self) -> &SessionSet {
        &self.0.set
    }

    /// The session `name`, loaded at the first call by what the request's `Cookie` header lines say.
    ///
    /// Without such a cookie nothing is loaded and the session is new. After the [`commit`](Self::commit) it comes closed.
    ///
    /// Of the cookie's values the first 4 different ones that could be ids are looked at. If two are of live sessions,
    /// a host nearby has planted one ("cookie tossing"; RFC 6265bis, 8.6): neither is used, and a warning is logged.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no session `name`; [`ErrorKind::Unavailable`] and others if the store does not answer:
    /// never a blank session instead.
    pub async fn open<'h>(&self, name: &str, cookies: impl IntoIterator<Item = &'h [u8]>) -> Result<Session> {
        match self.0.set.position(name) {
            Some(index) => self.open_at(index, cookies).await,
            None => Err(Error::fixed(ErrorKind::Config, "there is no session of this name")),
        }
    }

    /// The set's first session; else as [`open`](Self::open).
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_first<'h>(&self, cookies: impl IntoIterator<Item = &'h [u8]>) -> Result<Session> {
        self.open_at(0, cookies).await
    }

    async fn open_at<'h>(&self, index: usize, cookies: impl IntoIterator<Item = &'h [u8]>) -> Result<Session> {
        let (named, slot) = self.slot(index);
        if let Some(open) = slot.opened.get() {
            return Ok(open.session.clone());
        }
        let found = named.find(cookies);
        let turn = slot.opening.lock().await;
        let session = match slot.opened.get() {
            Some(open) => open.session.clone(),
            None => {
                let opened = named.open(found).await.inspect_err(|_| self.0.failed.store(true, Ordering::SeqCst))?;
                slot.opened.get_or_init(|| opened).session.clone()
            }
        };
        drop(turn);
        // The commit sets `closed` before it looks for sessions: it has seen this one, or is seen here.
        if self.0.closed.load(Ordering::SeqCst) {
            // What would need a cookie is refused from here on, so there is none to announce.
            // Boxed, here and below: what seldom happens should not make every handler's future larger.
            let _ = Box::pin(named.manager.close(&session)).await?;
        }
        Ok(session)
    }

    /// Takes account of what the request is for, by its `Sec-Fetch-Dest` header (W3C Fetch Metadata).
    ///
    /// Call it when a session of this exchange has [opened](Session::opened) as [`Ended`](session_core::Opened::Ended). A request for a document, which
    /// somebody navigates to, may then begin a new session if the logout was at least 10 s before: the sign-in form can store its token.
    /// Any other request may come from the page that signed out, so what it writes stays [`Gone`](ErrorKind::Gone).
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
            session.begin_anew_if_ended();
        }
    }

    /// Changes how this response sends the cookie of the session `name`, if it sends it.
    ///
    /// All may change but the cookie's name. A cookie on another path or domain is a second one beside the usual.
    /// The session takes over what [`max_age`](CookieOptions::max_age) or [`persistent`](CookieOptions::persistent) asks for:
    /// it stays persistent and lies unused for no longer. The cookie itself lives for `max_age` from this response on,
    /// because later responses that only read send none.
    /// Whether ids are [`signed`](CookieOptions::signed) is decided for all responses; it does not change here.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no session `name`, or if browsers would reject the cookie.
    pub fn set_cookie_options(&self, name: &str, change: impl FnOnce(CookieOptions) -> CookieOptions) -> Result<()> {
        let Some(index) = self.0.set.position(name) else {
            return Err(Error::fixed(ErrorKind::Config, "there is no session of this name"));
        };
        let (named, slot) = self.slot(index);
        let options = change(slot.options(named));
        named.check_override(&options)?;
        *slot.options.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(options));
        Ok(())
    }

    /// Whether no session was asked for: then there is nothing to do at the end.
    pub fn is_untouched(&self) -> bool {
        self.opened().next().is_none() && !self.0.failed.load(Ordering::SeqCst)
    }

    /// Forgets all that was not saved, and stores nothing from here on: for a handler that panicked or was cancelled.
    pub fn abandon(&self) {
        self.0.abandoned.store(true, Ordering::SeqCst);
        self.opened().for_each(|(_, _, open)| open.session.discard());
    }

    /// Stores all sessions that changed, at the same time, and says what the response's head needs.
    ///
    /// Call it once the handler has answered and before the head leaves; the sessions are closed with it.
    /// It fails for none of the others: what was stored has its line even if another session could not be.
    /// Let it run to its end though the client hangs up. If it is dropped, operations are not lost: it can be called again.
    pub async fn commit(&self) -> Committed {
        let mut committed = self.begin_commit();
        let mut opened = self.opened();
        let (first, second) = (opened.next(), opened.next());
        match (first, second) {
            (None, _) => {}
            (Some(only), None) => committed.add(only.0.manager.name(), &only.2.session, close(only).await),
            (Some(first), Some(second)) => {
                let all = [first, second].into_iter().chain(opened).collect::<Vec<_>>();
                let closed = join_all(all.iter().copied().map(close)).await;
                for ((named, _, open), closed) in all.into_iter().zip(closed) {
                    committed.add(named.manager.name(), &open.session, closed);
                }
            }
        }
        committed
    }

    /// [`commit`](Self::commit), at once, where it needs nothing of the store; `None` if it does: then that is to be called.
    ///
    /// Most requests only read, and for those no future has to be kept alive when the client hangs up.
    pub fn commit_at_once(&self) -> Option<Committed> {
        let mut committed = self.begin_commit();
        for (named, slot, open) in self.opened() {
            let commit = named.manager.close_at_once(&open.session)?;
            committed.add(named.manager.name(), &open.session, named.announce(|| slot.options(named), open, commit));
        }
        Some(committed)
    }

    fn begin_commit(&self) -> Committed {
        self.0.closed.store(true, Ordering::SeqCst);
        if self.0.abandoned.load(Ordering::SeqCst) {
            self.abandon();
        } else {
            for (named, slot, open) in self.opened() {
                if let Some(options) = slot.own_options() {
                    named.keep_in_step(&options, &open.session);
                }
            }
        }
        let mut committed = Committed::default();
        if self.0.failed.load(Ordering::SeqCst) {
            committed.note_failure();
        }
        committed
    }

    fn slot(&self, index: usize) -> (&Named, &Slot) {
        let slot = if index == 0 { &self.0.first } else { &self.0.others[index - 1] };
        (&self.0.set.named[index], slot)
    }

    fn opened(&self) -> impl Iterator<Item = OpenSlot<'_>> {
        let slots = (0..self.0.set.named.len()).map(|index| self.slot(index));
        slots.filter_map(|(named, slot)| slot.opened.get().map(|open| (named, slot, open)))
    }
}

type OpenSlot<'e> = (&'e Named, &'e Slot, &'e Open);

async fn close((named, slot, open): OpenSlot<'_>) -> Result<Option<SetCookie>> {
    let commit = named.manager.close(&open.session).await?;
    named.announce(|| slot.options(named), open, commit)
}

/// Without a commit nothing is stored, as after a handler that was cancelled.
///
/// What a session logs may hold the session itself (a closure of [`update`](Session::update)). Nothing else would free it then.
impl Drop for Inner {
    fn drop(&mut self) {
        if *self.closed.get_mut() {
            return;
        }
        let is_expected = *self.abandoned.get_mut() || std::thread::panicking();
        let slots = std::iter::once(&self.first).chain(&self.others);
        for (named, slot) in self.set.named.iter().zip(slots) {
            let Some(Open { session, .. }) = slot.opened.get() else { continue };
            if session.is_modified() && !is_expected {
                tracing::warn!(name = %named.manager.name(), "a request ended without a commit; its changes are not stored");
            }
            session.discard();
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("opened", &self.opened().map(|(_, _, open)| &open.session).collect::<Vec<_>>())
            .field("closed", &self.0.closed)
            .field("abandoned", &self.0.abandoned)
            .field("failed", &self.0.failed)
            .finish_non_exhaustive()
    }
}
