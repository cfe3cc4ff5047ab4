//! Common parts of all steps of a commit.

use std::ops::Deref;
use std::time::Duration;

use crate::mutant::{self, Mutant};
use crate::{Error, ErrorKind, Record, Session, Timestamp, minutes, seconds};

/// Commits a session. Each step is a method in its own file.
pub(crate) struct Committer<'s>(pub(crate) &'s Session);

impl Deref for Committer<'_> {
    type Target = Session;

    fn deref(&self) -> &Session {
        self.0
    }
}

/// Result of one step of a commit.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// All changes are stored.
    Committed,
    /// The session's knowledge of the stored record has changed, so the commit must start again.
    Again,
}

/// Lifetime of a tombstone, except of one that a renewal has left. While it is stored, a session can find out whether a write with a lost
/// reply was stored.
pub(crate) const TOMBSTONE_LIFE: Duration = minutes(10);

/// Time during which opening the id of a tombstone returns `Moved` or `Ended`. Longer than a request with the old id should take.
pub(crate) const TOMBSTONE_TELLS: Duration = seconds(60);

/// Time after a logout in which a request of the same page may still arrive, because the browser may not have the response yet.
const LOGOUT_UNDER_WAY: Duration = seconds(10);

pub(super) const GONE: Error =
    Error::fixed(ErrorKind::Gone, "it ended, moved or changed hands meanwhile; `discard` the session, or log in again");

pub(super) const TOO_MANY_CONFLICTS: Error = Error::fixed(
    ErrorKind::Conflict,
    "other requests were faster too many times in a row; try again, or raise `max_replays`",
);

/// Whether opening the id of the tombstone `record` still returns `Moved` or `Ended`. Afterwards the id is unknown.
///
/// A tombstone that a renewal has left is stored for longer, so its expiry says nothing about its age. There the record to which it
/// leads tells what became of the session.
pub(crate) fn tombstone_tells(record: &Record, now: Timestamp) -> bool {
    let left = record.expires_at.since(now);
    // The clock of another process may be ahead.
    left > TOMBSTONE_LIFE - TOMBSTONE_TELLS && left <= TOMBSTONE_LIFE + TOMBSTONE_TELLS
}

/// Whether the tombstone `record` of a logout is old enough that no request sent before the logout can still arrive.
pub(crate) fn is_settled_logout(record: &Record, now: Timestamp) -> bool {
    mutant::is(Mutant::BeginsAgainAtOnce) || record.expires_at.since(now) <= TOMBSTONE_LIFE - LOGOUT_UNDER_WAY
}
