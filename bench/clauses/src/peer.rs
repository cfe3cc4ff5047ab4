//! Stores of tower-sessions behind one trait, for both versions of the core.

use std::collections::HashMap;
use std::fmt::Debug;

use async_trait::async_trait;
use peers::tower_sessions::cookie::time::OffsetDateTime;
use serde_json::Value;
use session_core::Result;

/// Record of a peer's store: the fields of its core's `Record`.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: i128,
    pub(crate) data: HashMap<String, Value>,
    pub(crate) expiry_date: OffsetDateTime,
}

/// The methods of `SessionStore`, unchanged.
#[async_trait]
pub(crate) trait Peer: Debug + Send + Sync + 'static {
    /// Stores a new record. Returns its id, which is another one if that of `kept` is taken.
    async fn create(&self, kept: Kept) -> Result<i128>;
    async fn save(&self, kept: Kept) -> Result<()>;
    async fn load(&self, id: i128) -> Result<Option<Kept>>;
    async fn delete(&self, id: i128) -> Result<()>;
}

/// Implements [`Peer`] over a `SessionStore` of the given core, whose new records are stored by `$create`.
macro_rules! peer_on {
    ($name:ident, $core:path, |$store:ident, $record:ident| $create:expr) => {
        pub(crate) mod $name {
            use $core as core;

            use async_trait::async_trait;
            use core::SessionStore;
            use core::session::{Id, Record};
            use core::session_store::Error as TheirError;
            use session_core::{Error, ErrorKind, Result};

            use super::{Kept, Peer};

            #[derive(Debug)]
            pub(crate) struct Of<S>(pub(crate) S);

            /// Converts an error. The peer's errors have no kinds, so a driver's error counts as an outage, which favours the peer.
            fn ours(error: TheirError) -> Error {
                match error {
                    TheirError::Backend(said) => Error::new(ErrorKind::Unavailable, said),
                    TheirError::Encode(said) => Error::new(ErrorKind::Other, said),
                    TheirError::Decode(said) => Error::new(ErrorKind::Corrupt, said),
                }
            }

            fn theirs(kept: Kept) -> Record {
                Record { id: Id(kept.id), data: kept.data, expiry_date: kept.expiry_date }
            }

            #[async_trait]
            impl<S: SessionStore> Peer for Of<S> {
                async fn create(&self, kept: Kept) -> Result<i128> {
                    let mut fresh = theirs(kept);
                    let ($store, $record) = (&self.0, &mut fresh);
                    $create.await.map_err(ours)?;
                    Ok(fresh.id.0)
                }

                async fn save(&self, kept: Kept) -> Result<()> {
                    self.0.save(&theirs(kept)).await.map_err(ours)
                }

                async fn load(&self, id: i128) -> Result<Option<Kept>> {
                    let loaded = self.0.load(&Id(id)).await.map_err(ours)?;
                    Ok(loaded.map(|Record { id, data, expiry_date }| Kept { id: id.0, data, expiry_date }))
                }

                async fn delete(&self, id: i128) -> Result<()> {
                    self.0.delete(&Id(id)).await.map_err(ours)
                }
            }
        }
    };
}

peer_on!(core_0_14, peers::tower_sessions, |store, record| store.create(record));
// This version of the core has no `create`; its session saves a new record like any other.
peer_on!(core_0_11, peers::core_0_11, |store, record| store.save(record));
