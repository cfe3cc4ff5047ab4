//! Time-outs, and the policy for conflicts.

use std::fmt;
use std::time::Duration;

use crate::codec::Content;
use crate::{Error, ErrorKind, Result, Timestamp, hours};

/// Policy for a commit when another request has saved the session since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// Replays the changes on the newer record. Only a [clash](crate::Session#conflicts) is an error.
    #[default]
    Replay,
    /// Returns [`ErrorKind::Conflict`] and stores nothing.
    Reject,
    /// Replaces the newer record, so the other request's changes are lost.
    Overwrite,
}

/// Tolerated difference between the clocks of two processes. A last use further in the future is taken for an error.
const CLOCKS_DIFFER: Duration = hours(24);

/// Last use of a session, and its end unless it is used again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Life {
    pub(crate) last_used: Timestamp,
    pub(crate) ends_at: Timestamp,
}

/// Time-outs of a manager's sessions.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    pub(super) idle: Duration,
    pub(super) absolute: Duration,
    pub(super) anonymous_idle: Option<Duration>,
    pub(crate) max_idle: Duration,
    pub(crate) max_absolute: Duration,
    /// Idle time-out of remembered sessions. `None` if sessions cannot be remembered.
    pub(super) remember_idle: Option<Duration>,
    /// Absolute time-out of remembered sessions.
    pub(super) remember_absolute: Option<Duration>,
}

impl Policy {
    /// Checks the settings against each other. `max_idle` is that setting, if it was set.
    pub(super) fn check(&self, max_idle: Option<Duration>) -> Result<()> {
        let anonymous = self.anonymous_idle.unwrap_or(self.idle);
        let remember = self.remember_absolute.unwrap_or(self.absolute);
        if [self.idle, self.absolute, anonymous, remember].iter().any(|timeout| *timeout < Duration::from_millis(1)) {
            return Err(ZERO);
        }
        let maximum = "; raise the second, or leave it out";
        let ends_first = ", which ends such a session first; raise the second, or lower the first";
        let checks = [
            ("idle", Some(self.idle), "max_idle", max_idle, maximum),
            ("anonymous_idle", self.anonymous_idle, "max_idle", max_idle, maximum),
            ("absolute", Some(self.absolute), "max_absolute", Some(self.max_absolute), maximum),
            ("max_idle", max_idle, "max_absolute", Some(self.max_absolute), ends_first),
            ("idle", Some(self.idle), "absolute", Some(self.absolute), ends_first),
            ("anonymous_idle", self.anonymous_idle, "absolute", Some(self.absolute), ends_first),
            ("idle", Some(self.idle), "remember", self.remember_absolute, ends_first),
        ];
        for (shorter, value, longer, limit, mend) in checks {
            if let (Some(value), Some(limit)) = (value, limit)
                && value > limit
            {
                let (value, limit) = (Span(value), Span(limit));
                let message = format!("`{shorter}` ({value}) exceeds `{longer}` ({limit}){mend}");
                return Err(Error::new(ErrorKind::Config, message));
            }
        }
        Ok(())
    }

    /// Returns the longest absolute time-out that a session can have.
    pub(super) fn longest(&self) -> Duration {
        self.max_absolute.max(self.remember_absolute.unwrap_or_default())
    }

    /// Returns the idle time-out of a session with this content.
    pub(crate) fn idle(&self, content: &Content) -> Duration {
        let usual = match (&content.principal, self.anonymous_idle) {
            (None, Some(anonymous)) => anonymous,
            _ => self.idle,
        };
        let own = content.own.idle.map(|own| own.min(self.max_idle));
        own.or(self.remember_idle.filter(|_| content.own.remember)).unwrap_or(usual)
    }

    /// Whether a session with this content asks for a cookie that outlives the browser.
    pub(crate) const fn is_persistent(&self, content: &Content) -> bool {
        content.own.persistent || content.own.remember && self.remembers()
    }

    /// Whether sessions can be remembered.
    pub(crate) const fn remembers(&self) -> bool {
        self.remember_idle.is_some()
    }

    pub(super) fn idle_at_most(&self, longest: Duration) -> Self {
        Self {
            idle: self.idle.min(longest),
            anonymous_idle: self.anonymous_idle.map(|idle| idle.min(longest)),
            max_idle: self.max_idle.min(longest),
            remember_idle: self.remember_idle.map(|idle| idle.min(longest)),
            ..self.clone()
        }
    }

    /// Returns the absolute time-out of a session with this content.
    pub(crate) fn absolute(&self, content: &Content) -> Duration {
        let own = content.own.absolute.map(|own| own.min(self.max_absolute));
        own.or(self.remember_absolute.filter(|_| content.own.remember)).unwrap_or(self.absolute)
    }

    /// Returns the instant at which a session with this content reaches its absolute time-out.
    pub(crate) fn outlived_at(&self, content: &Content) -> Timestamp {
        content.created_at.plus(self.absolute(content))
    }

    /// Returns the end of a session with this content that was last used at `last_used`.
    pub(crate) fn end(&self, content: &Content, last_used: Timestamp) -> Timestamp {
        last_used.plus(self.idle(content)).min(self.outlived_at(content))
    }

    /// Returns the last use of a session, and its end by the time-outs in force now. `idle` is the idle time-out that it was stored with.
    pub(crate) fn life(
        &self,
        content: &Content,
        expires_at: Timestamp,
        idle: Option<Duration>,
        now: Timestamp,
    ) -> Life {
        let last_used = expires_at.minus(idle.unwrap_or_else(|| self.idle(content)));
        // A session stored by a clock that was a little ahead stays live. One stored by a clock that was years ahead must not live for years.
        if last_used > now.plus(CLOCKS_DIFFER) {
            return Life { last_used, ends_at: now };
        }
        let last_used = last_used.min(now);
        Life { last_used, ends_at: self.end(content, last_used) }
    }

    /// Checks the idle time-out that a session sets for itself.
    pub(crate) fn check_own_idle(&self, own: Option<Duration>) -> Result<()> {
        check_own(own, "idle time-out", self.max_idle, "ManagerBuilder::max_idle")
    }

    /// Checks the absolute time-out that a session sets for itself.
    pub(crate) fn check_own_absolute(&self, own: Option<Duration>) -> Result<()> {
        check_own(own, "absolute time-out", self.max_absolute, "ManagerBuilder::max_absolute")
    }
}

fn check_own(own: Option<Duration>, what: &str, longest: Duration, setting: &str) -> Result<()> {
    match own {
        Some(own) if own < Duration::from_millis(1) => Err(ZERO),
        Some(own) if own > longest => {
            let (own, longest) = (Span(own), Span(longest));
            let message =
                format!("the session's own {what} of {own} exceeds the longest of {longest}; raise `{setting}`");
            Err(Error::new(ErrorKind::Config, message))
        }
        _ => Ok(()),
    }
}

/// Duration that prints in the largest unit of which it is a multiple: `36 hours`.
pub(super) struct Span(pub(super) Duration);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u128, &str); 5] =
            [(86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond")];
        let millis = self.0.as_millis();
        let (unit, name) =
            UNITS.into_iter().find(|(unit, _)| millis.is_multiple_of(*unit)).unwrap_or((1, "millisecond"));
        let count = millis / unit;
        write!(f, "{count} {name}{}", if count == 1 { "" } else { "s" })
    }
}

pub(super) const ZERO: Error = Error::fixed(ErrorKind::Config, "a time-out is below one millisecond; set a longer one");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{days, seconds};

    #[test]
    fn a_span_prints_in_its_largest_whole_unit() {
        let shown = [days(1), hours(36), days(2) + seconds(1), Duration::from_millis(1_500), seconds(60)];
        let shown = shown.map(|span| Span(span).to_string());
        assert_eq!(shown, ["1 day", "36 hours", "172801 seconds", "1500 milliseconds", "1 minute"]);
    }
}
