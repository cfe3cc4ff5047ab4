//! Time-outs, and what a commit does after a conflict.

use std::time::Duration;

use crate::codec::Content;
use crate::{Error, ErrorKind, Result, Timestamp};

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

    /// Whether it has reached its absolute time-out, which may have been shortened since it was stored.
    pub(crate) fn outlived(&self, content: &Content, now: Timestamp) -> bool {
        content.created_at.plus(self.absolute(content)) <= now
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
