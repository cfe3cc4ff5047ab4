//! Store calls and their answers as values, for stores that delay, break or reorder calls.

use std::num::NonZeroU32;

use session_core::{Call, Outcome, Principal, Purged, Record, Result, Store, StoreKey, Timestamp, Version};

/// A call of a store with its operands.
#[derive(Clone, Debug)]
pub(crate) enum StoreCall {
    Create(StoreKey, Record),
    Load(StoreKey),
    Save(StoreKey, Version, Record),
    Touch(StoreKey, Version, Timestamp),
    Delete(StoreKey, Option<Version>),
    Purge(NonZeroU32),
    SessionsOf(Principal, NonZeroU32),
    DeleteAll(Principal, Option<StoreKey>),
}

impl StoreCall {
    /// Returns whether the call may change stored records.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::Load(_) | Self::SessionsOf(..))
    }

    /// Returns the record that the call stores.
    pub(crate) fn record(&self) -> Option<&Record> {
        match self {
            Self::Create(_, record) | Self::Save(_, _, record) => Some(record),
            _ => None,
        }
    }

    /// Returns the key that the call is about.
    #[cfg(feature = "explore")]
    pub(crate) fn key(&self) -> Option<&StoreKey> {
        match self {
            Self::Create(key, _) | Self::Load(key) | Self::Save(key, ..) | Self::Touch(key, ..) => Some(key),
            Self::Delete(key, _) => Some(key),
            Self::Purge(_) | Self::SessionsOf(..) | Self::DeleteAll(..) => None,
        }
    }

    /// Makes the call on `store`.
    pub(crate) async fn send(&self, store: &dyn Store, call: &Call) -> Result<StoreReply> {
        Ok(match self {
            Self::Create(key, record) => StoreReply::Outcome(store.create(call, key, record).await?),
            Self::Load(key) => StoreReply::Loaded(store.load(call, key).await?),
            Self::Save(key, expected, record) => StoreReply::Outcome(store.save(call, key, *expected, record).await?),
            Self::Touch(key, expected, at) => StoreReply::Outcome(store.touch(call, key, *expected, *at).await?),
            Self::Delete(key, expected) => StoreReply::Outcome(store.delete(call, key, *expected).await?),
            Self::Purge(limit) => StoreReply::Purged(store.purge(call, *limit).await?),
            Self::SessionsOf(principal, limit) => StoreReply::Listed(store.sessions_of(call, principal, *limit).await?),
            Self::DeleteAll(principal, keep) => {
                StoreReply::Removed(store.delete_all(call, principal, keep.as_ref()).await?)
            }
        })
    }
}

/// Answer of a store call.
#[derive(Clone, Debug)]
pub(crate) enum StoreReply {
    Outcome(Outcome),
    Loaded(Option<Record>),
    Purged(Purged),
    Listed(Vec<(StoreKey, Record)>),
    Removed(u64),
}

/// Defines a method that returns the contents of one kind of reply.
macro_rules! contents {
    ($($(#[$doc:meta])* $name:ident: $kind:ident($contents:ty);)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Panics
            /// If the reply is of another kind.
            pub(crate) fn $name(self) -> $contents {
                match self {
                    Self::$kind(contents) => contents,
                    other => unreachable!(concat!("the reply should be ", stringify!($kind), ", is {:?}"), other),
                }
            }
        )*
    };
}

impl StoreReply {
    contents! {
        /// Returns the outcome of a write.
        outcome: Outcome(Outcome);
        /// Returns the record of a load.
        loaded: Loaded(Option<Record>);
        /// Returns the result of a purge.
        purged: Purged(Purged);
        /// Returns the sessions of a principal.
        listed: Listed(Vec<(StoreKey, Record)>);
        /// Returns the number of records that `delete_all` removed.
        removed: Removed(u64);
    }
}
