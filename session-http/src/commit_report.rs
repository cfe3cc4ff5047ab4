//! Result of a commit, for the response's headers.

use std::error::Error as StdError;
use std::fmt;

use session_core::{Error, ErrorKind, Result};

use crate::configured::{Announced, OpenSession};
use crate::{Caching, SetCookie, Token};

/// Result of [`Exchange::commit`](crate::Exchange::commit).
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct CommitReport {
    /// Values of `Set-Cookie`, each for its own header line. Send them with an error page, too.
    pub set_cookie: Vec<SetCookie>,
    /// Response headers with new values of sessions that do not come in a cookie: name, in lower case, and value. Mark them as sensitive.
    pub tokens: Vec<(&'static str, Token)>,
    /// Names of the request headers that were searched for sessions, for `Vary`.
    pub vary: Vec<&'static str>,
    /// Caching that the response allows.
    pub caching: Caching,
    /// Sessions that could not be stored. If set, send an error instead of the handler's response, because that promises changes that
    /// were not stored.
    pub error: Option<CommitError>,
    /// Whether a user has signed in or out.
    user_changed: bool,
}

impl CommitReport {
    pub(crate) fn note_failure(&mut self) {
        self.caching = self.caching.max(Caching::Never);
    }

    /// Value of the header `Clear-Site-Data` to add to the response, or `None` to leave it.
    ///
    /// It is set when a user has signed in or out. Browsers may hold pages that they have fetched in advance (speculation rules), and
    /// show them without asking again, whatever their `Cache-Control` and `Vary` say. The value makes them drop these pages, and nothing else.
    ///
    /// ```
    /// # pollster::block_on(async {
    /// # use session_core::Manager;
    /// # use session_http::{CookieOptions, SessionSet};
    /// # let set = SessionSet::new(Manager::new(session_store_memory::MemoryStore::new()), CookieOptions::new())?;
    /// let exchange = set.begin();
    /// exchange.open_first([]).await?.login("ann")?;
    /// assert_eq!(exchange.commit().await.clear_site_data(), Some("\"prefetchCache\", \"prerenderCache\""));
    /// # Ok::<(), session_core::Error>(())
    /// # }).unwrap();
    /// ```
    pub const fn clear_site_data(&self) -> Option<&'static str> {
        if self.user_changed { Some("\"prefetchCache\", \"prerenderCache\"") } else { None }
    }

    pub(crate) fn add(&mut self, name: &str, open: &OpenSession, closed: Result<Announced>) {
        let user = open.session.principal();
        self.user_changed |= closed.is_ok() && open.had_other_user(user.as_ref());
        let caching = match &closed {
            _ if user.is_some() => Caching::SignedIn,
            Ok(Announced { lines, token: None }) if lines.is_empty() => Caching::Private,
            _ => Caching::Never,
        };
        self.caching = self.caching.max(caching);
        match closed {
            Ok(announced) => {
                self.set_cookie.extend(announced.lines);
                self.tokens.extend(announced.token);
            }
            Err(error) => self.error.get_or_insert_default().failures.push((name.into(), error)),
        }
    }
}

/// Sessions that could not be stored, each with its error.
#[derive(Clone, Default)]
pub struct CommitError {
    failures: Vec<(Box<str>, Error)>,
}

impl CommitError {
    /// Logical names and errors in the order of the set. There is at least one.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.failures.iter().map(|(name, error)| (&**name, error))
    }

    /// Gravest kind among the errors, which decides the response's [`status`].
    pub fn kind(&self) -> ErrorKind {
        let kinds = self.failures.iter().map(|(_, error)| error.kind());
        // 503 and 409 invite a retry, which cannot help while there is any other error.
        let gravity = |&kind: &ErrorKind| match status(kind) {
            500 => 2,
            503 => 1,
            _ => 0,
        };
        kinds.max_by_key(gravity).unwrap_or(ErrorKind::Other)
    }
}

impl fmt::Display for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not all sessions could be stored")?;
        self.failures().try_for_each(|(name, error)| write!(f, "; {name}: {error}"))
    }
}

impl fmt::Debug for CommitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.failures()).finish()
    }
}

impl StdError for CommitError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.failures.first().map(|(_, error)| error as _)
    }
}

/// Returns the HTTP status for an error of this kind.
///
/// 503 if the store is down, 409 if another request was faster or ended the session (RFC 9110, 15.5.10), 401 if the operation needs a
/// signed-in user (15.5.2), 403 if the user may have no further session (15.5.4), and 500 otherwise.
///
/// ```
/// use session_core::ErrorKind;
/// use session_http::status;
///
/// assert_eq!(status(ErrorKind::Unavailable), 503);
/// assert_eq!(status(ErrorKind::Conflict), 409);
/// assert_eq!(status(ErrorKind::Unauthenticated), 401);
/// assert_eq!(status(ErrorKind::TooManySessions), 403);
/// assert_eq!(status(ErrorKind::TooLarge), 500);
/// ```
pub const fn status(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::Unavailable => 503,
        ErrorKind::Conflict | ErrorKind::Gone => 409,
        ErrorKind::Unauthenticated => 401,
        ErrorKind::TooManySessions => 403,
        _ => 500,
    }
}
