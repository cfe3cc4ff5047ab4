//! Time-outs, and what a commit does after a conflict.

use std::time::Duration;

use crate::codec::Content;
use crate::{Error, ErrorKind, Result, Timestamp, hours};

/// What a commit does when another request has saved the session since it was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ConflictPolicy {
    /// Replays the changes on the newer record. Only a [clash](crate::Session#when-somebody-else-was-faster) is an error.
    #[default]
    Replay,
    /// Answers [`ErrorKind::Conflict`].
    Reject,
    /// Replaces the newer record, so the other request's changes are lost.
    Overwrite,
}

/// How far ahead the clock of another process may be. What was used later than that is taken for a mistake.
const CLOCKS_DIFFER: Duration = hours(24);

/// When a session was used last, and when it ends unless it is used.
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
    /// How long a session of this content may lie unused.
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

    /// How long it may last at all.
    pub(crate) fn absolute(&self, content: &Content) -> Duration {
        content.own.absolute.map_or(self.absolute, |own| own.min(self.max_absolute))
    }

    /// When a session of this content reaches its absolute time-out.
    pub(crate) fn outlived_at(&self, content: &Content) -> Timestamp {
        content.created_at.plus(self.absolute(content))
    }

    /// When a session of this content ends if it was used at `last_used`.
    pub(crate) fn end(&self, content: &Content, last_used: Timestamp) -> Timestamp {
        last_used.plus(self.idle(content)).min(self.outlived_at(content))
    }

    /// Last use and end of a session by today's time-outs, whatever they were when it was stored.
    ///
    /// `idle` is the idle time-out that it was stored with.
    pub(crate) fn life(
        &self,
        content: &Content,
        expires_at: Timestamp,
        idle: Option<Duration>,
        now: Timestamp,
    ) -> Life {
        let last_used = expires_at.minus(idle.unwrap_or_else(|| self.idle(content)));
        // A clock that was a little ahead must sign nobody out, and one that was years ahead must keep nobody signed in.
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
                "a session's own time-out exceeds the longest that its manager allows",
            )),
            _ => Ok(()),
        }
    }
}

pub(super) const ZERO: Error = Error::fixed(ErrorKind::Config, "a time-out is at least one millisecond");
