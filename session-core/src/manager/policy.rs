//! Time-outs, and the policy for conflicts.

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
}

impl Policy {
    /// Checks the settings against each other. `max_idle` is that setting, if it was set.
    pub(super) fn check(&self, max_idle: Option<Duration>) -> Result<()> {
        let config = |message| Err(Error::fixed(ErrorKind::Config, message));
        let anonymous = self.anonymous_idle.unwrap_or(self.idle);
        if [self.idle, self.absolute, anonymous].iter().any(|timeout| *timeout < Duration::from_millis(1)) {
            return Err(ZERO);
        }
        if self.max_idle < self.idle {
            return config("`idle` exceeds `max_idle`: raise `max_idle`, or leave it out");
        }
        if max_idle.is_some_and(|longest| longest < anonymous) {
            return config("`anonymous_idle` exceeds `max_idle`: raise `max_idle`, or leave it out");
        }
        if self.max_absolute < self.absolute {
            return config("`absolute` exceeds `max_absolute`: raise `max_absolute`, or leave it out");
        }
        if max_idle.is_some_and(|longest| longest > self.max_absolute) {
            return config(
                "`max_idle` exceeds the longest absolute time-out, which ends such a session first: raise `max_absolute`",
            );
        }
        Ok(())
    }

    /// Returns the idle time-out of a session with this content.
    pub(crate) fn idle(&self, content: &Content) -> Duration {
        let usual = match (&content.principal, self.anonymous_idle) {
            (None, Some(anonymous)) => anonymous,
            _ => self.idle,
        };
        content.own.idle.map_or(usual, |own| own.min(self.max_idle))
    }

    pub(super) fn idle_at_most(&self, longest: Duration) -> Self {
        Self {
            idle: self.idle.min(longest),
            anonymous_idle: self.anonymous_idle.map(|idle| idle.min(longest)),
            max_idle: self.max_idle.min(longest),
            ..self.clone()
        }
    }

    /// Returns the absolute time-out of a session with this content.
    pub(crate) fn absolute(&self, content: &Content) -> Duration {
        content.own.absolute.map_or(self.absolute, |own| own.min(self.max_absolute))
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

    pub(crate) fn check_own(&self, own: Option<Duration>, longest: Duration) -> Result<()> {
        match own {
            Some(own) if own < Duration::from_millis(1) => Err(ZERO),
            Some(own) if own > longest => Err(Error::fixed(
                ErrorKind::Config,
                "a session's own time-out exceeds the longest of its manager; raise `max_idle` or `max_absolute`",
            )),
            _ => Ok(()),
        }
    }
}

pub(super) const ZERO: Error = Error::fixed(ErrorKind::Config, "a time-out is below one millisecond; set a longer one");
