//! What a commit came to, and what the response's head needs of it.

use std::error::Error as StdError;
use std::fmt;

use session_core::{Error, ErrorKind, Result, Session};

use crate::SetCookie;

/// How far caches may keep a response, from freely to not at all.
///
/// A cached `Set-Cookie` or a cached page of somebody signed in hands one user another's session
/// (Flask's CVE-2023-30861), and CDNs ignore `Vary`. OWASP ASVS 5.0, 14.3.2, asks for `no-store` on what is sensitive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Caching {
    /// No session was asked for: the response's own headers stand.
    #[default]
    Free,
    /// A session was read: another client may get another answer, and the same one may later.
    Private,
    /// It has a `Set-Cookie`, somebody is signed in, or it tells of an error.
    Never,
}

impl Caching {
    /// What `Cache-Control` is to say, in place of what it says; `None` to leave it alone.
    ///
    /// With [`Private`](Self::Private) leave it alone also where it has `no-store` already, which is stricter.
    pub const fn cache_control(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::Private => Some("private, no-cache"),
            Self::Never => Some("no-store"),
        }
    }

    /// What is to be added to `Vary`.
    pub const fn vary(self) -> Option<&'static str> {
        match self {
            Self::Free => None,
            Self::Private | Self::Never => Some("Cookie"),
        }
    }
}

/// What [`Exchange::commit`](crate::Exchange::commit) came to.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Committed {
    /// Values of `Set-Cookie`, each for a header of its own. They belong on an error page too.
    pub set_cookie: Vec<SetCookie>,
    /// How far caches may keep the response.
    pub caching: Caching,
    /// What could not be stored. The handler's answer then promises what is not so: send an error instead.
    pub error: Option<CommitError>,
}

impl Committed {
    pub(crate) fn note_failure(&mut self) {
        self.caching = Caching::Never;
    }

    pub(crate) fn add(&mut self, name: &str, session: &Session, closed: Result<Option<SetCookie>>) {
        let sensitive = session.principal().is_some() || !matches!(closed, Ok(None));
        self.caching = self.caching.max(if sensitive { Caching::Never } else { Caching::Private });
        match closed {
            Ok(line) => self.set_cookie.extend(line),
            Err(error) => self.error.get_or_insert_default().failures.push((name.into(), error)),
        }
    }
}

/// The sessions that could not be stored, each with its error.
#[derive(Clone, Default)]
pub struct CommitError {
    failures: Vec<(Box<str>, Error)>,
}

impl CommitError {
    /// Logical names and errors, in the set's order; never empty.
    pub fn failures(&self) -> impl Iterator<Item = (&str, &Error)> {
        self.failures.iter().map(|(name, error)| (&**name, error))
    }

    /// The gravest kind among them, which decides what to answer; see [`status`].
    pub fn kind(&self) -> ErrorKind {
        let kinds = self.failures.iter().map(|(_, error)| error.kind());
        // 503 and 409 invite to try again, which is no use while anything else is wrong.
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

/// The HTTP status for an error: 503 if the store is down, 409 if another request was faster or ended the session
/// (RFC 9110, 15.5.10), 500 for all else.
///
/// ```
/// use session_core::ErrorKind;
/// use session_http::status;
///
/// assert_eq!(status(ErrorKind::Unavailable), 503);
/// assert_eq!(status(ErrorKind::Conflict), 409);
/// assert_eq!(status(ErrorKind::TooLarge), 500);
/// ```
pub const fn status(kind: ErrorKind) -> u16 {
    match kind {
        ErrorKind::Unavailable => 503,
        ErrorKind::Conflict | ErrorKind::Gone => 409,
        _ => 500,
    }
}
