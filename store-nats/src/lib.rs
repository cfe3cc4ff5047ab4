#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Cursor, Namespace, Outcome, Page, Principal, Record, Result, Store, StoreKey, Timestamp,
    Version, async_trait,
};
use session_store_kit::AnyWrite;
use session_store_kit::batch::{Entrance, PerRuntime};
use session_store_kit::operations::{Create, Delete, Load, Save, Touch};
use tokio::time::Instant;

mod address;
mod api;
mod believed;
mod builder;
mod connection;
mod error;
mod local;
mod login;
mod operations;
mod preflight;
mod principals;
mod proof;
mod revisions;
mod scan;
mod schema;
mod security;
mod shared;
mod storage;
mod url;

pub use builder::NatsStoreBuilder;
pub use storage::Storage;

use local::{Local, Target};

/// Sessions in NATS. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct NatsStore(Arc<Inner>);

struct Inner {
    /// Connections and permits, separately for each runtime because a connection belongs to the runtime that opened it.
    local: PerRuntime<Local>,
    inside: Arc<Entrance>,
    at: Arc<Target>,
    namespace: Namespace,
    /// Whether the bucket is kept in files.
    durable: bool,
}

impl NatsStore {
    async fn write(&self, write: AnyWrite) -> Result<Outcome> {
        let local = self.0.local.get()?;
        local.call(pin!(local.write(&write))).await
    }
}

impl fmt::Debug for NatsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for NatsStore {
    /// Durable if the bucket is kept in files.
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .durable(self.0.durable)
            .shared(true)
            .expires_itself(true)
            .by_principal(true)
            .scan(true)
            .max_data_len(Some(self.0.at.max_data_len))
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.write(AnyWrite::Create(Create { now: call.now, key: *key, record: record.clone() })).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        let (local, load) = (self.0.local.get()?, Load { now: call.now, key: *key });
        local.call(pin!(local.load(&load))).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.write(AnyWrite::Save(Save { now: call.now, key: *key, expected, record: record.clone() })).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.write(AnyWrite::Touch(Touch { now: call.now, key: *key, expected, expires_at })).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.write(AnyWrite::Delete(Delete { now: call.now, key: *key, expected })).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let local = self.0.local.get()?;
        local.call(pin!(local.sessions_of(call.now, principal, limit.get() as usize))).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let local = self.0.local.get()?;
        local.call(pin!(local.delete_all(call.now, principal, keep))).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let local = self.0.local.get()?;
        local.call(pin!(local.scan(call.now, after, limit.get() as usize))).await
    }

    async fn close(&self) -> Result<()> {
        drop(self.0.local.close());
        self.0.inside.close_by(Instant::now() + self.0.at.timeout).await;
        Ok(())
    }
}
