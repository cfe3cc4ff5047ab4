//! Writes whose answer was lost. What became of them is asked, never guessed.
//!
//! For one piece of work, all records that were sent and are undecided expect the same version, each under a fresh version of
//! its own. As no version returns, at most one of them is ever stored. The work goes over another version only once the
//! expected one is proven to be replaced by none of them.

use super::committer::Committer;
use super::joint_write::Ended;
use super::uncertain::UncertainWrite;
use crate::codec::Stored;
use crate::head::{Head, Trail};
use crate::manager::environment::Environment;
use crate::mutant::{self, Mutant};
use crate::session::committed::{CommittedState, Orphan};
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

/// A write that may have to be sent more than once.
pub(super) trait Undecided {
    /// Notes the record that is sent next, under a fresh version, and returns it.
    fn next(&mut self) -> Result<Record>;

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
            None => write.next()?,
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
            Ok(Some(found)) => return Ok(found),
            Ok(None) => {}
            Err(_) => return Ok(Attempted::Unknown(lost)),
        }
    }
    Ok(Attempted::Unknown(lost))
}

/// Loads the record and concludes what became of the versions in `sent`, which all expect `expected`.
///
/// `None` if the expected version is still stored, so that the write may be sent again.
async fn find(env: &Environment, key: &StoreKey, expected: Version, sent: &[Version]) -> Result<Option<Attempted>> {
    // Nothing comes back to life under a key.
    let Some(record) = env.store().load(&env.call(), key).await? else { return Ok(Some(Attempted::Gone)) };
    if record.version == expected {
        return Ok(None);
    }
    let own = Trail::of(record.version);
    let trail =
        if mutant::is(Mutant::IgnoresTrails) { own } else { Head::read(&record).map_or(own, |(head, _)| head.trail) };
    Ok(Some(match sent.iter().find(|version| trail.contains(**version)) {
        Some(version) => Attempted::Stored(*version),
        None if trail.contains(expected) => Attempted::NotStored,
        // The session ended or moved, and with it what was to be written. No tombstone is ever replaced.
        None if matches!(Stored::read(&record), Ok((Stored::Tombstone(_), _))) => Attempted::NotStored,
        None => Attempted::Unknown(UNKNOWN),
    }))
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
                match Box::pin(found).await.map_err(|_| UNANSWERED)? {
                    Some(Attempted::Stored(version)) => {
                        if let Some(sent) = save.sent_as(version) {
                            self.apply_commit(&sent.after);
                        }
                    }
                    Some(Attempted::NotStored | Attempted::Gone) => self.state().uncertain = None,
                    Some(Attempted::Unknown(error)) => return Err(error),
                    None => {}
                }
            }
            UncertainWrite::Joint { write, changes, stored } => {
                if let Ended::Unknown(error) = Box::pin(self.end_joint(&write, &changes, &stored)).await {
                    return Err(error);
                }
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
