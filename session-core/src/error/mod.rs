//! The one error type, and the redaction of what drivers say.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;

mod redact;

use redact::Redacted;

/// `Result` with this crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as far as a program can act on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The store could not be reached, or did not answer in time. Trying again later may help.
    Unavailable,
    /// Somebody else changed what this request read and then wrote; see [`Error::key`].
    Conflict,
    /// The session ended, moved or changed hands while the request was under way, and its changes were dropped.
    ///
    /// Each commit says so, of every clone, until [`discard`](crate::Session::discard), `reload`, `login` or `logout`.
    Gone,
    /// The response's head has left: a new cookie can no longer be sent.
    Closed,
    /// Over a limit of the session or of the store. Nothing was changed.
    TooLarge,
    /// The store does not have this capability.
    Unsupported,
    /// Stored or sent bytes that do not decode.
    Corrupt,
    /// A value is intact, and not of the type asked for; see [`Error::key`]. It stays as it is.
    WrongType,
    /// The configuration is wrong: a name, a URL, a key, a combination of options.
    Config,
    /// Anything else.
    Other,
}

impl ErrorKind {
    const fn describe(self) -> &'static str {
        match self {
            Self::Unavailable => "the session store is unavailable",
            Self::Conflict => "the session was changed by another request",
            Self::Gone => "the session has ended",
            Self::Closed => "the response has already been sent",
            Self::TooLarge => "too large for a session",
            Self::Unsupported => "not supported by this session store",
            Self::Corrupt => "undecodable session data",
            Self::WrongType => "a session value is of another type",
            Self::Config => "wrong session configuration",
            Self::Other => "session error",
        }
    }
}

/// The error of every operation here: opaque, with a [`kind`](Error::kind) to act on.
///
/// Neither `Display` nor `Debug`, of it or of its sources, shows an id, a store key, a value or the password of a URL.
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
    /// An error of `kind` with a message for humans.
    ///
    /// The message is redacted as the sources are; it should still not be made from ids, keys or values.
    pub fn new(kind: ErrorKind, message: impl AsRef<str>) -> Self {
        Self(Inner { kind, message: redact::text(message.as_ref()).into(), key: None, source: None })
    }

    /// An error whose message is a literal: usable in constants, and free of allocation.
    pub const fn fixed(kind: ErrorKind, message: &'static str) -> Self {
        Self(Inner { kind, message: Cow::Borrowed(message), key: None, source: None })
    }

    /// Another request changed the session value `key`, which this one had read before writing it.
    pub fn conflict_on(key: &str) -> Self {
        let mut error = Self::fixed(ErrorKind::Conflict, "a value read here was changed meanwhile");
        error.0.key = Some(key.into());
        error
    }

    /// The value under `key` is no `T`. Of serde's error only what does not quote the value is kept.
    pub(crate) fn wrong_type<T>(key: &str, serde_error: &dyn fmt::Display) -> Self {
        let type_name = std::any::type_name::<T>();
        let message = match redact::serde_reason(&serde_error.to_string()) {
            Some(reason) => format!("it is not a {type_name}: {reason}"),
            None => format!("it is not a {type_name}"),
        };
        Self(Inner { kind: ErrorKind::WrongType, message: message.into(), key: Some(key.into()), source: None })
    }

    /// The value under `key` does not decode as any type.
    pub(crate) fn corrupt_value(key: &str) -> Self {
        let mut error = Self::fixed(ErrorKind::Corrupt, "a value does not decode");
        error.0.key = Some(key.into());
        error
    }

    /// The operation needs a capability that the store does not have.
    pub const fn unsupported(operation: &'static str) -> Self {
        Self::fixed(ErrorKind::Unsupported, operation)
    }

    /// Keeps what `source` and its sources say, redacted.
    #[must_use]
    pub fn with_source(mut self, source: &(dyn StdError + 'static)) -> Self {
        self.0.source = Some(Box::new(Redacted::of(source)));
        self
    }

    /// What went wrong, as far as a program can act on it.
    pub const fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Whether the same call may succeed later without anything being changed.
    pub const fn is_transient(&self) -> bool {
        matches!(self.0.kind, ErrorKind::Unavailable)
    }

    /// The session value that a [`Conflict`](ErrorKind::Conflict) or a [`WrongType`](ErrorKind::WrongType) is about.
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
