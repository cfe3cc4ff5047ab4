//! Recovery of writes whose reply was lost. The store is asked whether a write is stored, so nothing is guessed.
//!
//! A write may be sent several times. Each attempt has a fresh version, and all undecided attempts expect the same stored version.
//! Versions never return, so at most one attempt is ever stored. The write expects another version only after it is proven that
//! none of the attempts has replaced the first one.

use super::committer::Committer;
use super::joint_write::Ended;
use super::uncertain::UncertainWrite;
use crate::codec::Stored;
use crate::head::{Head, Trail};
use crate::manager::environment::Environment;
use crate::mutant::{self, Mutant};
use crate::session::committed::{CommittedState, Orphan};
use crate::{Error, ErrorKind, Outcome, Record, Result, StoreKey, Version};

/// Outcome of a write over an expected version.
pub(super) enum Attempted {
    /// The attempt with this version is stored, or was.
    Stored(Version),
    /// No attempt is stored, now or later.
    NotStored,
    /// No live record has the key any more.
    Gone,
    /// The outcome is uncertain: an attempt may be stored now or later.
    Unknown(Error),
}

/// A write that may have to be sent more than once.
pub(super) trait Undecided {
    /// Makes the next record to send, under a fresh version, notes it and returns it.
    fn next(&mut self) -> Result<Record>;

    /// Returns all noted versions, including those of earlier attempts.
    fn sent(&self) -> Vec<Version>;

    /// Forgets the last noted version, because the store has refused its record.
    fn refused(&mut self);
}

const UNKNOWN: Error = Error::fixed(
    ErrorKind::Unavailable,
    "an answer was lost, and the write may be stored or not; save again to find out",
);

/// Whether `error` proves that nothing was changed.
pub(super) fn is_definite(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::TooLarge | ErrorKind::Unsupported | ErrorKind::Config | ErrorKind::Corrupt)
}

/// Sends a write over `expected`. If the reply is lost, finds out whether the write was stored.
///
/// Each record is noted before it is sent, so that the outcome can be found out even if the future is dropped.
///
/// # Errors
/// An error means that the last record changed nothing. Other noted records may still be undecided.
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
            // With other attempts undecided, the conflict may be with one of them.
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

/// Loads the record and decides whether one of the versions in `sent` was stored. All of them expect `expected`.
///
/// Returns `None` if the expected version is still stored, so that the write may be sent again.
async fn find(env: &Environment, key: &StoreKey, expected: Version, sent: &[Version]) -> Result<Option<Attempted>> {
    // A record that is gone never comes back under its key.
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
        None => match Stored::read(&record) {
            // Later writes may have pushed the attempt out of the trail. A commit would go on after a renewal, and count it twice.
            Ok((Stored::Tombstone(Some(next)), _)) if env.is_renewal(key, &next).await? => Attempted::Unknown(UNKNOWN),
            // The session has ended or moved, and no write ever replaces a tombstone.
            Ok((Stored::Tombstone(_), _)) => Attempted::NotStored,
            _ => Attempted::Unknown(UNKNOWN),
        },
    }))
}

impl Committer<'_> {
    /// Finds out whether the last uncertain write was stored. A commit does this before it writes.
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
                            self.distrust_earlier_write();
                        }
                    }
                    Some(Attempted::NotStored | Attempted::Gone) => self.state().end_uncertain(),
                    Some(Attempted::Unknown(error)) => return Err(error),
                    None => {}
                }
            }
            UncertainWrite::Joint { write, changes, stored } => {
                if let Ended::Unknown(error) = Box::pin(self.end_joint(&write, &changes, &stored)).await {
                    return Err(error);
                }
                self.distrust_earlier_write();
            }
        }
        Ok(())
    }

    /// Notes that a write of an earlier commit is no proof that the session still stands: it may have ended or moved since.
    fn distrust_earlier_write(&self) {
        self.state().confirmed &= mutant::is(Mutant::TrustsAnEarlierCommit);
    }

    /// Applies a create if it is stored, and returns whether it is. If not, its record becomes an orphan, because it may still arrive.
    pub(super) async fn resolve_create(&self, key: &StoreKey, after: CommittedState) -> Result<bool> {
        let env = &*self.shared.env;
        let version = after.stored.version;
        let found = env.store().load(&env.call(), key).await.map_err(|_| UNANSWERED)?;
        // A fresh id is used by no other write.
        let stored = found.is_some_and(|record| record.version == version);
        if stored {
            self.apply_commit(&after);
        } else {
            let mut state = self.state();
            state.end_uncertain();
            state.orphans.push(Orphan { key: *key, version, landed: false });
        }
        Ok(stored)
    }
}

const UNANSWERED: Error =
    Error::fixed(ErrorKind::Unavailable, "an earlier write is still without an answer; save again to find out");
