//! Which sessions an application has.

use std::fmt;
use std::sync::Arc;

use session_core::{Error, ErrorKind, Manager, Result};

use crate::named::Named;
use crate::{CookieOptions, Exchange};

/// The sessions of an application, usually one: for each a [`Manager`] and the look of its cookie.
///
/// Clones are cheap. It lives as long as the application; [`begin`](Self::begin) starts the work for one request.
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
    pub(crate) named: Arc<[Named]>,
}

impl SessionSet {
    /// One session, with the cookie that `options` describe.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if browsers would reject the cookie; see [`CookieOptions`].
    pub fn new(manager: Manager, options: CookieOptions) -> Result<Self> {
        Self::builder().session(manager, options).build()
    }

    /// Begins a set of several.
    pub fn builder() -> SessionSetBuilder {
        SessionSetBuilder::default()
    }

    /// Starts a request: nothing is read yet.
    pub fn begin(&self) -> Exchange {
        Exchange::new(self.clone())
    }

    /// The logical names, the first being the default.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.named.iter().map(|named| named.manager.name())
    }

    /// The manager of the session `name`.
    pub fn manager(&self, name: &str) -> Option<&Manager> {
        self.get(name).map(|named| &named.manager)
    }

    /// The cookie's name of the session `name`.
    pub fn cookie_name(&self, name: &str) -> Option<&str> {
        self.get(name).map(|named| named.cookie.as_str())
    }

    /// Whether both are the same set, or clones of it.
    pub fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.named, &other.named)
    }

    /// Whether a cookie's name is used by both: then one request's two answers would overwrite each other.
    pub fn shares_a_cookie_with(&self, other: &Self) -> bool {
        self.named.iter().any(|own| other.named.iter().any(|theirs| own.cookie == theirs.cookie))
    }

    fn get(&self, name: &str) -> Option<&Named> {
        self.position(name).map(|index| &self.named[index])
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.named.iter().position(|named| named.manager.name() == name)
    }
}

impl fmt::Debug for SessionSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.named.iter().map(|named| (named.manager.name(), &named.cookie))).finish()
    }
}

/// Builds a [`SessionSet`].
#[derive(Default)]
#[must_use]
pub struct SessionSetBuilder {
    sessions: Vec<(Manager, CookieOptions)>,
}

impl SessionSetBuilder {
    /// Adds a session; the first is the default one. Its logical name is the manager's.
    ///
    /// Over a [`CookieStore`](crate::CookieStore), behind an `Arc<dyn Store>` too, it lives in its cookie.
    pub fn session(mut self, manager: Manager, options: CookieOptions) -> Self {
        self.sessions.push((manager, options));
        self
    }

    /// Checks it all.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if there is no session, if two have the same logical name or cookie, or if browsers would reject
    /// a cookie; see [`CookieOptions`]. Also if a session that lives in its cookie is to be [`signed`](CookieOptions::signed).
    pub fn build(self) -> Result<SessionSet> {
        let named = self.sessions.into_iter().map(|(manager, options)| Named::new(manager, options));
        let named = named.collect::<Result<Vec<_>>>()?;
        if named.is_empty() {
            return Err(Error::fixed(ErrorKind::Config, "there must be at least one session"));
        }
        for (at, one) in named.iter().enumerate() {
            if named[..at].iter().any(|other| other.manager.name() == one.manager.name()) {
                return Err(Error::fixed(
                    ErrorKind::Config,
                    "two sessions have the same logical name: give one's manager another",
                ));
            }
            if named[..at].iter().any(|other| other.cookie == one.cookie) {
                return Err(Error::fixed(ErrorKind::Config, "two sessions have the same cookie"));
            }
        }
        Ok(SessionSet { named: named.into() })
    }
}

impl fmt::Debug for SessionSetBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.sessions.iter().map(|(manager, options)| (manager.name(), options))).finish()
    }
}
