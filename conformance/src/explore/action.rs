//! Store calls and their answers as values.

use session_core::{Outcome, Principal, Record, StoreKey, Timestamp, Version};

/// A store call with its operands.
#[derive(Clone, Debug)]
pub(super) enum Action {
    Create(StoreKey, Record),
    Load(StoreKey),
    Save(StoreKey, Version, Record),
    Touch(StoreKey, Version, Timestamp),
    Delete(StoreKey, Option<Version>),
    SessionsOf(Principal),
    DeleteAll(Principal, Option<StoreKey>),
}

impl Action {
    /// Returns whether the call may change stored records.
    pub(super) fn writes(&self) -> bool {
        !matches!(self, Self::Load(_) | Self::SessionsOf(_))
    }

    pub(super) fn record(&self) -> Option<&Record> {
        match self {
            Self::Create(_, record) | Self::Save(_, _, record) => Some(record),
            _ => None,
        }
    }

    pub(super) fn key(&self) -> Option<&StoreKey> {
        match self {
            Self::Create(key, _) | Self::Load(key) | Self::Save(key, ..) | Self::Touch(key, ..) => Some(key),
            Self::Delete(key, _) => Some(key),
            Self::SessionsOf(_) | Self::DeleteAll(..) => None,
        }
    }
}

/// Answer of a store call.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    Outcome(Outcome),
    Loaded(Option<Record>),
    Listed(Vec<(StoreKey, Record)>),
    Removed(u64),
}
