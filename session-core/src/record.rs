//! Record of a session in a store, and its version and principal.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::decoding::Decoding;
use crate::{Error, ErrorKind, Outcome, Result, Timestamp, random};

/// Version of a record: 63 random bits that one write has chosen.
///
/// It is not a counter. After a lost reply a writer can tell its own write from another one.
/// A record that was deleted and created again never matches an old version.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version(i64);

impl Version {
    /// Creates a version that no other write has, in this process or in a fork of it.
    ///
    /// # Panics
    /// If the operating system provides no random bytes.
    pub fn random() -> Self {
        Self((random::bits() >> 1).cast_signed())
    }

    /// Creates a version that no other write of this process has.
    ///
    /// It is ten times faster than [`random`](Self::random), but a forked process draws the same versions.
    pub(crate) fn of_this_process() -> Self {
        Self((rand::random::<u64>() >> 1).cast_signed())
    }

    /// Creates the version from the number that a store reads.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] if the number is negative, because no store has written such a number.
    pub const fn from_i64(stored: i64) -> Result<Self> {
        if stored < 0 {
            return Err(Error::fixed(ErrorKind::Corrupt, "a stored version is negative"));
        }
        Ok(Self(stored))
    }

    /// Returns the number to store, which is never negative.
    pub const fn as_i64(self) -> i64 {
        self.0
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({:016x})", self.0)
    }
}

/// Principal of a session, such as the user's id: 1–255 bytes of UTF-8 without NUL, compared byte for byte.
///
/// It can be made from anything that implements `Display`, such as a number, a UUID or a name. `Debug` shows only its length.
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
    /// Maximum length of a principal in bytes.
    pub const MAX_LEN: usize = 255;

    /// Creates a principal from the text that `who` prints.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if the text is empty, has a NUL or cannot be printed, [`ErrorKind::TooLarge`] above 255 bytes.
    pub fn new(who: impl fmt::Display) -> Result<Self> {
        let mut text = String::new();
        write!(text, "{who}").map_err(|_| {
            Error::fixed(ErrorKind::Config, "a principal could not be printed; its `Display` returned an error")
        })?;
        if text.is_empty() || text.contains('\0') {
            return Err(Error::fixed(ErrorKind::Config, "a principal must not be empty or contain NUL"));
        }
        if text.len() > Self::MAX_LEN {
            return Err(Error::fixed(
                ErrorKind::TooLarge,
                "a principal is longer than 255 bytes; use a shorter name, such as a number",
            ));
        }
        Ok(Self(text.into()))
    }

    /// Returns the text of the principal.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl Serialize for Principal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Principal({} bytes)", self.0.len())
    }
}

/// Record that a store keeps under a [`StoreKey`](crate::StoreKey). Clones are cheap.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Record {
    /// Version that the last create or save has given to the record.
    pub version: Version,
    /// Start of the session, from which the absolute time-out counts.
    pub created_at: Timestamp,
    /// First instant at which the record is no longer live.
    pub expires_at: Timestamp,
    /// Principal of the session. `None` if it is anonymous.
    pub principal: Option<Principal>,
    /// Encoded session, opaque to a store. Its first byte names the format.
    pub data: Bytes,
    pub(crate) decoding: Decoding,
}

impl Record {
    /// Creates a record from its parts.
    pub fn new(
        version: Version,
        created_at: Timestamp,
        expires_at: Timestamp,
        principal: Option<Principal>,
        data: Bytes,
    ) -> Self {
        Self { version, created_at, expires_at, principal, data, decoding: Decoding::default() }
    }

    /// Returns a copy whose data is in a buffer of exactly its size, for a store in this process's memory.
    ///
    /// A caller's data may be a slice of a much larger buffer or have spare capacity. A store that kept it as it is would keep that memory for hours.
    #[doc(hidden)]
    #[must_use]
    pub fn compact(&self) -> Self {
        let data = Bytes::copy_from_slice(&self.data);
        let decoding = self.decoding.moved(&self.data, &data);
        Self { principal: self.principal.clone(), data, decoding, ..*self }
    }

    /// Lets copies of this record share its decoded form, so that it is decoded once, for a store in this process's memory.
    ///
    /// The decoded form takes about 1 KB and a multiple of the data. So a store bounds how many records share theirs.
    #[doc(hidden)]
    pub fn share_decoding(&mut self) {
        if !self.shares_decoding() {
            self.decoding = Decoding::of(&self.data);
        }
    }

    /// Whether copies of this record share its decoded form.
    #[doc(hidden)]
    pub fn shares_decoding(&self) -> bool {
        self.decoding.is_shared()
    }

    /// Ends what [`share_decoding`](Self::share_decoding) or a copy has begun. The result frees memory when it is dropped.
    #[doc(hidden)]
    pub fn take_decoding(&mut self) -> impl Sized + use<> {
        std::mem::take(&mut self.decoding)
    }

    /// Whether the record is live at `now`, which means that `expires_at` is after `now`.
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.expires_at > now
    }

    /// Returns the live version at `now` of a key that holds `stored`. It decides a write to that key.
    pub fn live(stored: Option<&Self>, now: Timestamp) -> Live {
        Live::at(now, stored.map(|record| (record.version, record.expires_at)))
    }
}

/// Version of the live record under a key, if there is one. It decides every write of a [`Store`](crate::Store).
///
/// Each method returns the outcome of a write that must not be carried out. `None` means that the write must be carried out,
/// and that its outcome is then [`Outcome::Done`].
///
/// The decision is valid only while no other write can change the record, such as under a lock or within a transaction.
///
/// ```
/// use session_core::{Live, Outcome, Timestamp, Version};
///
/// let [old, new, other] = [(); 3].map(|()| Version::random());
/// let live = Live::from(Some(old));
///
/// assert_eq!(live.save(old, new), None);
/// assert_eq!(live.save(new, old), Some(Outcome::Done)); // a retry of a save that is stored
/// assert_eq!(live.save(other, new), Some(Outcome::Conflict));
/// assert_eq!(live.touch(other), Some(Outcome::Conflict));
/// assert_eq!(live.delete(None), None);
///
/// // An expired record counts as no record.
/// let dead = Live::at(Timestamp::MAX, Some((old, Timestamp::MAX)));
/// assert_eq!(dead.save(old, new), Some(Outcome::Missing));
/// assert_eq!(dead.create(new), None);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Live(Option<Version>);

impl Live {
    /// Returns the live version at `now` of a record with this version and expiry. Without a record, or if it has expired, there is none.
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

    /// Decides a [`touch`](crate::Store::touch). A touch that is carried out must keep the later of the two expiries.
    pub fn touch(self, expected: Version) -> Option<Outcome> {
        self.is(Some(expected))
    }

    /// Decides a [`delete`](crate::Store::delete) of the expected version, or of any version if `expected` is `None`.
    pub fn delete(self, expected: Option<Version>) -> Option<Outcome> {
        self.is(expected)
    }

    /// Compares the live version with the expected one, or with any if `expected` is `None`.
    fn is(self, expected: Option<Version>) -> Option<Outcome> {
        match (self.0, expected) {
            (None, _) => Some(Outcome::Missing),
            (Some(stored), Some(expected)) if stored != expected => Some(Outcome::Conflict),
            _ => None,
        }
    }
}

/// Conversion from a version that is known to be live.
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
