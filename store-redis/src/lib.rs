#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;

use redis::{Cmd, Value};
use session_core::{
    Call, Capabilities, Cursor, ErrorKind, Namespace, Outcome, Page, Principal, Purged, Record, Result, Store,
    StoreKey, Timestamp, Version, async_trait,
};
use session_store_kit::fits;
use session_store_kit::operations::{Load, Save};

mod address;
mod batch;
mod builder;
#[cfg(feature = "cluster")]
mod cluster;
mod connection;
mod error;
mod exposure;
mod failure;
mod keys;
mod no_master;
mod node;
mod preflight;
mod primary;
mod principals;
mod probes;
mod record;
mod refusal;
mod router;
mod scan;
mod scripts;
mod sentinel;
mod topology;
mod url;

pub use builder::RedisStoreBuilder;
/// The driver, for [`RedisStore::from_client`].
pub use redis;

use batch::{Batches, InFlight};
use keys::Keys;
use router::Router;
use scripts::{IndexScripts, Script, Scripts, outcome};

/// Maximum length of a record's data. Most servers allow 512 MB, but all other calls would wait for their one thread.
const MAX_DATA_LEN: usize = 16 << 20;

/// A [`Store`] that keeps sessions in Redis or Valkey. See the [crate's documentation](crate).
///
/// Clones are cheap and share connections.
#[derive(Clone)]
pub struct RedisStore(Arc<Inner>);

struct Inner {
    router: Arc<Router>,
    keys: Keys,
    scripts: Scripts,
    /// `None` on a cluster.
    batches: Option<Batches>,
    namespace: Namespace,
    /// Maximum length of a record's data: [`MAX_DATA_LEN`], or less if the server refuses such a record.
    max_data_len: AtomicUsize,
}

/// Properties of a write that decide about an index entry on another node.
#[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "on a single server scripts write entries themselves"))]
struct Intent<'a> {
    now: Timestamp,
    expires_at: Timestamp,
    /// Principal whose entry must be written first. `None` if the script decides whether an entry is needed.
    principal: Option<&'a Principal>,
}

impl RedisStore {
    /// Checks the length of a record's data before the record is sent.
    fn fits(&self, record: &Record) -> Result<()> {
        fits(record, self.0.max_data_len.load(Relaxed))
    }

    /// Lowers the limit if the server has refused the record for its length, so that no such record is sent again.
    fn learn(&self, record: &Record, outcome: Result<Outcome>) -> Result<Outcome> {
        if outcome.as_ref().is_err_and(|error| error.kind() == ErrorKind::TooLarge) {
            self.0.max_data_len.fetch_min(record.data.len().saturating_sub(1), Relaxed);
        }
        outcome
    }

    /// Runs a script on one key.
    async fn run(&self, script: &Script, key: &[u8], arguments: impl Fn(&mut Cmd)) -> Result<Value> {
        self.0.router.run(script, &[key], arguments).await
    }

    /// Runs a script that writes one record.
    async fn write(
        &self,
        script: &Script,
        key: &StoreKey,
        intent: Intent<'_>,
        arguments: impl Fn(&mut Cmd),
    ) -> Result<Outcome> {
        #[cfg(not(feature = "cluster"))]
        let _ = intent;
        let answer = match &self.0.scripts.index {
            IndexScripts::Single(_) => self.run(script, &self.0.keys.record(key), arguments).await?,
            #[cfg(feature = "cluster")]
            IndexScripts::Cluster(index) => {
                Box::pin(self.write_on_cluster(index, script, key, &intent, arguments)).await?
            }
        };
        outcome(answer)
    }

    /// Sends a save on its own, outside a batch.
    async fn save_one(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        let (now, bytes, expiry) = (call.now.as_millis(), record::encode(record), record::expiry(record.expires_at));
        let expected = record::version(expected);
        // Most saves need no new entry, so the script decides.
        let intent = Intent { now: call.now, expires_at: record.expires_at, principal: None };
        self.write(&self.0.scripts.save, key, intent, |command| {
            command.arg(now).arg(&bytes).arg(expiry).arg(&expected[..]);
        })
        .await
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedisStore {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .durable(true)
            .shared(true)
            .expires_itself(true)
            .by_principal(true)
            .scan(true)
            .max_data_len(Some(self.0.max_data_len.load(Relaxed)))
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.fits(record)?;
        let (now, bytes, expiry) = (call.now.as_millis(), record::encode(record), record::expiry(record.expires_at));
        let intent = Intent { now: call.now, expires_at: record.expires_at, principal: record.principal.as_ref() };
        let creating = pin!(self.write(&self.0.scripts.create, key, intent, |command| {
            command.arg(now).arg(&bytes).arg(expiry);
        }));
        self.learn(record, self.0.router.call(creating).await)
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        let load = Load { now: call.now, key: *key };
        let in_flight = self.0.batches.as_ref().map(|batches| batches.loads.begin());
        match in_flight.as_ref().and_then(InFlight::batcher) {
            Some(loads) => loads.call(load).await,
            None => self.0.router.call(pin!(batch::get(&self.0.router, &self.0.keys, &load))).await,
        }
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.fits(record)?;
        let in_flight = self.0.batches.as_ref().map(|batches| batches.saves.begin());
        let saved = match in_flight.as_ref().and_then(InFlight::batcher) {
            Some(saves) => {
                let save = Save { now: call.now, key: *key, expected, record: record.clone() };
                saves.call(save).await
            }
            None => self.0.router.call(pin!(self.save_one(call, key, expected, record))).await,
        };
        self.learn(record, saved)
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        let (now, expiry) = (call.now.as_millis(), record::expiry(expires_at));
        let expected = record::version(expected);
        let intent = Intent { now: call.now, expires_at, principal: None };
        self.0
            .router
            .call(pin!(self.write(&self.0.scripts.touch, key, intent, |command| {
                command.arg(now).arg(&expected[..]).arg(&expiry.to_be_bytes()[..]).arg(expiry);
            })))
            .await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        let (now, expected) = (call.now.as_millis(), expected.map(record::version));
        let intent = Intent { now: call.now, expires_at: call.now, principal: None };
        self.0
            .router
            .call(pin!(self.write(&self.0.scripts.delete, key, intent, |command| {
                command.arg(now).arg(expected.as_ref().map_or(&[][..], |version| &version[..]));
            })))
            .await
    }

    /// Does nothing, because the server removes expired records.
    async fn purge(&self, _call: &Call, _limit: NonZeroU32) -> Result<Purged> {
        Ok(Purged::new(0, false))
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.0.router.call(pin!(self.list(call, principal, limit))).await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.0.router.call(pin!(self.remove_all(call, principal, keep))).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        self.0.router.call(pin!(self.page(call, after, limit))).await
    }

    async fn close(&self) -> Result<()> {
        if let Some(batches) = &self.0.batches {
            batches.close().await;
        }
        self.0.router.close().await;
        Ok(())
    }
}
