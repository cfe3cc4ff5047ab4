#![doc = include_str!("../README.md")]

use std::fmt;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Namespace, Outcome, Record, Result, Store, StoreKey, Timestamp, Version, async_trait,
};
use session_store_kit::AnyWrite;
use session_store_kit::batch::{Batcher, PerRuntime};
use session_store_kit::operations::{Create, Delete, Load, Save, Touch};

mod address;
mod builder;
mod connection;
mod error;
mod operations;
mod preflight;
mod protocol;
mod schema;
mod security;
mod server;
mod url;

pub use builder::MemcachedStoreBuilder;

use address::Ring;
use server::Server;

/// Sessions in Memcached. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct MemcachedStore(Arc<Inner>);

/// Queue of one kind of call to one server.
type Queue<I> = Batcher<PerRuntime<Server>, I>;

struct Inner {
    ring: Ring,
    nodes: Box<[Node]>,
    /// Maximum length of a record's data on every server that answered when the store was opened.
    max_data_len: Option<usize>,
    namespace: Namespace,
}

/// A server and its queues, so that one that is gone holds up no calls to the others.
struct Node {
    loads: Queue<Load>,
    writes: Queue<AnyWrite>,
}

impl MemcachedStore {
    fn node(&self, key: &StoreKey) -> &Node {
        &self.0.nodes[self.0.ring.server_of(key)]
    }
}

impl fmt::Debug for MemcachedStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemcachedStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MemcachedStore {
    /// Not durable: the server drops sessions when it is started again, and when its memory is full.
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().shared(true).expires_itself(true).max_data_len(self.0.max_data_len)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        let create = Create { now: call.now, key: *key, record: record.clone() };
        self.node(key).writes.call(AnyWrite::Create(create)).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.node(key).loads.call(Load { now: call.now, key: *key }).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        let save = Save { now: call.now, key: *key, expected, record: record.clone() };
        self.node(key).writes.call(AnyWrite::Save(save)).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.node(key).writes.call(AnyWrite::Touch(Touch { now: call.now, key: *key, expected, expires_at })).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.node(key).writes.call(AnyWrite::Delete(Delete { now: call.now, key: *key, expected })).await
    }

    async fn close(&self) -> Result<()> {
        for node in &self.0.nodes {
            for calls in [node.loads.close(), node.writes.close()] {
                calls.ended().await;
            }
            drop(node.loads.round_trip().close());
        }
        Ok(())
    }
}
