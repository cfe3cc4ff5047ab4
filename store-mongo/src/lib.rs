#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Cursor, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version, async_trait,
};
use session_store_kit::batch::{Batcher, PerRuntime};
use session_store_kit::operations::{Create, Delete, List, ListTarget, Load, Save, Sweep, SweepTarget, Touch};
use session_store_kit::{AnyWrite, fits};

mod builder;
mod documents;
mod error;
mod execute;
mod operations;
mod queries;
mod schema;
mod setup;
mod url;

pub use builder::MongoStoreBuilder;
/// The MongoDB driver, for [`MongoStore::builder`] and [`MongoStore::from_client`].
pub use mongodb;

use execute::Server;

/// Maximum length of a record's data. A document may have 16 MiB, its other fields included.
const MAX_DATA_LEN: usize = 15 << 20;

/// Sessions in MongoDB. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct MongoStore(Arc<Inner>);

/// Queue of one kind of call.
type Queue<I> = Batcher<PerRuntime<Server>, I>;

/// Queues of a store. Loads are batched. Other calls are sent separately, with a limit on those in flight.
struct Inner {
    loads: Queue<Load>,
    writes: Queue<AnyWrite>,
    lists: Queue<List>,
    sweeps: Queue<Sweep>,
    namespace: Namespace,
}

impl MongoStore {
    /// Returns a script for `mongosh` that creates a namespace's collection and indexes in the current database.
    /// Running it again changes nothing.
    ///
    /// ```
    /// let script = session_store_mongo::MongoStore::schema("web_sessions")?;
    /// assert!(script.contains("db.runCommand("));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is not a valid namespace.
    pub fn schema(namespace: &str) -> Result<String> {
        Namespace::new(namespace).map(|namespace| schema::script(&namespace))
    }

    async fn list(&self, now: Timestamp, target: ListTarget, limit: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        self.0.lists.call(List { now, target, limit: limit.get() }).await
    }
}

impl fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MongoStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for MongoStore {
    fn capabilities(&self) -> Capabilities {
        let can = Capabilities::new().durable(true).shared(true).expires_itself(true).by_principal(true).scan(true);
        can.max_data_len(Some(MAX_DATA_LEN))
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record, MAX_DATA_LEN)?;
        let create = Create { now: call.now, key: *key, record: record.clone() };
        self.0.writes.call(AnyWrite::Create(create)).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.0.loads.call(Load { now: call.now, key: *key }).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        fits(record, MAX_DATA_LEN)?;
        let save = Save { now: call.now, key: *key, expected, record: record.clone() };
        self.0.writes.call(AnyWrite::Save(save)).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.0.writes.call(AnyWrite::Touch(Touch { now: call.now, key: *key, expected, expires_at })).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.0.writes.call(AnyWrite::Delete(Delete { now: call.now, key: *key, expected })).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        let (removed, more) =
            self.0.sweeps.call(Sweep { now: call.now, target: SweepTarget::Expired(limit.get()) }).await?;
        Ok(Purged::new(u32::try_from(removed).unwrap_or(u32::MAX), more))
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.list(call.now, ListTarget::Of(principal.clone()), limit).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let target = SweepTarget::Of(principal.clone(), keep.copied());
        Ok(self.0.sweeps.call(Sweep { now: call.now, target }).await?.0)
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let records = self
            .list(call.now, ListTarget::After(session_store_kit::operations::after(after.as_ref())?), limit)
            .await?;
        Ok(session_store_kit::operations::page(records, limit))
    }

    /// Gives up the driver's client, which closes its connections when its last clone is dropped.
    async fn close(&self) -> Result<()> {
        let Inner { loads, writes, lists, sweeps, .. } = &*self.0;
        for calls in [loads.close(), writes.close(), lists.close(), sweeps.close()] {
            calls.ended().await;
        }
        drop(loads.round_trip().close());
        Ok(())
    }
}
