//! Uncertain writes: sent, but without a known outcome, because the request was dropped or the reply was lost.

use std::sync::Arc;

use super::changes::Changes;
use super::joint_write::JointWrite;
use crate::session::committed::{CommittedState, StoredAt, StoredRecord};
use crate::{StoreKey, Version};

/// A write that may be stored now or later.
#[derive(Clone)]
pub(crate) enum UncertainWrite {
    /// A create of the session's first record.
    Create { key: StoreKey, after: CommittedState },
    /// A save, or the tombstone of a rotation.
    Save(UncertainSave),
    /// A joint write that holds changes of this session.
    Joint { write: Arc<JointWrite>, changes: Arc<Changes>, stored: StoredAt },
}

/// Records that were sent under one key. All expect the same version, so at most one of them is ever stored.
#[derive(Clone)]
pub(crate) struct UncertainSave {
    pub(crate) key: StoreKey,
    /// The record to replace.
    pub(crate) over: Arc<StoredRecord>,
    pub(crate) last: Arc<Sent>,
    /// Records that were sent before `last`.
    pub(crate) earlier: Vec<Arc<Sent>>,
}

/// A record that was sent, and the session's state once it is stored.
pub(crate) struct Sent {
    pub(crate) version: Version,
    pub(crate) after: CommittedState,
}

impl UncertainSave {
    pub(crate) fn sent(&self) -> impl Iterator<Item = &Arc<Sent>> {
        self.earlier.iter().chain([&self.last])
    }

    pub(crate) fn versions(&self) -> Vec<Version> {
        self.sent().map(|sent| sent.version).collect()
    }

    pub(crate) fn sent_as(&self, version: Version) -> Option<&Arc<Sent>> {
        self.sent().find(|sent| sent.version == version)
    }
}

impl UncertainWrite {
    /// Whether this may be the last step of a rotation: an attempt is a tombstone in place of the old record.
    pub(crate) fn is_rotation(&self) -> bool {
        match self {
            Self::Save(save) => save.sent().any(|sent| sent.after.stored.key != save.key),
            Self::Create { .. } | Self::Joint { .. } => false,
        }
    }

    /// Returns the key of the session's record once this write is stored. `None` for a create.
    pub(crate) fn leads_to(&self) -> Option<StoreKey> {
        match self {
            Self::Create { .. } => None,
            Self::Save(save) => Some(save.last.after.stored.key),
            Self::Joint { stored, .. } => Some(stored.key),
        }
    }

    /// Whether the session's record may be the one under `key` once the outcome is known.
    pub(crate) fn may_lead_to(&self, key: &StoreKey) -> bool {
        match self {
            Self::Create { key: created, .. } => created == key,
            Self::Save(save) => save.sent().any(|sent| sent.after.stored.key == *key),
            Self::Joint { stored, .. } => stored.key == *key,
        }
    }

    /// Adds the attempts of `later` if both saves expect the same version. Otherwise `later` replaces this write, which is returned.
    pub(crate) fn followed_by(&mut self, later: Self) -> Option<Box<Self>> {
        match (self, later) {
            (Self::Save(save), Self::Save(later))
                if save.key == later.key && save.over.version == later.over.version =>
            {
                save.earlier.extend(later.earlier);
                save.earlier.push(std::mem::replace(&mut save.last, later.last));
                None
            }
            (write, later) => Some(Box::new(std::mem::replace(write, later))),
        }
    }
}
