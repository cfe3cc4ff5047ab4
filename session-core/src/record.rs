//! What a store keeps.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;

use crate::{Error, ErrorKind, Outcome, Result, Timestamp, random};

/// The mark of one write: 63 random bits from the operating system's generator.
///
/// Not a counter: a writer whose reply was lost can tell its own write from another's,
/// and a key that was deleted and made again never matches an old version.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(i64);

impl Version {
    /// A version that no other write has, in this process or in a fork of it.
    ///
    /// # Panics
    /// If the operating system has no randomness to give.
    pub fn random() -> Self {
        Self((random::bits() >> 1).cast_signed())
    }

    /// A version that no other write of this process has. Ten times faster than [`random`](Self::random), but a forked process draws the same.
    pub(crate) fn of_this_process() -> Self {
        Self((rand::random::<u64>() >> 1).cast_signed())
    }

    /// A version as a store reads it back.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if it is negative, for then no store of ours wrote it.
    pub const fn from_i64(stored: i64) -> Result<Self> {
        if stored < 0 {
            return Err(Error::fixed(ErrorKind::Corrupt, "a stored version is negative"));
        }
        Ok(Self(stored))
    }

    /// The number to store, never negative.
    pub const fn as_i64(self) -> i64 {
        self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({:016x})", self.0)
    }
}

/// Who a session belongs to: 1–255 bytes of UTF-8 without NUL, compared byte for byte.
///
/// Made from anything that prints: a number, a UUID, a name. `Debug` shows only its length.
///
/// ```
/// use session_core::Principal;
///
/// assert_eq!(Principal::new(42)?.as_str(), "42");
/// assert_ne!(Principal::new("Ann")?, Principal::new("ann")?);
/// assert!(Principal::new("").is_err());
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal(Arc<str>);

impl Principal {
    /// Longest principal in bytes.
    pub const MAX_LEN: usize = 255;

    /// The principal that `who` prints.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if that is empty or has a NUL, [`ErrorKind::TooLarge`] beyond 255 bytes.
    pub fn new(who: impl fmt::Display) -> Result<Self> {
        let mut text = String::new();
        write!(text, "{who}").map_err(|_| Error::fixed(ErrorKind::Config, "a principal could not be printed"))?;
        if text.is_empty() || text.contains('\0') {
            return Err(Error::fixed(ErrorKind::Config, "a principal must not be empty or contain NUL"));
        }
        if text.len() > Self::MAX_LEN {
            return Err(Error::fixed(ErrorKind::TooLarge, "a principal is longer than 255 bytes"));
        }
        Ok(Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Principal({} bytes)", self.0.len())
    }
}

/// What a store keeps under a key. Clones are cheap.
///
/// The first byte of `data` names its format; to a store it is opaque.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// The mark of the write that made it so.
    pub version: Version,
    /// When the session began; the absolute time-out counts from here.
    pub created_at: Timestamp,
    /// The first instant at which it is no longer live.
    pub expires_at: Timestamp,
    /// Who it belongs to, if anybody.
    pub principal: Option<Principal>,
    /// The session's content, opaque to a store.
    pub data: Bytes,
}

impl Record {
    /// A record of these parts.
    pub fn new(
        version: Version,
        created_at: Timestamp,
        expires_at: Timestamp,
        principal: Option<Principal>,
        data: Bytes,
    ) -> Self {
        Self { version, created_at, expires_at, principal, data }
    }

    /// Whether it is live at `now`: whether `expires_at` lies after it.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at > now
    }

    /// The version under a key that holds `stored`, for the decision about a write.
    pub fn live(stored: Option<&Self>, now: Timestamp) -> Live {
        Live::at(now, stored.map(|record| (record.version, record.expires_at)))
    }
}

/// The version of the live record under a key, if there is one. It decides every write of a [`Store`](crate::Store).
///
/// Each method answers the outcome of a write that changes nothing. `None` means that the write is to be carried out,
/// and is [`Outcome::Done`] once it has been.
///
/// The answer holds for as long as nothing else can change what is stored: under a lock, or within a transaction.
///
/// ```
/// use session_core::{Live, Outcome, Timestamp, Version};
///
/// let [old, new, other] = [(); 3].map(|()| Version::random());
/// let live = Live::from(Some(old));
///
/// assert_eq!(live.save(old, new), None);
/// assert_eq!(live.save(new, old), Some(Outcome::Done)); // sent a second time
/// assert_eq!(live.save(other, new), Some(Outcome::Conflict));
/// assert_eq!(live.touch(other), Some(Outcome::Conflict));
/// assert_eq!(live.delete(None), None);
///
/// // A record that has expired counts as none.
/// let dead = Live::at(Timestamp::MAX, Some((old, Timestamp::MAX)));
/// assert_eq!(dead.save(old, new), Some(Outcome::Missing));
/// assert_eq!(dead.create(new), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live(Option<Version>);

impl Live {
    /// The version at `now`, of a stored version and its expiry.
    pub fn at(now: Timestamp, stored: Option<(Version, Timestamp)>) -> Self {
        Self(stored.filter(|(_, expires_at)| *expires_at > now).map(|(version, _)| version))
    }

    /// Decides a [`create`](crate::Store::create) of a record with the version `new`.
    pub fn create(self, new: Version) -> Option<Outcome> {
        match self.0 {
            None => None,
            Some(stored) if stored == new => Some(Outcome::Done),
            Some(_) => Some(Outcome::Exists),
        }
    }

    /// Decides a [`save`](crate::Store::save) of a record with the version `new`.
    pub fn save(self, expected: Version, new: Version) -> Option<Outcome> {
        match self.0 {
            Some(stored) if stored == new => Some(Outcome::Done),
            _ => self.is(Some(expected)),
        }
    }

    /// Decides a [`touch`](crate::Store::touch). One that is carried out leaves the later of the two expiries.
    pub fn touch(self, expected: Version) -> Option<Outcome> {
        self.is(Some(expected))
    }

    /// Decides a [`delete`](crate::Store::delete), of any version or of the one expected.
    pub fn delete(self, expected: Option<Version>) -> Option<Outcome> {
        self.is(expected)
    }

    /// Compares with a version that is expected, or with any.
    fn is(self, expected: Option<Version>) -> Option<Outcome> {
        match (self.0, expected) {
            (None, _) => Some(Outcome::Missing),
            (Some(stored), Some(expected)) if stored != expected => Some(Outcome::Conflict),
            _ => None,
        }
    }
}

/// A version that is known to be live.
impl From<Option<Version>> for Live {
    fn from(live: Option<Version>) -> Self {
        Self(live)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("version", &self.version)
            .field("created_at", &self.created_at)
            .field("expires_at", &self.expires_at)
            .field("principal", &self.principal)
            .field("data", &format_args!("{} bytes", self.data.len()))
            .finish()
    }
}
