//! Uncertain write of a session, as its state knows it.

use std::sync::Arc;

use super::State;
use crate::Version;
use crate::commit::joint_write::JointWrite;
use crate::commit::uncertain::{Sent, UncertainSave, UncertainWrite};
use crate::mutant::{self, Mutant};
use crate::session::committed::{Orphan, StoredRecord};

impl State {
    /// Forgets the uncertain write because its outcome is known.
    pub(crate) fn end_uncertain(&mut self) {
        self.removed.take_write(self.uncertain.take());
    }

    /// Forgets the uncertain write. A create may still arrive under an id that no client has, so it becomes an orphan.
    pub(super) fn forget_uncertain(&mut self) {
        if let Some(UncertainWrite::Create { key, after }) = self.uncertain.as_deref() {
            self.orphans.push(Orphan { key: *key, version: after.stored.version, landed: false });
        }
        self.end_uncertain();
    }

    /// Notes a write before it is sent. Returns `false` if the session was reset since `epoch`; the write must then not be sent.
    pub(crate) fn note(&mut self, write: UncertainWrite, epoch: u64) -> bool {
        if self.epoch != epoch && !mutant::is(Mutant::NotesAcrossEpochs) {
            return false;
        }
        match &mut self.uncertain {
            Some(uncertain) => {
                let replaced = uncertain.followed_by(write);
                self.removed.take_write(replaced);
            }
            None => self.uncertain = Some(Box::new(write)),
        }
        true
    }

    /// Whether a save of the session's record is uncertain, alone or in a joint write.
    pub(super) fn has_uncertain_save(&self) -> bool {
        matches!(self.uncertain.as_deref(), Some(UncertainWrite::Save(_) | UncertainWrite::Joint { .. }))
    }

    /// Returns the record that undecided saves may still replace.
    pub(crate) fn undecided_over(&self) -> Option<Arc<StoredRecord>> {
        self.undecided().map(|save| save.over.clone())
    }

    /// Returns the versions of saves that were sent and are undecided.
    pub(crate) fn sent_versions(&self) -> Vec<Version> {
        self.undecided().map(UncertainSave::versions).unwrap_or_default()
    }

    /// Returns the undecided save that was sent as `version`.
    pub(crate) fn sent_as(&self, version: Version) -> Option<Arc<Sent>> {
        self.undecided()?.sent_as(version).cloned()
    }

    fn undecided(&self) -> Option<&UncertainSave> {
        match self.uncertain.as_deref() {
            Some(UncertainWrite::Save(save)) => Some(save),
            _ => None,
        }
    }

    /// Returns the orphans that no uncertain write can make the session's record.
    pub(crate) fn removable_orphans(&self) -> Vec<Orphan> {
        if self.orphans.is_empty() {
            return Vec::new();
        }
        let leads_to = |key| {
            let uncertain = self.uncertain.as_deref().filter(|_| !mutant::is(Mutant::RemovesAnUncertainRecord));
            uncertain.is_some_and(|write| write.may_lead_to(key))
        };
        self.orphans.iter().filter(|orphan| !leads_to(&orphan.key)).cloned().collect()
    }

    /// Forgets the save that was sent last. Called when the store has refused it.
    pub(crate) fn forget_last_sent(&mut self) {
        if let Some(UncertainWrite::Save(save)) = self.uncertain.as_deref_mut() {
            match save.earlier.pop() {
                Some(before) => save.last = before,
                None => self.end_uncertain(),
            }
        }
    }

    /// Forgets a joint write that has ended and is not stored.
    pub(crate) fn forget_joint(&mut self, ended: &Arc<JointWrite>) {
        if matches!(self.uncertain.as_deref(), Some(UncertainWrite::Joint { write, .. }) if Arc::ptr_eq(write, ended)) {
            self.end_uncertain();
        }
    }
}
