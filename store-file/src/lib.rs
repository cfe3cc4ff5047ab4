#![doc = include_str!("../README.md")]

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use session_core::{
    Call, Capabilities, Clock as _, Cursor, Error, ErrorKind, Namespace, Outcome, Page, Principal, Purged, Record,
    Result, Store, StoreKey, SystemClock, Timestamp, Version, async_trait,
};
use session_store_kit::batch::{Batcher, PerRuntime, Workers};
use session_store_kit::fits;
use tokio::sync::{Mutex, Semaphore};
use tokio::time;

mod builder;
mod error;
mod folder;
mod format;
mod lock;
mod open;
mod purge;
mod read;
mod shard;
mod url;
mod write;

pub use builder::FileStoreBuilder;
use folder::{Folder, Owner, shard_of};
use purge::Position;
use read::Load;
use shard::{Shard, blocking};
use write::{Answer, Op, What};

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
    shards: Vec<Batcher<Shard, Op>>,
    own: PerRuntime<Own>,
    namespace: Namespace,
    timeout: Duration,
}

/// Queue limit and purge position of one runtime. Calls must not wait for another runtime, because it may be idle.
struct Own {
    /// One permit for each call in flight, except loads.
    room: Semaphore,
    /// Position of the purge. The lock allows one purge at a time, which continues where the last one stopped.
    purging: Mutex<Position>,
}

impl Own {
    fn new(queue: usize) -> Self {
        Self { room: Semaphore::new(queue.min(Semaphore::MAX_PERMITS)), purging: Mutex::default() }
    }
}

impl FileStore {
    /// Opens the store that `url` describes.
    ///
    /// `file://sessions` is relative to the working directory, `file:///var/lib/app/sessions` absolute.
    /// Characters may be percent-encoded.
    /// Options: `namespace`, `timeout` in ms, `queue`, `durable` and `create` (`true`, `false`), `readers`, `max_len` (bytes or `none`);
    /// [`FileStoreBuilder`] explains them.
    ///
    /// ```
    /// use session_store_file::FileStore;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> session_core::Result<()> {
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let url = format!("file://{}/sessions", folder.path().display());
    /// # let _ = stringify!(
    /// let url = "file:///var/lib/app/sessions";
    /// # );
    /// let store = FileStore::connect(&format!("{url}?namespace=web_sessions&timeout=2000")).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for an invalid URL, and the errors of [`FileStoreBuilder::open`].
    pub async fn connect(url: &str) -> Result<Self> {
        url::parse(url)?.open().await
    }

    /// Waits for a permit and runs `work`, both within the time-out.
    async fn in_time<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let work = async {
            let own = self.0.own.get()?;
            let _room = own.room.acquire().await;
            work.await
        };
        time::timeout(self.0.timeout, work).await.unwrap_or(Err(error::TIMED_OUT))
    }

    /// Executes an operation under the lock of the key's shard.
    async fn locked(&self, until: Instant, now: Timestamp, key: &StoreKey, what: What) -> Result<Answer> {
        self.0.shards[usize::from(shard_of(key))].call(Op { key: *key, now, until, what }).await
    }

    async fn write(&self, call: &Call, key: &StoreKey, what: What) -> Result<Outcome> {
        self.in_time(self.locked(self.until(), call.now, key, what)).await?.outcome()
    }

    fn until(&self) -> Instant {
        Instant::now() + self.0.timeout
    }

    fn fits(&self, record: &Record) -> Result<()> {
        self.0.folder.max_len.map_or(Ok(()), |max| fits(record, max))
    }

    /// Executes the operations and returns how many were `Done`.
    async fn count_done(&self, now: Timestamp, what: Vec<(StoreKey, What)>) -> Result<u64> {
        let until = self.until();
        let calls = what
            .into_iter()
            .map(|(key, what)| async move { self.locked(until, now, &key, what).await.and_then(Answer::outcome) });
        let mut done = 0;
        for outcome in join_all(calls).await {
            done += u64::from(outcome? == Outcome::Done);
        }
        Ok(done)
    }

    async fn purge_some(&self, cutoff: Timestamp, limit: u32) -> Result<Purged> {
        let own = self.0.own.get()?;
        let mut position = own.purging.lock().await;
        let (folder, mut going) = (Arc::clone(&self.0.folder), std::mem::take(&mut *position));
        let (surveyed, going) = blocking(move || {
            let surveyed = going.survey(&folder, cutoff, limit as usize);
            Ok((surveyed, going))
        })
        .await?;
        *position = going;
        let (found, ended) = surveyed?;
        let (expired, rest): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(_, what)| matches!(what, What::Expire(_)));
        self.count_done(cutoff, rest).await?;
        let removed = self.count_done(cutoff, expired).await?;
        Ok(Purged::new(removed as u32, !ended))
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
        let (folder, owner) = (Arc::clone(&self.0.folder), Owner::of(principal));
        blocking(move || folder.keys_of(owner)).await
    }

    async fn keys_in(&self, shard: u8, until: Instant, now: Timestamp) -> Result<Vec<StoreKey>> {
        let mut first = [0; StoreKey::LEN];
        first[0] = shard;
        // Under the lock, because a listing of the folder may miss a file that is being replaced.
        self.locked(until, now, &StoreKey::from_bytes(first), What::Keys).await?.keys()
    }

    /// Returns the shards from `first` on that have ever held a session.
    async fn shards_from(&self, first: u8) -> Result<Vec<u8>> {
        let folder = Arc::clone(&self.0.folder);
        blocking(move || folder.shards_from(first)).await
    }

    async fn page(&self, now: Timestamp, after: Option<StoreKey>, limit: usize) -> Result<Page> {
        let (until, mut records) = (self.until(), Vec::new());
        for shard in self.shards_from(after.as_ref().map_or(0, shard_of)).await? {
            let mut keys = self.keys_in(shard, until, now).await?;
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
        self.write(call, key, What::Create(record.clone())).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.0.readers.call(Load { key: *key, now: call.now }).await
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.fits(record)?;
        self.write(call, key, What::Save(expected, record.clone())).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.write(call, key, What::Touch(expected, expires_at)).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.write(call, key, What::Delete(expected)).await
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
            self.count_done(call.now, others.map(|key| (key, What::Revoke(principal.clone()))).collect()).await
        })
        .await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let after = after.map(|cursor| StoreKey::from_slice(cursor.as_bytes())).transpose()?;
        self.in_time(self.page(call.now, after, limit.get() as usize)).await
    }
}

const MIXED_UP: Error = Error::fixed(ErrorKind::Other, "a shard answered another question");

impl Answer {
    fn outcome(self) -> Result<Outcome> {
        match self {
            Self::Outcome(outcome) => Ok(outcome),
            Self::Keys(_) => Err(MIXED_UP),
        }
    }

    fn keys(self) -> Result<Vec<StoreKey>> {
        match self {
            Self::Keys(keys) => Ok(keys),
            Self::Outcome(_) => Err(MIXED_UP),
        }
    }
}
