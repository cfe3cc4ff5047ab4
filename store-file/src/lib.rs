#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_core::{
    Call, Capabilities, Clock as _, Cursor, ErrorKind, Namespace, Outcome, Page, Principal, Purged, Record, Result,
    Store, StoreKey, SystemClock, Timestamp, Version, async_trait,
};
use session_store_kit::batch::{Batcher, Entrance, PerRuntime, Workers};
use session_store_kit::{TIMED_OUT, fits};
use tokio::sync::{Mutex, Semaphore};
use tokio::time;

mod builder;
mod error;
mod folder;
mod format;
mod lock;
mod operations;
mod purge;
mod read;
mod setup;
mod shard;
mod url;

pub use builder::FileStoreBuilder;
use folder::{Folder, PrincipalHash, shard_of};
use operations::{Reply, Request, RequestKind};
use purge::Position;
use read::Load;
use shard::{Shard, blocking};

/// Maximum number of sessions that one purge removes, whatever its limit.
const PURGE_FILES: u32 = 1_000;

/// A [`Store`] that keeps sessions as files in a folder. See the [crate's documentation](crate).
///
/// Clones are cheap and share threads.
#[derive(Clone)]
pub struct FileStore(Arc<Inner>);

struct Inner {
    folder: Arc<Folder>,
    readers: Workers<Load>,
    /// One shard for each value of a key's first byte.
    shards: Vec<Batcher<Shard, Request>>,
    runtimes: PerRuntime<RuntimeState>,
    /// Each call except loads is inside until its work is done, also when its caller has stopped waiting.
    entrance: Entrance,
    namespace: Namespace,
    timeout: Duration,
}

/// Queue limit and purge position of one runtime. Calls must not wait for another runtime, because it may be idle.
struct RuntimeState {
    /// One permit for each call in flight, except loads.
    permits: Semaphore,
    /// Position of the purge. The lock allows one purge at a time, which continues where the last one stopped.
    purge_position: Mutex<Position>,
}

impl RuntimeState {
    fn new(queue: usize) -> Self {
        Self { permits: Semaphore::new(queue.min(Semaphore::MAX_PERMITS)), purge_position: Mutex::default() }
    }
}

impl FileStore {
    /// Waits for a permit and runs `work`, both within the time-out.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let _pass = self.0.entrance.enter()?;
        let work = async {
            let runtime = self.0.runtimes.get()?;
            let _permit = runtime.permits.acquire().await;
            work.await
        };
        time::timeout(self.0.timeout, work).await.unwrap_or(Err(TIMED_OUT))
    }

    /// Executes an operation under the lock of the key's shard.
    async fn locked(&self, deadline: Instant, now: Timestamp, key: &StoreKey, kind: RequestKind) -> Result<Reply> {
        self.0.shards[usize::from(shard_of(key))]
            .call(Request { key: *key, now, deadline, kind, _pass: self.0.entrance.enter()? })
            .await
    }

    async fn write(&self, call: &Call, key: &StoreKey, kind: RequestKind) -> Result<Outcome> {
        self.in_time(self.locked(self.deadline(), call.now, key, kind)).await?.outcome()
    }

    fn deadline(&self) -> Instant {
        Instant::now() + self.0.timeout
    }

    fn fits(&self, record: &Record) -> Result<()> {
        self.0.folder.max_len.map_or(Ok(()), |max| fits(record, max))
    }

    /// Executes the requests and returns how many were `Done`.
    async fn count_done(&self, now: Timestamp, requests: Vec<(StoreKey, RequestKind)>) -> Result<u64> {
        let deadline = self.deadline();
        let calls = requests
            .into_iter()
            .map(|(key, kind)| async move { self.locked(deadline, now, &key, kind).await.and_then(Reply::outcome) });
        let mut done = 0;
        for outcome in join_all(calls).await {
            done += u64::from(outcome? == Outcome::Done);
        }
        Ok(done)
    }

    async fn purge_some(&self, cutoff: Timestamp, limit: u32) -> Result<Purged> {
        let runtime = self.0.runtimes.get()?;
        let mut last = runtime.purge_position.lock().await;
        let (folder, mut position) = (Arc::clone(&self.0.folder), std::mem::take(&mut *last));
        let (surveyed, position) = blocking(move || {
            let surveyed = position.survey(&folder, cutoff, limit as usize);
            Ok((surveyed, position))
        })
        .await?;
        // Stays so if a request fails or the caller stops waiting.
        *last = position.after_failure();
        let (requests, more) = surveyed?;
        let (expired, repairs): (Vec<_>, Vec<_>) =
            requests.into_iter().partition(|(_, kind)| matches!(kind, RequestKind::Expire(_)));
        self.count_done(cutoff, repairs).await?;
        let removed = self.count_done(cutoff, expired).await?;
        *last = position;
        Ok(Purged::new(removed as u32, more))
    }

    /// Loads at most `limit` live records of `keys` for which `wanted` returns `true`. Skips records that cannot be decoded.
    async fn load_each(
        &self,
        keys: Vec<StoreKey>,
        now: Timestamp,
        limit: usize,
        wanted: impl Fn(&Record) -> bool + Send + 'static,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let folder = Arc::clone(&self.0.folder);
        blocking(move || {
            let mut records = Vec::new();
            for key in keys {
                if records.len() == limit {
                    break;
                }
                match folder.load(&key, now) {
                    Ok(record) => records.extend(record.filter(&wanted).map(|record| (key, record))),
                    Err(error) if error.kind() == ErrorKind::Corrupt => {
                        tracing::warn!(%error, "a session cannot be read, and is left out of a list");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(records)
        })
        .await
    }

    async fn entries_of(&self, principal: &Principal) -> Result<Vec<StoreKey>> {
        let (folder, hash) = (Arc::clone(&self.0.folder), PrincipalHash::of(principal));
        blocking(move || folder.keys_of(hash)).await
    }

    async fn keys_in(&self, shard: u8, deadline: Instant, now: Timestamp) -> Result<Vec<StoreKey>> {
        let mut first = [0; StoreKey::LEN];
        first[0] = shard;
        // Under the lock, because a listing of the folder may miss a file that is being replaced.
        self.locked(deadline, now, &StoreKey::from_bytes(first), RequestKind::ListKeys).await?.keys()
    }

    /// Returns the shards from `first` on that have ever held a session.
    async fn shards_from(&self, first: u8) -> Result<Vec<u8>> {
        let folder = Arc::clone(&self.0.folder);
        blocking(move || folder.shards_from(first)).await
    }

    async fn page(&self, now: Timestamp, after: Option<StoreKey>, limit: usize) -> Result<Page> {
        let (deadline, mut records) = (self.deadline(), Vec::new());
        for shard in self.shards_from(after.as_ref().map_or(0, shard_of)).await? {
            let mut keys = self.keys_in(shard, deadline, now).await?;
            if let Some(after) = &after {
                keys.retain(|key| key > after);
            }
            records.extend(self.load_each(keys, now, limit - records.len(), |_| true).await?);
            if records.len() == limit {
                let next = records.last().map(|(key, _)| Cursor::new(key.as_bytes().to_vec()));
                return Ok(Page::new(records, next));
            }
        }
        Ok(Page::new(records, None))
    }
}

impl fmt::Debug for FileStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStore").field("namespace", &self.0.namespace).finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for FileStore {
    fn capabilities(&self) -> Capabilities {
        let max = self.0.folder.max_len;
        Capabilities::new().durable(true).shared(true).by_principal(true).scan(true).max_data_len(max)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.fits(record)?;
        self.write(call, key, RequestKind::Create(record.clone())).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.0.readers.call(Load { key: *key, now: call.now }).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.fits(record)?;
        self.write(call, key, RequestKind::Save(expected, record.clone())).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.write(call, key, RequestKind::Touch(expected, expires_at)).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.write(call, key, RequestKind::Delete(expected)).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        let cutoff = call.now.min(SystemClock.now());
        self.in_time(self.purge_some(cutoff, limit.get().min(PURGE_FILES))).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        self.in_time(async {
            let (keys, whose) = (self.entries_of(principal).await?, principal.clone());
            let theirs = move |record: &Record| record.principal.as_ref() == Some(&whose);
            self.load_each(keys, call.now, limit.get() as usize, theirs).await
        })
        .await
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.in_time(async {
            let keys = self.entries_of(principal).await?;
            let others = keys.into_iter().filter(|key| Some(key) != keep);
            self.count_done(call.now, others.map(|key| (key, RequestKind::Revoke(principal.clone()))).collect()).await
        })
        .await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let after = after.map(|cursor| StoreKey::from_slice(cursor.as_bytes())).transpose()?;
        self.in_time(self.page(call.now, after, limit.get() as usize)).await
    }

    async fn close(&self) -> Result<()> {
        self.0.entrance.close().await;
        self.0.readers.close().await;
        Ok(())
    }
}
