//! Times of logins, so that of two logins one is newer.

use std::sync::PoisonError;
use std::time::Duration;

use crate::Timestamp;
use crate::mutant::{self, Mutant};
use crate::sync::Mutex;

/// Maximum time by which a login's time is ahead of the clock. More logins than this within so short a time have equal times.
const AHEAD: Duration = Duration::from_millis(100);

/// Gives each login of one manager a time of its own.
///
/// A limit of sessions ends those of older logins. Times are whole milliseconds, and two requests may follow each other within one.
/// Without a difference the newer login could be the one that ends.
#[derive(Debug, Default)]
pub(super) struct LoginTimes(Mutex<Option<Timestamp>>);

impl LoginTimes {
    /// Returns the time of a login at `now`: later than that of the login before it, if that is possible.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = last.map_or(now, |last| last.plus(Duration::from_millis(1)));
        let next = earliest.clamp(now, now.plus(AHEAD));
        *last = Some(next);
        if mutant::is(Mutant::RepeatsLoginTimes) { now } else { next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + millis).unwrap()
    }

    #[test]
    fn logins_within_one_millisecond_have_different_times() {
        let times = LoginTimes::default();
        assert_eq!([0, 0, 0, 1, 10, 10].map(|now| times.next(at(now))), [0, 1, 2, 3, 10, 11].map(at));
    }

    #[test]
    fn no_login_is_far_ahead_of_the_clock() {
        let times = LoginTimes::default();
        let _later = times.next(at(3_600_000));
        assert_eq!(times.next(at(0)), at(100), "the clock was set back");
        let many = (0..1_000).map(|_| times.next(at(50)));
        assert_eq!(many.last(), Some(at(150)));
        assert_eq!(times.next(at(200)), at(200));
    }
}
