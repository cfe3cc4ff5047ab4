//! Store with a queue for each kind of call.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Cursor, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey, Timestamp, Version,
    async_trait,
};
use session_store_kit::batch::{Batcher, Limits, PerRuntime};
use session_store_kit::{MAX_DATA_LEN, Settings, fits};

use crate::dialect::Dialect;
use crate::execute::Server;
use crate::locks::Wariness;
use crate::operations::{self, Create, Delete, List, ListTarget, Load, Save, Sweep, SweepTarget, Touch};
use crate::pool::Pool;
use crate::pooler::Pooler;

/// Maximum number of loads in one statement.
const LOADS: usize = 128;
/// Maximum number of writes in one statement.
const WRITES: usize = 64;
/// Maximum number of writes in one statement over TLS. As many sessions of a few hundred bytes fit into one TLS record of
/// 16 KiB (RFC 8446, 5.1).
///
/// A longer message is written in two parts. The second part waits until the first is acknowledged, because sqlx 0.9.0 leaves
/// Nagle's algorithm on (its issue 4335). Servers delay the acknowledgement for up to 40 ms. Sessions of several KiB accept
/// that delay, because batches of the three that fit into a record would need many more commits.
const TLS_WRITES: usize = 24;

/// Bounds of a store.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Bounds {
    /// Settings that all stores have.
    pub settings: Settings,
    /// Maximum number of connections, for each tokio runtime that calls.
    pub pool: usize,
    /// Maximum size of the calls in one batch, in bytes.
    pub batch_bytes: usize,
    /// Whether connections to the server use TLS.
    pub encrypted: bool,
    /// Whether the store makes its connections itself, and sets them up.
    pub own_connections: bool,
    /// Maximum length of a record's data, in bytes.
    pub max_data_len: usize,
    /// Pooler between the store and its server, for a [backend](crate::SqlBehindPooler) that works behind one.
    pub pooler: Pooler,
    /// Schema of the tables, if it is not the first one of the role.
    pub schema: Option<String>,
}

impl Bounds {
    /// Returns bounds with batches of 1 MiB and data of up to [`MAX_DATA_LEN`], for connections of the store's own without TLS.
    pub const fn new(settings: Settings, pool: usize) -> Self {
        Self {
            settings,
            pool,
            batch_bytes: 1 << 20,
            encrypted: false,
            own_connections: true,
            max_data_len: MAX_DATA_LEN,
            pooler: Pooler::None,
            schema: None,
        }
    }

    /// Sets [`batch_bytes`](#structfield.batch_bytes).
    #[must_use]
    pub const fn batch_bytes(mut self, bytes: usize) -> Self {
        self.batch_bytes = bytes;
        self
    }

    /// Sets [`encrypted`](#structfield.encrypted).
    #[must_use]
    pub const fn encrypted(mut self, encrypted: bool) -> Self {
        self.encrypted = encrypted;
        self
    }

    /// Sets [`max_data_len`](#structfield.max_data_len).
    #[must_use]
    pub const fn max_data_len(mut self, bytes: usize) -> Self {
        self.max_data_len = bytes;
        self
    }
}

/// Queue of one kind of call.
type Queue<D, I> = Batcher<PerRuntime<Server<D>>, I>;

/// A [`Store`] over a [`Dialect`]. Calls in one batch are one statement or one transaction.
///
/// Backends wrap it in a type of their own with [`store!`](crate::store).
pub struct SqlStore<D: Dialect> {
    loads: Queue<D, Load>,
    creates: Queue<D, Create>,
    saves: Queue<D, Save>,
    touches: Queue<D, Touch>,
    deletes: Queue<D, Delete>,
    lists: Queue<D, List>,
    sweeps: Queue<D, Sweep>,
    namespace: String,
    max_data_len: usize,
}

impl<D: Dialect> SqlStore<D> {
    /// Returns a store that uses `dialect` and `pool`. The pool belongs to the calling runtime; other runtimes connect at
    /// their first call.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(pool: Pool<D::Database>, dialect: D, bounds: Bounds) -> Self {
        let Bounds { settings, pool: connections, batch_bytes, encrypted, max_data_len, .. } = bounds;
        let Settings { namespace, timeout, queue, .. } = settings;
        let (elsewhere, dialect) = (pool.elsewhere(), Arc::new(dialect));
        let server = move |pool, dialect| Server { pool, dialect, timeout, wariness: Wariness::default() };
        let opened = server(pool, Arc::clone(&dialect));
        let servers = PerRuntime::with(opened, move || Ok(server(elsewhere.elsewhere(), Arc::clone(&dialect))));
        // Few batches in flight are larger and cheaper: twice as many of half the size cost both sides more and commit no sooner.
        // One batch of loads is read while the next one forms. Writes that wait for the previous commit form a larger batch.
        // A full batch is sent at once.
        // Of the calls that wait for a lock, few may be in flight, because each takes a connection.
        let limits = |in_flight| {
            Limits::for_tasks(in_flight).alone(connections.div_ceil(4)).bytes(batch_bytes).queue(queue).timeout(timeout)
        };
        // Loads may run inline: they lock nothing, and a caller that stops polling keeps only one connection.
        let loads = limits(connections.div_ceil(4)).full(connections.div_ceil(2)).items(LOADS).inline(connections > 1);
        let writes = limits(connections.div_ceil(8)).full(connections.div_ceil(2));
        let writes = writes.items(if encrypted { TLS_WRITES } else { WRITES });
        // Each list or sweep is a full batch. Without a higher limit for full batches, connections are left for other calls.
        let alone = limits(connections.div_ceil(4)).items(1);
        Self {
            loads: Batcher::new(servers.clone(), loads),
            creates: Batcher::new(servers.clone(), writes.clone()),
            saves: Batcher::new(servers.clone(), writes.clone()),
            touches: Batcher::new(servers.clone(), writes.clone()),
            deletes: Batcher::new(servers.clone(), writes),
            lists: Batcher::new(servers.clone(), alone.clone()),
            sweeps: Batcher::new(servers, alone),
            namespace,
            max_data_len,
        }
    }

    /// Returns the table's name.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    async fn list(&self, now: Timestamp, target: ListTarget, limit: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        self.lists.call(List { now, target, limit: limit.get() }).await
    }
}

impl<D: Dialect> fmt::Debug for SqlStore<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlStore").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl<D: Dialect> Store for SqlStore<D> {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .durable(true)
            .shared(true)
            .by_principal(true)
            .scan(true)
            .max_data_len(Some(self.max_data_len))
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        fits(record, self.max_data_len)?;
        self.creates.call(Create { now: call.now, key: *key, record: record.clone() }).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.loads.call(Load { now: call.now, key: *key }).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        fits(record, self.max_data_len)?;
        self.saves.call(Save { now: call.now, key: *key, expected, record: record.clone() }).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.touches.call(Touch { now: call.now, key: *key, expected, expires_at }).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.deletes.call(Delete { now: call.now, key: *key, expected }).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        let (removed, more) =
            self.sweeps.call(Sweep { now: call.now, target: SweepTarget::Expired(limit.get()) }).await?;
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
        Ok(self.sweeps.call(Sweep { now: call.now, target }).await?.0)
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let records = self.list(call.now, ListTarget::After(operations::after(after.as_ref())?), limit).await?;
        Ok(operations::page(records, limit))
    }

    /// Says goodbye to the server on the connections of the calling runtime, and gives up those of other runtimes.
    async fn close(&self) -> Result<()> {
        let closing = [
            self.loads.close(),
            self.creates.close(),
            self.saves.close(),
            self.touches.close(),
            self.deletes.close(),
            self.lists.close(),
            self.sweeps.close(),
        ];
        for calls in closing {
            calls.ended().await;
        }
        if let Some(server) = self.loads.round_trip().close() {
            server.pool.close(server.timeout).await;
        }
        Ok(())
    }
}

/// Makes a type of a backend that wraps an `Arc` of a [`SqlStore`] a store: implements `Store`, `Debug` and `From<SqlStore>`.
/// `Debug` shows only the namespace.
#[macro_export]
macro_rules! store {
    ($store:ident, $dialect:ty) => {
        impl ::std::convert::From<$crate::SqlStore<$dialect>> for $store {
            fn from(store: $crate::SqlStore<$dialect>) -> Self {
                Self(::std::sync::Arc::new(store))
            }
        }

        impl ::std::fmt::Debug for $store {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($store)).field("namespace", &self.0.namespace()).finish_non_exhaustive()
            }
        }

        ::session_core::delegate_store!($store, store => &*store.0);
    };
}
