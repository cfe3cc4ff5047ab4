//! Opening the sessions of an exchange.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use session_core::{Commit, Error, ErrorKind, Opened, Result, Session};

use super::{Exchange, Inner, UNKNOWN_NAME};
use crate::RequestHead;
use crate::request_facts::RequestFacts;
use crate::transport::Token;

impl Exchange {
    /// Returns the session `name`. The first call loads it, using the request's `head`.
    ///
    /// The head may be the lines of the `Cookie` headers alone. A head that tells more lets the exchange do more:
    ///
    /// - `HEAD` requests and prefetches move no expiry and take no flash message; see [`Session::keep_expiry`].
    /// - A cross-site request without the cookie replaces no cookie. The browser may have withheld it, so an anonymous session that such
    ///   a request starts is dropped, with a warning event. A [`login`](Session::login) is always stored.
    /// - A page that is requested at least 10 s after a logout starts a new session, as by [`note_destination`](Self::note_destination).
    ///
    /// Without its cookie nothing is loaded, and the session is new. After [`commit`](Self::commit) the session is closed.
    ///
    /// If the cookie has several values, the first 16 distinct ones that could belong to a session are tried, of signed or sealed ones
    /// the first 64. An event says if there were more.
    /// If two of them open live sessions, a neighbouring host has planted one ("cookie tossing"; RFC 6265bis, 8.6), or the cookie's place
    /// was changed; see [`CookieOptions::formerly`](crate::CookieOptions::formerly). Neither is used, and a warning is logged. The response clears the other places of the
    /// cookie, so that the next request is whole. If there are more than 16 such places, the next responses clear the rest.
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
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if there is no session `name`. [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) or another error of the store if loading fails;
    /// a blank session is never returned instead.
    pub async fn open(&self, name: &str, head: impl RequestHead) -> Result<Session> {
        match self.0.set.position(name) {
            Some(index) => self.open_at(index, &head).await,
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
    /// [`ErrorKind::Unavailable`](session_core::ErrorKind::Unavailable) or another error of the store if loading fails.
    pub async fn open_first(&self, head: impl RequestHead) -> Result<Session> {
        self.open_at(0, &head).await
    }

    /// Notes what `head` says about the request. The first open does so too; later calls have no effect.
    ///
    /// For `session-tower`, whose extractor of all sessions does not keep the head.
    #[doc(hidden)]
    pub fn describe(&self, head: &dyn RequestHead) {
        self.0.facts.get_or_init(|| {
            for (index, configured) in self.0.set.sessions.iter().enumerate() {
                self.0.slot(index).1.is_plain.store(configured.is_plain(head), Ordering::SeqCst);
            }
            RequestFacts::of(head)
        });
    }

    /// Lets no session be opened, because the application's options for this request are refused.
    #[doc(hidden)]
    pub fn refuse(&self, error: Error) {
        let _ = self.0.refused.set(error);
    }

    /// Lets all sessions of the request keep their expiry, also those that are opened later; see [`Session::keep_expiry`].
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// exchange.keep_expiry(); // a page sends this request every minute
    /// let session = exchange.open_first([]).await?;
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn keep_expiry(&self) {
        self.0.keeps_expiry.store(true, Ordering::SeqCst);
        self.0.opened().for_each(|(_, _, open)| open.session.keep_expiry());
    }

    /// Stores the session `name` and returns the value that opens it, for a client that keeps it itself, such as a native application.
    ///
    /// The response then sends this value in no header. It is a secret: put it into the body of a response over TLS, and never into a URL.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet, Transport};
    /// let manager = Manager::new(session_store_memory::MemoryStore::new());
    /// let set = SessionSet::builder().session(manager, CookieOptions::new()).transport(Transport::Bearer).build()?;
    /// let exchange = set.begin();
    /// exchange.open_first([]).await?.login("ann")?;
    /// let token = exchange.token("id").await?;
    /// assert_eq!(token.as_str().len(), 43);
    /// assert!(exchange.commit().await.tokens.is_empty(), "it is sent once");
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    ///
    /// # Errors
    /// The errors of [`Session::save`]. [`ErrorKind::Config`](session_core::ErrorKind::Config) if there is no session `name` or it was not
    /// opened. [`ErrorKind::Other`](session_core::ErrorKind::Other) if nothing was written to it, or the request is
    /// [quiet](Session::keep_expiry).
    pub async fn token(&self, name: &str) -> Result<Token> {
        let index = self.0.set.position(name).ok_or(UNKNOWN_NAME)?;
        let (configured, slot) = self.0.slot(index);
        let open = slot.opened.get().ok_or(NOT_OPENED)?;
        // Lets `save` return the id, even if the client has it already.
        open.session.renew_cookie();
        let token = match open.session.save().await? {
            Commit::Issue(update) | Commit::Extended(update) => configured.token(open, update.value.as_str()),
            Commit::Unchanged | Commit::Clear => return Err(NOTHING_STORED),
        };
        *slot.handed.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(token.clone()));
        Ok(token)
    }

    async fn open_at(&self, index: usize, head: &dyn RequestHead) -> Result<Session> {
        self.describe(head);
        if let Some(error) = self.0.refused.get() {
            return Err(error.clone());
        }
        let (configured, slot) = self.0.slot(index);
        if let Some(open) = slot.opened.get() {
            return Ok(open.session.clone());
        }
        let sent = configured.find(self.0.transports(index), head);
        slot.looked.store(sent.looked, Ordering::SeqCst);
        let guard = slot.opening.lock().await;
        let session = match slot.opened.get() {
            Some(open) => open.session.clone(),
            None => {
                let opened =
                    configured.open(sent, head).await.inspect_err(|_| self.0.failed.store(true, Ordering::SeqCst))?;
                self.0.apply_facts(&opened.session);
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
    /// [`open`](Self::open) does so itself if its head has that header. Without it, call this when a session of this exchange has [opened](Session::opened) as [`Ended`](session_core::Opened::Ended).
    /// If the request is for a document and the logout was at least 10 s ago, the session starts again as a new one.
    /// So a sign-in form can store its token.
    /// Any other request may come from the page that signed out. Its writes still fail with [`Gone`](session_core::ErrorKind::Gone).
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
}

const NOT_OPENED: Error =
    Error::fixed(ErrorKind::Config, "the session was not opened: open it before asking for its token");

const NOTHING_STORED: Error =
    Error::fixed(ErrorKind::Other, "there is no stored session: write to it or `login` before asking for its token");

impl Inner {
    /// Tells a session that was opened what the request's head says.
    fn apply_facts(&self, session: &Session) {
        let facts = self.facts();
        if facts.prefetch {
            session.hide_flashes();
        } else if facts.quiet || self.keeps_expiry.load(Ordering::SeqCst) {
            session.keep_expiry();
        }
        if facts.document && session.opened() == Opened::Ended {
            session.restart_if_ended();
        }
    }
}
