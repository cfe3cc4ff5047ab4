#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Cursor, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version, async_trait,
};
use store_batch::Batcher;
use store_batch::calls::{Create, Delete, Load, Save, Touch};
use store_options::fits;

mod builder;
mod client;
mod error;
mod items;
mod lists;
mod open;
mod ops;
mod reads;
mod schema;
mod server;
mod url;
mod writes;

/// The driver, for [`DynamoStore::from_client`].
pub use aws_sdk_dynamodb;
pub use builder::DynamoStoreBuilder;

use items::MAX_DATA_LEN;
use lists::{DeleteAll, Scan, SessionsOf};
use server::Trip;

/// Sessions in DynamoDB. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct DynamoStore(Arc<Inner>);

/// A queue for each kind of call.
struct Inner {
    loads: Batcher<Trip<Load>>,
    creates: Batcher<Trip<Create>>,
    saves: Batcher<Trip<Save>>,
    touches: Batcher<Trip<Touch>>,
    deletes: Batcher<Trip<Delete>>,
    lists: Batcher<Trip<SessionsOf>>,
    removals: Batcher<Trip<DeleteAll>>,
    scans: Batcher<Trip<Scan>>,
    namespace: Namespace,
}

impl DynamoStore {
    /// Opens what `url` names.
    ///
    /// - `dynamodb:///eu-central-1`: AWS itself, in that region. Without a region it is the environment's.
    /// - `dynamodb://key:secret@localhost:8000/us-east-1`: whatever speaks DynamoDB's protocol there.
    ///
    /// Access key and secret may be left out of both, or given in both (`dynamodb://key:secret@/eu-central-1`):
    /// without them credentials come from where AWS's own tools look for them.
    ///
    /// Options: `namespace`, `timeout` in ms, `create` (`true`, `false`), `pool`, `queue`, which [`DynamoStoreBuilder`] explains,
    /// and `tls` (`true`, `false`), whether the host is spoken to by TLS. Unless it is this machine it is.
    ///
    /// ```no_run
    /// use store_dynamo::DynamoStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = DynamoStore::connect("dynamodb:///eu-central-1?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a URL that is wrong, and what [`DynamoStoreBuilder::open`] answers.
    pub async fn connect(url: &str) -> Result<Self> {
        url::parse(url)?.open().await
    }

    /// The table that a namespace needs, as a template of CloudFormation's in JSON.
    ///
    /// ```
    /// let template = store_dynamo::DynamoStore::schema("web_sessions")?;
    /// assert!(template.contains(r#""TableName": "web_sessions""#));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is none.
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

    /// The server removes what has expired, and asks nothing for it. To look for it here would be to read the whole table.
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
}
