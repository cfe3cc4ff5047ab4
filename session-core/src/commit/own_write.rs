//! Writes of one session over its own record: a save, or the tombstone of a rotation.

use std::sync::Arc;

use super::changes::Changes;
use super::committer::{GONE, TOMBSTONE_LIFE, TOMBSTONE_TELLS};
use super::recovery::Undecided;
use super::uncertain::{Sent, UncertainSave, UncertainWrite};
use crate::codec::{Content, tombstone};
use crate::mutant::{self, Mutant};
use crate::session::committed::{CommittedState, StoredAt, StoredRecord};
use crate::{Record, Result, Session, Version};

/// Replacement of the record.
pub(super) enum Replacement {
    /// A record with this content.
    Content(Arc<Content>),
    /// A tombstone. Once it is stored, the session has this state.
    Tombstone(CommittedState),
}

/// A write that replaces `over`, the record under the key of `at`.
pub(super) struct OwnWrite<'s> {
    session: &'s Session,
    changes: &'s Changes,
    at: &'s StoredAt,
    over: &'s Arc<StoredRecord>,
    replacement: Replacement,
    /// The record that was sent last.
    pub(super) last: Option<Arc<Sent>>,
    /// Records that this commit has sent before `last`.
    earlier: Vec<Arc<Sent>>,
}

impl<'s> OwnWrite<'s> {
    pub(super) const fn new(
        session: &'s Session,
        changes: &'s Changes,
        at: &'s StoredAt,
        over: &'s Arc<StoredRecord>,
        replacement: Replacement,
    ) -> Self {
        Self { session, changes, at, over, replacement, last: None, earlier: Vec::new() }
    }

    /// Whether undecided saves of earlier commits expect the same version.
    fn is_over_undecided(&self) -> bool {
        self.changes.undecided_over.as_ref().is_some_and(|over| over.version == self.over.version)
    }

    /// Returns the record to send, and the session's state once it is stored.
    fn record(&self) -> Result<(Record, CommittedState)> {
        let env = &*self.session.shared.env;
        let trail = Some(&self.over.trail);
        match &self.replacement {
            Replacement::Content(content) => {
                let (record, stored) = env.record(content, trail)?;
                Ok((record, self.changes.committed(self.at.with(stored))))
            }
            Replacement::Tombstone(after) => {
                let life = match after.stored.content.renewed_from(&self.at.key) {
                    Some(_) => env.old_id_life(&after.stored.content),
                    None if mutant::is(Mutant::ForgetsTombstonesEarly) => TOMBSTONE_TELLS,
                    None => TOMBSTONE_LIFE,
                };
                let next = Some(&after.stored.key);
                let record = tombstone(next, self.over.content.created_at, env.now().plus(life), trail);
                Ok((record, after.clone()))
            }
        }
    }
}

impl Undecided for OwnWrite<'_> {
    fn next(&mut self) -> Result<Record> {
        let (record, after) = self.record()?;
        let last = Arc::new(Sent { version: record.version, after });
        self.earlier.extend(self.last.replace(last.clone()));
        let save = UncertainSave { key: self.at.key, over: self.over.clone(), last, earlier: Vec::new() };
        if self.session.state().note(UncertainWrite::Save(save), self.changes.epoch) { Ok(record) } else { Err(GONE) }
    }

    fn sent(&self) -> Vec<Version> {
        let mut sent = self.session.state().sent_versions();
        // The session forgets these if another clone discards while an answer is awaited.
        let of_earlier_commits = self.changes.undecided.iter().copied().filter(|_| self.is_over_undecided());
        let of_this_commit = self.earlier.iter().chain(&self.last).map(|sent| sent.version);
        for known in of_earlier_commits.chain(of_this_commit).filter(|_| !mutant::is(Mutant::ForgetsWhatItSent)) {
            if !sent.contains(&known) {
                sent.push(known);
            }
        }
        sent
    }

    fn refused(&mut self) {
        self.session.state().forget_last_sent();
        self.last = self.earlier.pop();
    }
}
