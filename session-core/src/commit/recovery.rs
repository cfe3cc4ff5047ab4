//! Writes whose answer was lost. What became of them is asked, never guessed.
//!
//! For one piece of work, all records that were sent and are undecided expect the same version, each under a fresh version of
//! its own. As no version returns, at most one of them is ever stored. The work goes over another version only once the
//! expected one is proven to be replaced by none of them.

use super::committer::{Committer, GONE};
use super::uncertain::UncertainWrite;
use crate::codec::Stored;
use crate::manager::environment::Environment;
use crate::mutant::{self, Mutant};
use crate::session::committed::{CommittedState, Orphan};
use crate::trail::Trail;
use crate::{Error, ErrorKind, Outcome, Record, Result, StoreKey, Version};

/// What became of a write over an expected version.
pub(super) enum Attempted {
    /// This version is or was stored.
    Stored(Version),
    /// None of the versions that were sent is stored, and none will be.
    NotStored,
    /// There is no live record any more.
    Gone,
    /// One of them may be stored, or may be later.
    Unknown(Error),
}

/// What a load tells of a write.
enum Found {
    Stored(Version),
    NotStored,
    Gone,
    /// The expected version is still stored, so the write may be sent again.
    Expected,
    Unknown,
}

/// A write that may have to be sent more than once.
pub(super) trait Undecided {
    /// The record to send, under a fresh version, and its trail.
    fn record(&self) -> Result<(Record, Trail)>;

    /// Notes that `record` is about to be sent. `false` if it must not be.
    fn note(&mut self, record: &Record, trail: Trail) -> bool;

    /// All versions that were noted, in earlier attempts too.
    fn sent(&self) -> Vec<Version>;

    /// Forgets the version that was noted last, because the store has refused it.
    fn refused(&mut self);
}

const UNKNOWN: Error =
    Error::fixed(ErrorKind::Unavailable, "an answer was lost, and it cannot be told whether the write was done");

/// Whether `error` says that nothing was changed.
pub(super) fn is_definite(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Unsupported | ErrorKind::Config | ErrorKind::Corrupt)
}

/// Sends a write over `expected`, and after a lost answer finds out what became of it.
///
/// Each record is noted before it is sent, so that a dropped future loses nothing either.
///
/// # Errors
/// An error says that the last record changes nothing. Others that were noted may still be undecided.
pub(super) async fn attempt(
    env: &Environment,
    key: &StoreKey,
    expected: Version,
    write: &mut impl Undecided,
) -> Result<Attempted> {
    let mut lost = UNKNOWN;
    let mut before: Option<Record> = None;
    for _ in 0..2 {
        let record = match before.take() {
            Some(record) => record,
            None => {
                let (record, trail) = write.record()?;
                if !write.note(&record, trail) {
                    return Err(GONE);
                }
                record
            }
        };
        match env.store().save(&env.call(), key, expected, &record).await {
            Ok(Outcome::Done) => return Ok(Attempted::Stored(record.version)),
            Ok(Outcome::Missing) => return Ok(Attempted::Gone),
            // With others undecided, one of them may be what it conflicts with.
            Ok(Outcome::Conflict | Outcome::Exists) if write.sent() == [record.version] => {
                return Ok(Attempted::NotStored);
            }
            Ok(Outcome::Conflict | Outcome::Exists) => {}
            Err(error) if is_definite(&error) => {
                write.refused();
                return Err(error);
            }
            Err(error) => lost = error,
        }
        if mutant::is(Mutant::ResendsAlike) {
            before = Some(record.clone());
        }
        // Boxed because it is rare and would enlarge every commit's future.
        match Box::pin(find(env, key, expected, &write.sent())).await {
            Ok(Found::Stored(version)) => return Ok(Attempted::Stored(version)),
            Ok(Found::NotStored) => return Ok(Attempted::NotStored),
            Ok(Found::Gone) => return Ok(Attempted::Gone),
            Ok(Found::Expected) => {}
            Ok(Found::Unknown) => return Ok(Attempted::Unknown(UNKNOWN)),
            Err(_) => return Ok(Attempted::Unknown(lost)),
        }
    }
    Ok(Attempted::Unknown(lost))
}

/// Loads the record and concludes what became of the versions in `sent`, which all expect `expected`.
async fn find(env: &Environment, key: &StoreKey, expected: Version, sent: &[Version]) -> Result<Found> {
    // Nothing comes back to life under a key.
    let Some(record) = env.store().load(&env.call(), key).await? else { return Ok(Found::Gone) };
    if sent.contains(&record.version) {
        return Ok(Found::Stored(record.version));
    }
    if record.version == expected {
        return Ok(Found::Expected);
    }
    let (stored, trail) = match Stored::read(&record) {
        Ok((stored, trail)) => (Some(stored), trail),
        Err(_) => (None, Trail::of(record.version)),
    };
    let trail = if mutant::is(Mutant::IgnoresTrails) { Trail::of(record.version) } else { trail };
    Ok(match sent.iter().find(|version| trail.contains(**version)) {
        Some(version) => Found::Stored(*version),
        None if trail.contains(expected) => Found::NotStored,
        // The session ended or moved, and with it what was to be written. No tombstone is ever replaced.
        None if matches!(stored, Some(Stored::Tombstone(_))) => Found::NotStored,
        None => Found::Unknown,
    })
}

impl Committer<'_> {
    /// Finds out what became of the last write, before a commit does anything else.
    pub(crate) async fn resolve_uncertain(&self) -> Result<()> {
        let Some(write) = self.state().uncertain.clone() else { return Ok(()) };
        match *write {
            UncertainWrite::Create { key, after } => {
                Box::pin(self.resolve_create(&key, after)).await?;
            }
            UncertainWrite::Save(save) => {
                let versions = save.versions();
                let found = find(&self.shared.env, &save.key, save.over.version, &versions);
                match Box::pin(found).await {
                    Ok(Found::Stored(version)) => {
                        if let Some(sent) = save.sent_as(version) {
                            self.apply_commit(&sent.after);
                        }
                    }
                    Ok(Found::NotStored | Found::Gone) => self.state().uncertain = None,
                    Ok(Found::Expected) => {}
                    Ok(Found::Unknown) => return Err(UNKNOWN),
                    Err(_) => return Err(UNANSWERED),
                }
            }
            UncertainWrite::Joint { write, changes, stored } => {
                Box::pin(self.joint_result(&write, &changes, &stored)).await?;
            }
        }
        Ok(())
    }

    /// Finds out whether a create is stored, and applies it if so. If not, it may still arrive, and no client has its id.
    pub(super) async fn resolve_create(&self, key: &StoreKey, after: CommittedState) -> Result<bool> {
        let env = &*self.shared.env;
        let version = after.stored.version;
        let found = env.store().load(&env.call(), key).await.map_err(|_| UNANSWERED)?;
        // Under a fresh id nothing else can be stored.
        let stored = found.is_some_and(|record| record.version == version);
        if stored {
            self.apply_commit(&after);
        } else {
            let mut state = self.state();
            state.uncertain = None;
            state.orphans.push(Orphan { key: *key, version, landed: false });
        }
        Ok(stored)
    }
}

const UNANSWERED: Error = Error::fixed(ErrorKind::Unavailable, "an earlier write is still without an answer");
