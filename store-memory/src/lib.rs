#![doc = include_str!("../README.md")]

use std::fmt;
use std::future::poll_fn;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use session_core::{
    Call, Capabilities, Clock as _, Cursor, Error, ErrorKind, Live, Outcome, Page, Principal, Purged, Record, Result,
    Store, StoreKey, SystemClock, Timestamp, Version, async_trait,
};

mod builder;
mod index;
mod limits;
mod shard;

pub use builder::MemoryStoreBuilder;
use index::{Index, Location};
use limits::Limits;
use shard::{Entry, Shard};

/// Number of shards of a store without size limits. With 64, tasks rarely contend for a lock, also on a machine with many cores.
const SHARDS: usize = 64;

/// Number of index entries visited before the operation yields to other tasks.
const VISITS: usize = 1024;

/// A [`Store`] that keeps sessions in this process's memory. See the [crate's documentation](crate).
///
/// Clones are cheap and see the same records.
#[derive(Clone)]
pub struct MemoryStore(Arc<Inner>);

struct Inner {
    shards: Box<[Mutex<Shard>]>,
    index: Index,
    limits: Option<Limits>,
    /// Shard at which the next purge starts, so that successive purges with a limit cover all shards.
    purge_next: AtomicUsize,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// Creates an empty store without size limits.
    pub fn new() -> Self {
        Self::with(None)
    }

    fn with(limits: Option<Limits>) -> Self {
        let shards = limits.as_ref().map_or(SHARDS, |limits| limits.shards(SHARDS));
        let shards = (0..shards).map(|_| Mutex::new(Shard::new(limits.is_some()))).collect();
        Self(Arc::new(Inner { shards, index: Index::new(), limits, purge_next: AtomicUsize::new(0) }))
    }

    /// Returns the number of records, including expired records that have not been purged.
    pub fn len(&self) -> usize {
        (0..self.0.shards.len()).map(|at| self.0.lock(at).len()).sum()
    }

    /// Returns whether the store holds no records. Expired records that have not been purged count.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore").field("limits", &self.0.limits).finish_non_exhaustive()
    }
}

impl Inner {
    /// Locks a shard. Poisoning is ignored because no caller's code runs under the lock, so no caller can leave a change half done.
    fn lock(&self, shard: usize) -> MutexGuard<'_, Shard> {
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shard_of(&self, hash: u64) -> usize {
        // The hash table inside a shard uses the lowest and the highest bits.
        (hash >> 40) as usize & (self.shards.len() - 1)
    }

    fn fits(&self, record: &Record) -> Result<()> {
        match self.limits.as_ref().and_then(Limits::max_data_len) {
            Some(max) if record.data.len() > max => {
                Err(Error::fixed(ErrorKind::TooLarge, "one record would need more than the store's max_bytes"))
            }
            _ => Ok(()),
        }
    }

    /// Removes a record from its shard, whose lock the caller holds, and from the index.
    fn remove(&self, shard: &mut Shard, location: Location) -> Entry {
        let entry = shard.remove(location.slot);
        self.forget(&entry.record, location);
        entry
    }

    fn forget(&self, record: &Record, location: Location) {
        if let Some(principal) = &record.principal {
            self.index.remove(principal, location);
        }
        if let Some(limits) = &self.limits {
            limits.removed(record);
        }
    }

    /// Does one bounded step of a purge. Returns the number of removed records and the chunk to continue with.
    fn purge_step(&self, at: usize, from: usize, cutoff: Timestamp, limit: usize) -> (usize, Option<usize>) {
        let mut shard = self.lock(at);
        let step = shard.purge(from, cutoff, limit);
        for (slot, entry) in &step.removed {
            self.forget(&entry.record, Location { shard: at as u32, slot: *slot });
        }
        drop(shard);
        (step.removed.len(), step.next)
    }

    fn insert(&self, shard: &mut Shard, at: usize, hash: u64, key: &StoreKey, record: Record) -> u32 {
        let principal = record.principal.clone();
        if let Some(limits) = &self.limits {
            limits.added(&record);
        }
        let slot = shard.insert(hash, *key, record);
        if let Some(principal) = &principal {
            self.index.insert(principal, Location { shard: at as u32, slot });
        }
        slot
    }

    /// Replaces the record in `slot`, updates the index and returns the old record.
    fn replace(&self, shard: &mut Shard, at: usize, slot: u32, record: Record) -> Record {
        let location = Location { shard: at as u32, slot };
        let old = shard.record(slot);
        if let Some(limits) = &self.limits {
            limits.replaced(old, &record);
        }
        if old.principal != record.principal {
            if let Some(principal) = &record.principal {
                self.index.insert(principal, location);
            }
            if let Some(principal) = &old.principal {
                self.index.remove(principal, location);
            }
        }
        shard.mark_used(slot);
        shard.replace(slot, record)
    }

    /// Evicts the least recently used records until the store is within its size limits again.
    ///
    /// Evicts from shard `at` first, but never the record in slot `written`. Then evicts from the other shards, locking one at a time.
    fn evict(&self, at: usize, mut shard: MutexGuard<'_, Shard>, written: u32) {
        let Some(limits) = &self.limits else { return };
        let mut evicted = Vec::new();
        while limits.exceeded() {
            let Some(slot) = shard.least_used().filter(|&slot| slot != written) else { break };
            evicted.push(self.remove(&mut shard, Location { shard: at as u32, slot }));
        }
        drop(shard);
        for other in (0..self.shards.len()).filter(|&other| other != at) {
            if !limits.exceeded() {
                break;
            }
            let mut shard = self.lock(other);
            while let Some(slot) = shard.least_used().filter(|_| limits.exceeded()) {
                evicted.push(self.remove(&mut shard, Location { shard: other as u32, slot }));
            }
        }
    }
}

#[async_trait]
impl Store for MemoryStore {
    fn capabilities(&self) -> Capabilities {
        let max_data_len = self.0.limits.as_ref().and_then(Limits::max_data_len);
        Capabilities::new().by_principal(true).scan(true).max_data_len(max_data_len).shares_decoding(true)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.0.fits(record)?;
        let hash = shard::hash(key);
        let at = self.0.shard_of(hash);
        let own = record.compact();
        let mut shard = self.0.lock(at);
        // The replaced record is dropped after the lock is released, so that other calls do not wait while memory is freed.
        let found = shard.find(hash, key);
        if let Some(outcome) = live(&shard, found, call).create(record.version) {
            return Ok(outcome);
        }
        let (slot, _expired) = match found {
            Some(slot) => (slot, Some(self.0.replace(&mut shard, at, slot, own))),
            None => (self.0.insert(&mut shard, at, hash, key, own), None),
        };
        self.0.evict(at, shard, slot);
        Ok(Outcome::Done)
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        let hash = shard::hash(key);
        let mut shard = self.0.lock(self.0.shard_of(hash));
        let Some(slot) = shard.find(hash, key) else { return Ok(None) };
        if !shard.record(slot).is_live(call.now) {
            return Ok(None);
        }
        shard.mark_used(slot);
        let (found, _ends) = shard.copy(slot);
        drop(shard);
        Ok(Some(found))
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.0.fits(record)?;
        let hash = shard::hash(key);
        let at = self.0.shard_of(hash);
        let own = record.compact();
        let mut shard = self.0.lock(at);
        let Some(slot) = shard.find(hash, key) else { return Ok(Outcome::Missing) };
        if let Some(outcome) = live(&shard, Some(slot), call).save(expected, record.version) {
            return Ok(outcome);
        }
        let _old = self.0.replace(&mut shard, at, slot, own);
        self.0.evict(at, shard, slot);
        Ok(Outcome::Done)
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        let hash = shard::hash(key);
        let mut shard = self.0.lock(self.0.shard_of(hash));
        let Some(slot) = shard.find(hash, key) else { return Ok(Outcome::Missing) };
        if let Some(outcome) = live(&shard, Some(slot), call).touch(expected) {
            return Ok(outcome);
        }
        shard.extend(slot, expires_at);
        shard.mark_used(slot);
        Ok(Outcome::Done)
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        let hash = shard::hash(key);
        let at = self.0.shard_of(hash);
        let mut shard = self.0.lock(at);
        let Some(slot) = shard.find(hash, key) else { return Ok(Outcome::Missing) };
        if let Some(outcome) = live(&shard, Some(slot), call).delete(expected) {
            return Ok(outcome);
        }
        let removed = self.0.remove(&mut shard, Location { shard: at as u32, slot });
        drop(shard);
        drop(removed);
        Ok(Outcome::Done)
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        let cutoff = call.now.min(SystemClock.now());
        let shards = self.0.shards.len();
        let mut left = limit.get() as usize;
        let start = self.0.purge_next.load(Ordering::Relaxed);
        for turn in 0..shards {
            let at = (start + turn) % shards;
            let mut from = Some(0);
            while let Some(chunk) = from {
                if left == 0 {
                    self.0.purge_next.store(at, Ordering::Relaxed);
                    return Ok(Purged::new(limit.get(), true));
                }
                let (removed, next) = self.0.purge_step(at, chunk, cutoff, left);
                (left, from) = (left - removed, next);
                if removed > 0 || next.is_some() {
                    pause().await;
                }
            }
        }
        Ok(Purged::new(limit.get() - left as u32, false))
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let mut found = Vec::new();
        for (nth, location) in self.0.index.locations(principal).into_iter().enumerate() {
            if found.len() == limit.get() as usize {
                break;
            }
            if nth % VISITS == VISITS - 1 {
                pause().await;
            }
            let shard = self.0.lock(location.shard as usize);
            found.extend(shard.peek(location.slot).filter(|entry| theirs(entry, principal, call)).map(Entry::to_pair));
        }
        Ok(found)
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        let mut removed = 0;
        for (nth, location) in self.0.index.locations(principal).into_iter().enumerate() {
            if nth % VISITS == VISITS - 1 {
                pause().await;
            }
            let mut shard = self.0.lock(location.shard as usize);
            let goes = |entry: &Entry| theirs(entry, principal, call) && keep != Some(&entry.key);
            if shard.peek(location.slot).is_some_and(goes) {
                let entry = self.0.remove(&mut shard, location);
                drop(shard);
                drop(entry);
                removed += 1;
            }
        }
        Ok(removed)
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let limit = limit.get() as usize;
        let mut next = match after {
            Some(cursor) => Location::from_cursor(&cursor)?,
            None => Location { shard: 0, slot: 0 },
        };
        let mut records = Vec::new();
        while (next.shard as usize) < self.0.shards.len() {
            if records.len() == limit {
                return Ok(Page::new(records, Some(next.to_cursor())));
            }
            let (found, rest) = self.0.lock(next.shard as usize).scan(next.slot, call.now, limit - records.len());
            records.extend(found);
            next = match rest {
                Some(slot) => Location { slot, ..next },
                None => Location { shard: next.shard + 1, slot: 0 },
            };
            if rest.is_some() {
                pause().await;
            }
        }
        Ok(Page::new(records, None))
    }
}

/// Returns the live version in a slot.
fn live(shard: &Shard, slot: Option<u32>, call: &Call) -> Live {
    Record::live(slot.map(|slot| shard.record(slot)), call.now)
}

fn theirs(entry: &Entry, principal: &Principal, call: &Call) -> bool {
    entry.record.principal.as_ref() == Some(principal) && entry.record.is_live(call.now)
}

/// Yields once to other tasks, on any runtime. Called between bounded steps of work, with no lock held.
async fn pause() {
    let mut paused = false;
    poll_fn(|cx| {
        if paused {
            return Poll::Ready(());
        }
        paused = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests;
