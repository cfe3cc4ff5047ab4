//! Comparison of the server's clock with this machine's.

use session_core::{Clock, SystemClock, Timestamp};

/// Largest difference that is not worth a warning, in milliseconds. Machines that synchronize their clocks differ by less.
const TOLERANCE: i64 = 5_000;

/// A question to a server for its time, from which the difference of the clocks follows.
///
/// The times in a record come from the caller's clock, so a difference is no error. But a server that removes expired records by
/// itself uses its own clock, and another process whose clock is ahead ends sessions early.
///
/// ```
/// use session_core::{Clock, SystemClock, Timestamp, hours};
/// use session_store_kit::ClockCheck;
///
/// let check = ClockCheck::begin();
/// let server = SystemClock.now().plus(hours(2)).as_millis(); // the server's answer
/// assert_eq!(check.end("the server", server), Some(7_200));
/// ```
#[derive(Debug)]
#[must_use = "the check ends with the server's answer"]
pub struct ClockCheck(Timestamp);

impl ClockCheck {
    /// Notes this machine's time before the server is asked for its own.
    pub fn begin() -> Self {
        Self(SystemClock.now())
    }

    /// Compares the server's answer, in milliseconds since 1970, and warns if it is more than a few seconds off. `server` names the
    /// server in the warning.
    ///
    /// Returns by how many seconds the server's clock is ahead if it warns. A negative number means that it is behind.
    pub fn end(self, server: &str, millis: i64) -> Option<i64> {
        let seconds = difference(self.0.as_millis(), millis, SystemClock.now().as_millis())? / 1000;
        let (by, direction) = (seconds.abs(), if seconds > 0 { "ahead of" } else { "behind" });
        tracing::warn!(
            "the clock of {server} is {by} s {direction} this machine's: set both by NTP, because a clock that is ahead ends sessions early \
             and one that is behind keeps them too long"
        );
        Some(seconds)
    }
}

/// Returns by how much `server`, read between `before` and `after`, is certainly off, if that is more than the tolerance.
fn difference(before: i64, server: i64, after: i64) -> Option<i64> {
    let off = if server < before { server - before } else { (server - after.max(before)).max(0) };
    (off.abs() > TOLERANCE).then_some(off)
}

#[cfg(test)]
mod tests {
    use super::difference;

    #[test]
    fn only_what_the_round_trip_does_not_explain_is_a_difference() {
        for (before, server, after, off) in [
            (100_000, 100_500, 101_000, None),
            (100_000, 95_000, 100_100, None),
            (100_000, 94_999, 100_100, Some(-5_001)),
            (100_000, 105_100, 100_100, None),
            (100_000, 105_101, 100_100, Some(5_001)),
            (100_000, 130_000, 130_000, None),
            (7_200_000, 0, 7_200_000, Some(-7_200_000)),
        ] {
            assert_eq!(difference(before, server, after), off, "{before} {server} {after}");
        }
    }
}
