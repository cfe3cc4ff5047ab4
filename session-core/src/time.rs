//! Instants in milliseconds, durations, and clocks.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::sync::atomic::{AtomicI64, Ordering};
use crate::{Error, ErrorKind, Result};

/// Instant in whole milliseconds since 1970-01-01T00:00:00Z.
///
/// The range is 1970 to the end of the year 9999, which every supported database can store.
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
    /// Earliest instant, 1970-01-01T00:00:00.000Z.
    pub const MIN: Self = Self(0);
    /// Latest instant, 9999-12-31T23:59:59.999Z.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// Creates the instant `millis` milliseconds after 1970-01-01T00:00:00Z.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`] outside 1970 to 9999, because no store has written such a number.
    pub const fn from_millis(millis: i64) -> Result<Self> {
        if millis < Self::MIN.0 || millis > Self::MAX.0 {
            return Err(Error::fixed(ErrorKind::Corrupt, "an instant lies outside 1970 to 9999"));
        }
        Ok(Self(millis))
    }

    /// Returns the milliseconds since 1970-01-01T00:00:00Z, which are never negative.
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// Returns the instant `by` later, at most [`Timestamp::MAX`]. Fractions of a millisecond are dropped.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// Returns the instant `by` earlier, at least [`Timestamp::MIN`]. Fractions of a millisecond are dropped.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        let millis = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis).max(Self::MIN.0))
    }

    /// Returns the time from `earlier` to this instant, or zero if `earlier` is not before it.
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
    /// Converts the time. One outside the range becomes its nearest end.
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

/// Returns a duration of `n` seconds.
pub const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Returns a duration of `n` minutes.
pub const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// Returns a duration of `n` hours.
pub const fn hours(n: u64) -> Duration {
    Duration::from_secs(n * 3_600)
}

/// Returns a duration of `n` days of 24 hours.
pub const fn days(n: u64) -> Duration {
    Duration::from_secs(n * 86_400)
}

/// Source of the present time for a [`Manager`](crate::Manager).
pub trait Clock: fmt::Debug + Send + Sync + 'static {
    /// Returns the present instant.
    fn now(&self) -> Timestamp;
}

/// Clock of the operating system, which managers use unless another one is set.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }
}

/// Clock that moves only when it is set or advanced, for tests.
///
/// Clones share one time.
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
    /// Creates a clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.0)))
    }

    /// Sets the clock to `now`.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.0, Ordering::SeqCst);
    }

    /// Moves the clock forward by `by`.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}
