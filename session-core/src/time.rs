//! Instants in milliseconds, and the clocks that tell them.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sync::atomic::{AtomicI64, Ordering};
use crate::{Error, ErrorKind, Result};

/// An instant: whole milliseconds since 1970-01-01T00:00:00Z.
///
/// The range is 1970 to the end of the year 9999, which every database here can hold.
/// Arithmetic saturates at both ends instead of wrapping.
///
/// ```
/// use session_core::{Timestamp, hours};
///
/// let now = Timestamp::from_millis(1_000)?;
/// assert_eq!(now.plus(hours(1)).as_millis(), 3_601_000);
/// assert_eq!(Timestamp::MAX.plus(hours(1)), Timestamp::MAX);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(0);
    /// 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// The instant `millis` milliseconds after 1970.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] outside 1970 to 9999: such a number was not written by a store of ours.
    pub const fn from_millis(millis: i64) -> Result<Self> {
        if millis < Self::MIN.0 || millis > Self::MAX.0 {
            return Err(Error::fixed(ErrorKind::Corrupt, "an instant lies outside 1970 to 9999"));
        }
        Ok(Self(millis))
    }

    /// Milliseconds since 1970, never negative.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This instant and `by`, at most [`Timestamp::MAX`]. Fractions of a millisecond are dropped.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// This instant less `by`, at least [`Timestamp::MIN`]. Fractions of a millisecond are dropped.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis).max(Self::MIN.0))
    }

    /// How long after `earlier` this is; zero if it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

impl From<SystemTime> for Timestamp {
    /// Times outside the range become its nearest end.
    fn from(time: SystemTime) -> Self {
        match time.duration_since(UNIX_EPOCH) {
            Ok(after) => Self::MIN.plus(after),
            Err(_) => Self::MIN,
        }
    }
}

impl From<Timestamp> for SystemTime {
    fn from(at: Timestamp) -> Self {
        UNIX_EPOCH + at.since(Timestamp::MIN)
    }
}

/// `n` seconds.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// `n` minutes.
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// `n` hours.
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3_600)
}

/// `n` days of 24 hours.
pub const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// Where a [`Manager`](crate::Manager) takes the present from.
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The system's clock, the default.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// A clock that stands still until it is told to move: for tests.
///
/// Clones show the same time.
///
/// ```
/// use session_core::{Clock, ManualClock, Timestamp, minutes};
///
/// let clock = ManualClock::new(Timestamp::from_millis(0)?);
/// clock.advance(minutes(1));
/// assert_eq!(clock.now().as_millis(), 60_000);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Shows `now` from here on.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves on by `by`.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
