#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Cursor, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version, async_trait,
};
use session_store_kit::batch::{Batcher, PerRuntime};
use session_store_kit::fits;
use session_store_kit::operations::{Create, Delete, Load, Save, Touch};

mod builder;
mod client;
mod error;
mod execute;
mod items;
mod operations;
mod queries;
mod reads;
mod schema;
mod setup;
mod url;
mod writes;

/// The DynamoDB driver, for [`DynamoStore::from_client`].
pub use aws_sdk_dynamodb;
pub use builder::DynamoStoreBuilder;

use execute::Server;
use items::MAX_DATA_LEN;
use queries::{DeleteAll, Scan, SessionsOf};

/// Sessions in DynamoDB. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct DynamoStore(Arc<Inner>);

/// Queue of one kind of call.
type Queue<I> = Batcher<PerRuntime<Server>, I>;

/// Queues of a store, one for each kind of call.
struct Inner {
    loads: Queue<Load>,
    creates: Queue<Create>,
    saves: Queue<Save>,
    touches: Queue<Touch>,
    deletes: Queue<Delete>,
    lists: Queue<SessionsOf>,
    removals: Queue<DeleteAll>,
    scans: Queue<Scan>,
    namespace: Namespace,
}

impl DynamoStore {
    /// Returns the table that a namespace needs, as a CloudFormation template in JSON.
    ///
    /// ```
    /// let template = session_store_dynamo::DynamoStore::schema("web_sessions")?;
    /// assert!(template.contains(r#""TableName": "web_sessions""#));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is not a valid namespace, or has fewer than 3
    /// characters.
    pub fn schema(namespace: &str) -> Result<String> {
        schema::namespace(namespace).map(|namespace| schema::template(&namespace))
    }
}

impl fmt::Debug for DynamoStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DynamoStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for DynamoStore {
    fn capabilities(&self) -> Capabilities {
        let can = Capabilities::new().durable(true).shared(true).expires_itself(true).by_principal(true).scan(true);
        can.max_data_len(Some(MAX_DATA_LEN))
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record, MAX_DATA_LEN)?;
        self.0.creates.call(Create { now: call.now, key: *key, record: record.clone() }).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.0.loads.call(Load { now: call.now, key: *key }).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        fits(record, MAX_DATA_LEN)?;
        self.0.saves.call(Save { now: call.now, key: *key, expected, record: record.clone() }).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.0.touches.call(Touch { now: call.now, key: *key, expected, expires_at }).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.0.deletes.call(Delete { now: call.now, key: *key, expected }).await
    }

    /// Does nothing. The server removes expired records at no cost, and a purge would have to read the whole table.
    async fn purge(&self, _call: &Call, _limit: NonZeroU32) -> Result<Purged> {
        Ok(Purged::new(0, false))
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.0.lists.call(SessionsOf { now: call.now, principal: principal.clone(), limit }).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.0.removals.call(DeleteAll { now: call.now, principal: principal.clone(), keep: keep.copied() }).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.0.scans.call(Scan { now: call.now, after, limit }).await
    }

    /// Gives up the driver's clients, and so their connections.
    async fn close(&self) -> Result<()> {
        let Inner { loads, creates, saves, touches, deletes, lists, removals, scans, .. } = &*self.0;
        let closing = [
            loads.close(),
            creates.close(),
            saves.close(),
            touches.close(),
            deletes.close(),
            lists.close(),
            removals.close(),
            scans.close(),
        ];
        for calls in closing {
            calls.ended().await;
        }
        drop(loads.round_trip().close());
        Ok(())
    }
}
