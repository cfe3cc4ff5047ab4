#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Cursor, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey,
    Timestamp, Version, async_trait,
};
use store_batch::Batcher;
use store_options::fits;

mod builder;
mod error;
mod links;
mod lists;
mod open;
mod ops;
mod rows;
mod schema;
mod server;
mod url;

pub use builder::PostgresStoreBuilder;
use lists::{List, Listed, Sweep, Swept};
use ops::{Create, Delete, Load, Save, Touch};
use server::Trip;

/// The longest data. PostgreSQL's own limit lies near 1 GB, but a row like that would keep everybody else's batch waiting.
const MAX_DATA_LEN: usize = 16 << 20;

/// Sessions in PostgreSQL. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

/// A queue for each kind of call: what travels together is one statement.
struct Inner {
    loads: Batcher<Trip<Load>>,
    creates: Batcher<Trip<Create>>,
    saves: Batcher<Trip<Save>>,
    touches: Batcher<Trip<Touch>>,
    deletes: Batcher<Trip<Delete>>,
    lists: Batcher<Trip<List>>,
    sweeps: Batcher<Trip<Sweep>>,
    namespace: Namespace,
}

impl PostgresStore {
    /// Opens what `url` names: `postgres://user:password@host:port/database`, with `postgresql:` as well.
    ///
    /// Options: `namespace`, `timeout` in ms, `create` (`true`, `false`), `pool`, `queue`, which [`PostgresStoreBuilder`] explains,
    /// and the driver's, of which `sslmode` and `sslrootcert` matter most; see
    /// [`PgConnectOptions`](sqlx::postgres::PgConnectOptions). Unless the server is on this machine or `sslmode` says otherwise
    /// it is `verify-full`: the connection is encrypted and the server's name verified.
    ///
    /// ```no_run
    /// use store_postgres::PostgresStore;
    ///
    /// # async fn example() -> session_core::Result<()> {
    /// let store = PostgresStore::connect("postgres://shop@db.example/shop?namespace=web_sessions&timeout=2000").await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) for a URL that is wrong, and what [`PostgresStoreBuilder::open`] answers.
    pub async fn connect(url: &str) -> Result<Self> {
        url::parse(url)?.open().await
    }

    /// The SQL that makes what a namespace needs, for a migration tool. Running it again changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](session_core::ErrorKind::Config) if `namespace` is none.
    pub fn schema(namespace: &str) -> Result<String> {
        schema::namespace(namespace).map(|namespace| schema::create(&namespace))
    }

    async fn list(&self, now: Timestamp, of: Listed, limit: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        self.0.lists.call(List { now, of, limit: limit.get() }).await
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new().durable(true).shared(true).by_principal(true).scan(true).max_data_len(Some(MAX_DATA_LEN))
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

    async fn touch(&self, call: &Call, key: &StoreKey, expires_at: Timestamp) -> Result<Outcome> {
        self.0.touches.call(Touch { now: call.now, key: *key, expires_at }).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.0.deletes.call(Delete { now: call.now, key: *key, expected }).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        let (removed, more) = self.0.sweeps.call(Sweep { now: call.now, what: Swept::Expired(limit.get()) }).await?;
        Ok(Purged::new(u32::try_from(removed).unwrap_or(u32::MAX), more))
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.list(call.now, Listed::Of(principal.clone()), limit).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let what = Swept::Of(principal.clone(), keep.copied());
        Ok(self.0.sweeps.call(Sweep { now: call.now, what }).await?.0)
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let after = after.map(|cursor| StoreKey::from_slice(cursor.as_bytes())).transpose()?;
        let records = self.list(call.now, Listed::After(after), limit).await?;
        let last = records.last().filter(|_| records.len() == limit.get() as usize);
        let next = last.map(|(key, _)| Cursor::new(key.as_bytes().to_vec()));
        Ok(Page::new(records, next))
    }
}
