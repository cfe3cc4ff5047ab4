//! Set of an application's sessions.

use std::fmt;
use std::sync::Arc;

use session_core::{Error, ErrorKind, Manager, Result};

use crate::configured::ConfiguredSession;
use crate::{CookieOptions, Transport};

/// Set of an application's sessions, usually one. Each has a [`Manager`] and the options of its cookie.
///
/// Create it once, when the application starts. Clones are cheap. Call [`begin`](Self::begin) for each request.
///
/// ```
/// use session_core::{Manager, NullStore};
/// use session_http::{CookieOptions, SameSite, SessionSet};
///
/// let customers = Manager::new(NullStore);
/// let admins = Manager::builder(NullStore).name("admin").build()?;
/// let set = SessionSet::builder()
///     .session(customers, CookieOptions::new())
///     .session(admins, CookieOptions::new().same_site(SameSite::Strict))
///     .build()?;
/// assert_eq!(set.names().collect::<Vec<_>>(), ["id", "admin"]);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct SessionSet {
    pub(crate) sessions: Arc<[ConfiguredSession]>,
    /// Transports of the first session. The cookie comes last.
    pub(crate) transports: Arc<[Transport]>,
}

impl SessionSet {
    /// Creates a set of one session, with the cookie that `options` describe.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_http::{CookieOptions, SessionSet};
    ///
    /// let set = SessionSet::new(Manager::new(NullStore), CookieOptions::new())?;
    /// assert_eq!(set.cookie_name("id"), Some("__Host-id"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if browsers would reject the cookie; see [`CookieOptions`].
    pub fn new(manager: Manager, options: CookieOptions) -> Result<Self> {
        Self::builder().session(manager, options).build()
    }

    /// Returns a builder for a set of several sessions.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_http::{CookieOptions, SessionSet};
    ///
    /// let set = SessionSet::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .session(Manager::builder(NullStore).name("cart").build()?, CookieOptions::new().persistent())
    ///     .build()?;
    /// assert_eq!(set.cookie_name("cart"), Some("__Host-cart"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn builder() -> SessionSetBuilder {
        SessionSetBuilder::default()
    }

    /// Logical names of the sessions. The first one is the default session.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_http::{CookieOptions, SessionSet};
    ///
    /// let set = SessionSet::new(Manager::new(NullStore), CookieOptions::new())?;
    /// assert_eq!(set.names().next(), Some("id"));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.sessions.iter().map(ConfiguredSession::name)
    }

    /// Manager of the session `name`, or `None` if there is no such session.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_http::{CookieOptions, SessionSet};
    ///
    /// # pollster::block_on(async {
    /// let set = SessionSet::new(Manager::new(NullStore), CookieOptions::new())?;
    /// if let Some(manager) = set.manager("id") {
    ///     manager.purge().await?;
    /// }
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub fn manager(&self, name: &str) -> Option<&Manager> {
        self.get(name).map(|session| &session.manager)
    }

    /// Name of the cookie of the session `name`, or `None` if there is no such session.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_http::{CookieOptions, SessionSet};
    ///
    /// let set = SessionSet::new(Manager::new(NullStore), CookieOptions::new().name("__Host-shop"))?;
    /// assert_eq!(set.cookie_name("id"), Some("__Host-shop"));
    /// assert_eq!(set.cookie_name("cart"), None);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn cookie_name(&self, name: &str) -> Option<&str> {
        self.get(name).map(|session| session.cookie.as_str())
    }

    /// Transports of the first session, in the order in which a request is searched.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_http::{CookieOptions, SessionSet, Transport};
    ///
    /// let set = SessionSet::new(Manager::new(NullStore), CookieOptions::new())?;
    /// assert_eq!(set.transports(), [Transport::Cookie]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn transports(&self) -> &[Transport] {
        &self.transports
    }

    /// Whether `other` is this set or a clone of it. For `session-tower`, whose layers may be nested.
    #[doc(hidden)]
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.sessions, &other.sessions)
    }

    /// Whether both sets use a cookie of the same name.
    ///
    /// If both serve one request, their cookies overwrite each other. For `session-tower`, whose layers may be nested.
    #[doc(hidden)]
    pub fn shares_a_cookie_with(&self, other: &Self) -> bool {
        let shares = |own: &ConfiguredSession, theirs: &ConfiguredSession| {
            own.cookies().any(|cookie| theirs.cookies().any(|other| cookie == other))
        };
        self.sessions.iter().any(|own| other.sessions.iter().any(|theirs| shares(own, theirs)))
    }

    fn get(&self, name: &str) -> Option<&ConfiguredSession> {
        self.position(name).map(|index| &self.sessions[index])
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.sessions.iter().position(|session| session.name() == name)
    }
}

impl fmt::Debug for SessionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.sessions.iter().map(|session| (session.name(), &session.cookie))).finish()
    }
}

/// Builds a [`SessionSet`].
#[derive(Default)]
#[must_use]
pub struct SessionSetBuilder {
    sessions: Vec<(Manager, CookieOptions)>,
    transports: Vec<Transport>,
}

impl SessionSetBuilder {
    /// Adds a session under the manager's logical name. The first session is the default.
    ///
    /// If the manager's store is a [`CookieStore`](crate::CookieStore), the session is kept in its cookie. The store may be behind an
    /// `Arc<dyn Store>`.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_crypto::KeyRing;
    /// use session_http::{CookieOptions, CookieStore, SessionSet};
    ///
    /// # let ring = KeyRing::new(&(0..32).collect::<Vec<u8>>())?;
    /// let set = SessionSet::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .session(Manager::builder(CookieStore::new(&ring)).name("prefs").build()?, CookieOptions::new())
    ///     .build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn session(mut self, manager: Manager, options: CookieOptions) -> Self {
        self.sessions.push((manager, options));
        self
    }

    /// Sets how clients send the value of the first session. The default is [`Transport::Cookie`].
    ///
    /// The first call replaces the default, each further call adds a transport. A header that a request has excludes the transports after
    /// it, even if its value is bad, and the cookie always comes last. So a client that sends a header is never mistaken for the
    /// user of the cookie. A request's new value goes out in the way in which its old value came. Without one, it goes out in the cookie
    /// or, if there is no cookie, in the response header of the first transport. If the session has ended, that header is empty.
    ///
    /// A value in a query is never read, because addresses are logged and shared.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_http::{CookieOptions, SessionSet, Transport};
    ///
    /// let pages_and_apps = SessionSet::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .transport(Transport::Cookie)
    ///     .transport(Transport::Bearer)
    ///     .build()?;
    /// assert_eq!(pages_and_apps.transports(), [Transport::Bearer, Transport::Cookie]);
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn transport(mut self, transport: Transport) -> Self {
        if !self.transports.contains(&transport) {
            self.transports.push(transport);
        }
        self
    }

    /// Checks the sessions and their cookies, and builds the set.
    ///
    /// ```
    /// use session_core::{Manager, NullStore};
    /// use session_http::{CookieOptions, SessionSet};
    ///
    /// let twice = SessionSet::builder()
    ///     .session(Manager::new(NullStore), CookieOptions::new())
    ///     .session(Manager::new(NullStore), CookieOptions::new());
    /// assert!(twice.build().is_err(), "both are named `id`");
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no session, if two have the same logical name or cookie, or if browsers would reject
    /// a cookie; see [`CookieOptions`]. Also if the name of a transport's header cannot be used, if a session that is kept in its cookie is [`signed`](CookieOptions::signed), if its manager
    /// [renews ids](session_core::ManagerBuilder::renew_id_every), or if its cookie has less than 512 bytes of room.
    pub fn build(self) -> Result<SessionSet> {
        let sessions = self.sessions.into_iter().map(|(manager, options)| ConfiguredSession::new(manager, options));
        let sessions = sessions.collect::<Result<Vec<_>>>()?;
        if sessions.is_empty() {
            return Err(Error::fixed(ErrorKind::Config, "the set has no session: add at least one"));
        }
        for (at, one) in sessions.iter().enumerate() {
            if sessions[..at].iter().any(|other| other.name() == one.name()) {
                let name = one.name();
                return Err(Error::new(
                    ErrorKind::Config,
                    format!(
                        "two sessions have the logical name {name:?}: rename one of them with `ManagerBuilder::name`"
                    ),
                ));
            }
            let theirs = |cookie: &&str| sessions[..at].iter().any(|other| other.cookies().any(|own| own == *cookie));
            if let Some(cookie) = one.cookies().find(theirs) {
                return Err(Error::new(
                    ErrorKind::Config,
                    format!("two sessions have the cookie {cookie:?}: rename one of them with `CookieOptions::name`"),
                ));
            }
        }
        let mut transports = self.transports;
        transports.iter().try_for_each(|transport| transport.check())?;
        if transports.is_empty() {
            transports.push(Transport::Cookie);
        }
        transports.sort_by_key(|transport| *transport == Transport::Cookie);
        Ok(SessionSet { sessions: sessions.into(), transports: transports.into() })
    }
}

impl fmt::Debug for SessionSetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.sessions.iter().map(|(manager, options)| (manager.name(), options))).finish()
    }
}
