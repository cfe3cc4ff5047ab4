//! Error type of all crates, and the redaction of drivers' messages.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

mod redact;

use redact::Redacted;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Kind of an [`Error`], as far as a program can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store could not be reached, or did not answer in time. A retry later may succeed.
    Unavailable,
    /// Another request changed a value that this request had read before writing it; [`Error::key`] names the value.
    ///
    /// An error without a key means too many conflicts in a row, or the policy [`Reject`](crate::ConflictPolicy::Reject).
    /// [`reload`](crate::Session::reload) the session and do the work again.
    Conflict,
    /// The session ended, moved or changed hands while the request was under way, and its changes were dropped.
    /// Or the request was [abandoned](crate::Session::abandon), and a task that outlives it saves changes that were dropped with it.
    ///
    /// Every commit of every clone of the session returns this error until [`discard`](crate::Session::discard),
    /// [`reload`](crate::Session::reload), [`login`](crate::Session::login) or [`logout`](crate::Session::logout).
    Gone,
    /// The operation needs a new cookie, but the response's head has already been sent, or the request was abandoned.
    Closed,
    /// A limit of the session or of the store is exceeded. Nothing was changed. The message names the limit and its setting,
    /// and [`Error::key`] the value that is too large, or the largest one.
    TooLarge,
    /// The principal has as many sessions as [`max_sessions`](crate::ManagerBuilder::max_sessions) allows, so the login was refused.
    TooManySessions,
    /// The session has no principal, and the operation is about one. The client has to sign in.
    Unauthenticated,
    /// The store or this build does not support the operation.
    Unsupported,
    /// Bytes that were stored or sent do not decode.
    Corrupt,
    /// A value is intact but not of the requested type; [`Error::key`] names the value. It stays as it is.
    WrongType,
    /// The configuration is wrong, such as a name, a URL, a key, or a combination of options.
    Config,
    /// Anything else.
    Other,
}

impl ErrorKind {
    const fn describe(self) -> &'static str {
        match self {
            Self::Unavailable => "the session store is unavailable",
            Self::Conflict => "the session was changed by another request",
            Self::Gone => "the session is gone",
            Self::Closed => "the response has already been sent",
            Self::TooLarge => "too large for a session",
            Self::TooManySessions => "too many sessions",
            Self::Unauthenticated => "not signed in",
            Self::Unsupported => "not supported by this session store",
            Self::Corrupt => "undecodable session data",
            Self::WrongType => "a session value is of another type",
            Self::Config => "wrong session configuration",
            Self::Other => "session error",
        }
    }
}

/// Error of every operation on sessions and stores. It is opaque, with a [`kind`](Error::kind) to act on.
///
/// `Display` and `Debug` show no id, store key, value or password of a URL, and neither do those of its sources.
/// Errors of drivers are therefore kept as redacted text, not as the driver's types.
///
/// ```
/// use session_core::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Unavailable, "no answer within 5 s");
/// assert!(error.is_transient());
/// assert_eq!(error.to_string(), "the session store is unavailable: no answer within 5 s");
/// ```
#[derive(Clone)]
pub struct Error(Inner);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: Cow<'static, str>,
    key: Option<Box<str>>,
    source: Option<Box<Redacted>>,
}

impl Error {
    /// Creates an error of `kind` with a message for humans.
    ///
    /// The message is redacted. It should still not be made from ids, store keys or values.
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        Self(Inner { kind, message: redact::text(message.as_ref()).into(), key: None, source: None })
    }

    /// Creates an error with a literal as its message. It can be used in constants, and allocates nothing.
    pub const fn fixed(kind: ErrorKind, message: &'static str) -> Self {
        Self(Inner { kind, message: Cow::Borrowed(message), key: None, source: None })
    }

    /// Names the key of the value that the error is about.
    pub(crate) fn on_key(mut self, key: &str) -> Self {
        self.0.key = Some(key.into());
        self
    }

    /// Creates a [`Conflict`](ErrorKind::Conflict): another request changed the value under `key`, which this one had read before writing it.
    pub fn conflict_on(key: &str) -> Self {
        Self::fixed(
            ErrorKind::Conflict,
            "a value that this request has read was changed meanwhile; `reload` the session and do the work again",
        )
        .on_key(key)
    }

    /// Creates a [`Conflict`](ErrorKind::Conflict): another request has changed the session, and the manager rejects that.
    pub(crate) const fn rejected_conflict() -> Self {
        Self::fixed(ErrorKind::Conflict, "the manager rejects conflicts; `reload` the session and do the work again")
    }

    /// Creates a [`WrongType`](ErrorKind::WrongType): the value under `key` is not a `T`.
    ///
    /// Parts of serde's error that may quote the value are left out.
    pub(crate) fn wrong_type<T>(key: &str, serde_error: &dyn fmt::Display) -> Self {
        let type_name = std::any::type_name::<T>();
        let message = match redact::serde_reason(&serde_error.to_string()) {
            Some(reason) => format!("it is not a {type_name}: {reason}"),
            None => format!("it is not a {type_name}"),
        };
        Self(Inner { kind: ErrorKind::WrongType, message: message.into(), key: Some(key.into()), source: None })
    }

    /// Creates a [`Corrupt`](ErrorKind::Corrupt): the value under `key` does not decode as any type.
    pub(crate) fn corrupt_value(key: &str) -> Self {
        Self::fixed(ErrorKind::Corrupt, "a value does not decode").on_key(key)
    }

    /// Creates an [`Unsupported`](ErrorKind::Unsupported): `operation` needs a capability that the store does not have.
    pub const fn unsupported(operation: &'static str) -> Self {
        Self::fixed(ErrorKind::Unsupported, operation)
    }

    /// Adds the redacted text of `source`, and that of its own sources.
    #[must_use]
    pub fn with_source(mut self, source: &(dyn StdError + 'static)) -> Self {
        self.0.source = Some(Box::new(Redacted::of(source)));
        self
    }

    /// Returns the kind of the error, as far as a program can act on it.
    pub const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether a retry of the same call may succeed later. `true` only for [`Unavailable`](ErrorKind::Unavailable).
    pub const fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable)
    }

    /// Returns the key of the value that a [`Conflict`](ErrorKind::Conflict), [`WrongType`](ErrorKind::WrongType),
    /// [`Corrupt`](ErrorKind::Corrupt) or [`TooLarge`](ErrorKind::TooLarge) error is about, if the error names one.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Self {
        Self::fixed(kind, "")
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.kind.describe())?;
        if !self.0.message.is_empty() {
            write!(f, ": {}", self.0.message)?;
        }
        if let Some(key) = &self.0.key {
            write!(f, " ({key:?})")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.0.kind).field("message", &self.0.message);
        if let Some(key) = &self.0.key {
            out.field("key", key);
        }
        if let Some(source) = &self.0.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as _)
    }
}
