//! Store with a queue for each kind of call.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;

use session_core::{
    Call, Capabilities, Cursor, Outcome, Page, Principal, Purged, Record, Result, Store, StoreKey, Timestamp, Version,
    async_trait,
};
use session_store_kit::batch::{Batcher, Limits, PerRuntime};
use session_store_kit::{Settings, fits};

use crate::links::Links;
use crate::operations::{self, Create, Delete, List, Listed, Load, Save, Sweep, Swept, Touch};
use crate::server::{Dialect, Op, Server, Trip};

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

/// Maximum length of a record's data in a store on sqlx, 16 MiB.
///
/// The databases' own limits are higher, but a longer row would keep the batches of other calls waiting.
pub const MAX_DATA_LEN: usize = 16 << 20;

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
    /// Maximum length of a record's data, in bytes.
    pub max_data_len: usize,
}

impl Bounds {
    /// Returns bounds with batches of 1 MiB and data of up to [`MAX_DATA_LEN`], for connections without TLS.
    pub const fn new(settings: Settings, pool: usize) -> Self {
        Self { settings, pool, batch_bytes: 1 << 20, encrypted: false, max_data_len: MAX_DATA_LEN }
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

/// A [`Store`] over a [`Dialect`]. Calls in one batch are one statement or one transaction.
///
/// Backends wrap it in a type of their own with [`store!`](crate::store).
pub struct SqlStore<D: Dialect> {
    loads: Batcher<Trip<D, Load>>,
    creates: Batcher<Trip<D, Create>>,
    saves: Batcher<Trip<D, Save>>,
    touches: Batcher<Trip<D, Touch>>,
    deletes: Batcher<Trip<D, Delete>>,
    lists: Batcher<Trip<D, List>>,
    sweeps: Batcher<Trip<D, Sweep>>,
    namespace: String,
    max_data_len: usize,
}

impl<D: Dialect> SqlStore<D> {
    /// Returns a store that uses `dialect` and `links`. The links belong to the calling runtime; other runtimes connect at
    /// their first call.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn new(links: Links<D::Database>, dialect: D, bounds: Bounds) -> Self {
        let Bounds { settings: Settings { namespace, timeout, queue, .. }, pool, batch_bytes, encrypted, max_data_len } =
            bounds;
        let (elsewhere, dialect) = (links.elsewhere(), Arc::new(dialect));
        let opened = Server { links, dialect: Arc::clone(&dialect), timeout };
        let servers = PerRuntime::with(opened, move || {
            Ok(Server { links: elsewhere.elsewhere(), dialect: Arc::clone(&dialect), timeout })
        });
        // Few batches in flight are larger and cheaper: twice as many of half the size cost both sides more and commit no sooner.
        // One batch of loads is read while the next one forms. Writes that wait for the previous commit form a larger batch.
        // A full batch is sent at once.
        let limits = Limits::new()
            .in_flight(pool.div_ceil(4))
            .full(pool.div_ceil(2))
            .bytes(batch_bytes)
            .queue(queue)
            .timeout(timeout);
        let (loads, writes, alone) = (
            // Loads may run inline: they lock nothing, and a caller that stops polling keeps only one connection.
            limits.clone().items(LOADS).carried(pool > 1),
            limits.clone().in_flight(pool.div_ceil(8)).items(if encrypted { TLS_WRITES } else { WRITES }),
            // Each list or sweep is a full batch. Without a higher limit for full batches, connections are left for other calls.
            limits.full(0).items(1),
        );
        Self {
            loads: batcher(&servers, &loads),
            creates: batcher(&servers, &writes),
            saves: batcher(&servers, &writes),
            touches: batcher(&servers, &writes),
            deletes: batcher(&servers, &writes),
            lists: batcher(&servers, &alone),
            sweeps: batcher(&servers, &alone),
            namespace,
            max_data_len,
        }
    }

    /// Returns the table's name.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    async fn list(&self, now: Timestamp, of: Listed, limit: NonZeroU32) -> Result<Vec<(StoreKey, Record)>> {
        self.lists.call(List { now, of, limit: limit.get() }).await
    }
}

fn batcher<D: Dialect, O: Op>(servers: &PerRuntime<Server<D>>, limits: &Limits) -> Batcher<Trip<D, O>> {
    Batcher::new(Trip { servers: servers.clone(), of: PhantomData }, limits.clone())
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
        let (removed, more) = self.sweeps.call(Sweep { now: call.now, what: Swept::Expired(limit.get()) }).await?;
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
        Ok(self.sweeps.call(Sweep { now: call.now, what }).await?.0)
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let records = self.list(call.now, Listed::After(operations::after(after.as_ref())?), limit).await?;
        Ok(operations::page(records, limit))
    }
}

/// Implements `Store` and `Debug` for a type that wraps an `Arc` of a [`SqlStore`]. `Debug` shows only the namespace.
#[macro_export]
macro_rules! store {
    ($store:ident) => {
        impl ::std::fmt::Debug for $store {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($store)).field("namespace", &self.0.namespace()).finish_non_exhaustive()
            }
        }

        ::session_core::delegate_store!($store, store => &*store.0);
    };
}
