//! What all steps of a commit share.

use std::ops::Deref;
use std::time::Duration;

use crate::mutant::{self, Mutant};
use crate::{Error, ErrorKind, Record, Session, Timestamp, minutes, seconds};

/// Commits a session. The steps are its methods, each in a file of its own.
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
    /// What is known of the store has changed, so the commit must start again.
    Again,
}

/// Life of a tombstone. While it is stored it proves what became of a write whose answer was lost.
pub(super) const TOMBSTONE_LIFE: Duration = minutes(10);

/// How long opening its id answers `Moved` or `Ended`: longer than a request with the old id should take.
pub(super) const TOMBSTONE_TELLS: Duration = seconds(60);

/// Time after a logout in which the browser may not have its answer yet, so that a request of the same page may still arrive.
const LOGOUT_UNDER_WAY: Duration = seconds(10);

pub(super) const GONE: Error = Error::fixed(ErrorKind::Gone, "it ended, moved or changed hands meanwhile");

pub(super) const TOO_MANY_CONFLICTS: Error =
    Error::fixed(ErrorKind::Conflict, "other requests were faster too many times in a row");

/// Whether opening the id of the tombstone `record` answers `Moved` or `Ended`. After that the id is unknown.
pub(crate) fn tombstone_tells(record: &Record, now: Timestamp) -> bool {
    record.expires_at.since(now) > TOMBSTONE_LIFE - TOMBSTONE_TELLS
}

/// Whether the tombstone `record` of a logout is so old that a new request is none of those that the logout overtook.
pub(crate) fn is_settled_logout(record: &Record, now: Timestamp) -> bool {
    mutant::is(Mutant::BeginsAnewAtOnce) || record.expires_at.since(now) <= TOMBSTONE_LIFE - LOGOUT_UNDER_WAY
}
