//! One shard of the records: slots in chunks, a table from keys to slots, and the order of use.

use std::mem;

use hashbrown::HashTable;
use session_core::{Record, StoreKey, Timestamp};

/// Number of slots in a chunk: the bits of `Chunk::taken`.
const CHUNK_SLOTS: u32 = u64::BITS;

/// Limits of one purge step, so that it holds the shard's lock for about 100 µs at most.
const STEP_CHUNKS: usize = 1024;
const STEP_SEARCHED: u32 = 8;

/// Maximum number of records of a shard that share their decoded form. It takes about 1 KB each, and these are the ones that were read last.
pub(crate) const DECODED: usize = 64;

/// Marks the absence of a slot at either end of the order of use.
const NONE: u32 = u32::MAX;

/// A record in its slot, with its links in the order of use.
pub(crate) struct Entry {
    pub(crate) key: StoreKey,
    pub(crate) record: Record,
    newer: u32,
    older: u32,
}

impl Entry {
    pub(crate) fn to_pair(&self) -> (StoreKey, Record) {
        (self.key, self.record.clone())
    }
}

/// A group of 64 slots that are allocated and freed together.
///
/// Chunks rather than one growing vector, because growth then moves no record and adds only 64 slots at a time.
struct Chunk {
    /// The slots, or an empty slice while none is taken.
    slots: Box<[Option<Entry>]>,
    taken: u64,
    /// Lower bound of the expiry of the records in this chunk. Exact after a purge. A touch, save or removal may leave it too early.
    earliest: Timestamp,
}

/// Both ends of the order of use.
struct Order {
    newest: u32,
    oldest: u32,
}

/// One shard of the records. A record keeps its slot until it is removed; saves do not move it.
pub(crate) struct Shard {
    table: HashTable<u32>,
    chunks: Vec<Chunk>,
    /// Chunks with a free slot, without duplicates.
    open: Vec<u32>,
    /// Maintained only by stores with size limits.
    order: Option<Order>,
    /// Slots that were read last, whose records may share their decoded form: at most one of those that are equal modulo [`DECODED`].
    decoded: Box<[u32]>,
}

/// Result of a purge step.
pub(crate) struct Step {
    /// Removed entries with their slots, to be dropped after the shard's lock is released.
    pub(crate) removed: Vec<(u32, Entry)>,
    /// Chunk to continue with, or `None` at the end of the shard.
    pub(crate) next: Option<usize>,
}

/// Returns the hash of a key. Real keys are uniform already; folding all bytes also spreads the artificial keys of tests.
pub(crate) fn hash(key: &StoreKey) -> u64 {
    let (words, _) = key.as_bytes().as_chunks::<8>();
    let folded = words.iter().fold(0u64, |sum, word| sum.rotate_left(17) ^ u64::from_le_bytes(*word));
    let wide = u128::from(folded) * 0x9E37_79B9_7F4A_7C15;
    (wide >> 64) as u64 ^ wide as u64
}

impl Shard {
    /// Creates an empty shard that maintains the order of use if `ordered`.
    pub(crate) fn new(ordered: bool) -> Self {
        let order = ordered.then_some(Order { newest: NONE, oldest: NONE });
        Self { table: HashTable::new(), chunks: Vec::new(), open: Vec::new(), order, decoded: Box::default() }
    }

    /// Returns the number of records, including expired records.
    pub(crate) fn len(&self) -> usize {
        self.table.len()
    }

    /// Returns the slot of `key`, whose hash is `hash`.
    pub(crate) fn find(&self, hash: u64, key: &StoreKey) -> Option<u32> {
        self.table.find(hash, |&slot| entry(&self.chunks, slot).key == *key).copied()
    }

    /// Returns the record in a slot that [`find`](Self::find) or [`insert`](Self::insert) returned under the same lock.
    pub(crate) fn record(&self, slot: u32) -> &Record {
        &entry(&self.chunks, slot).record
    }

    /// Returns the entry in `slot`, if there is one.
    pub(crate) fn peek(&self, slot: u32) -> Option<&Entry> {
        self.chunks.get((slot / CHUNK_SLOTS) as usize)?.slots.get((slot % CHUNK_SLOTS) as usize)?.as_ref()
    }

    /// Returns `record` as it is kept in `slot`: without its decoded form, unless the slot is one that shares it.
    fn to_keep(&self, slot: u32, mut record: Record) -> Record {
        if self.decoded.get(slot as usize % DECODED) != Some(&slot) {
            drop(record.take_decoding());
        }
        record
    }

    fn peek_mut(&mut self, slot: u32) -> Option<&mut Entry> {
        self.chunks.get_mut((slot / CHUNK_SLOTS) as usize)?.slots.get_mut((slot % CHUNK_SLOTS) as usize)?.as_mut()
    }

    /// Adds a record under a key that the shard does not hold, and returns its slot.
    pub(crate) fn insert(&mut self, hash: u64, key: StoreKey, record: Record) -> u32 {
        let at = self.open.last().copied().unwrap_or_else(|| self.add_chunk());
        let chunk = &mut self.chunks[at as usize];
        if chunk.slots.is_empty() {
            chunk.slots = (0..CHUNK_SLOTS).map(|_| None).collect();
        }
        let slot_in_chunk = chunk.taken.trailing_ones();
        chunk.taken |= 1 << slot_in_chunk;
        chunk.earliest = chunk.earliest.min(record.expires_at);
        let slot = at * CHUNK_SLOTS + slot_in_chunk;
        let record = self.to_keep(slot, record);
        let chunk = &mut self.chunks[at as usize];
        chunk.slots[slot_in_chunk as usize] = Some(Entry { key, record, newer: NONE, older: NONE });
        if chunk.taken == u64::MAX {
            self.open.pop();
        }
        let Self { table, chunks, .. } = self;
        table.insert_unique(hash, slot, |&slot| self::hash(&entry(chunks, slot).key));
        self.link_newest(slot);
        slot
    }

    /// Replaces the record in `slot` and returns the old record.
    pub(crate) fn replace(&mut self, slot: u32, record: Record) -> Record {
        let chunk = &mut self.chunks[(slot / CHUNK_SLOTS) as usize];
        chunk.earliest = chunk.earliest.min(record.expires_at);
        let record = self.to_keep(slot, record);
        if !record.shares_decoding()
            && let Some(own) = self.decoded.get_mut(slot as usize % DECODED).filter(|own| **own == slot)
        {
            *own = NONE;
        }
        mem::replace(&mut entry_mut(&mut self.chunks, slot).record, record)
    }

    /// Returns a copy of the record in `slot`. The second copy of a record shares its decoded form with later ones, so that one that
    /// is saved after each load takes no memory for that.
    ///
    /// Another record ends to share its own. Drop what it shared after the shard's lock is released.
    pub(crate) fn copy(&mut self, slot: u32) -> (Record, Option<impl Sized + use<>>) {
        if self.decoded.is_empty() {
            self.decoded = vec![NONE; DECODED].into();
        }
        let other = mem::replace(&mut self.decoded[slot as usize % DECODED], slot);
        let ends = (other != slot).then(|| self.peek_mut(other)).flatten().map(|entry| entry.record.take_decoding());
        let record = &mut entry_mut(&mut self.chunks, slot).record;
        if other == slot {
            record.share_decoding();
        }
        (record.clone(), ends)
    }

    /// Extends the expiry of the record in `slot` to at least `expires_at`.
    pub(crate) fn extend(&mut self, slot: u32, expires_at: Timestamp) {
        let record = &mut entry_mut(&mut self.chunks, slot).record;
        record.expires_at = record.expires_at.max(expires_at);
    }

    /// Removes the record in `slot` and returns its entry.
    pub(crate) fn remove(&mut self, slot: u32) -> Entry {
        self.unlink(slot);
        let hash = hash(&entry(&self.chunks, slot).key);
        match self.table.find_entry(hash, |&other| other == slot) {
            Ok(found) => drop(found.remove()),
            Err(_) => unreachable!("a taken slot is in the table"),
        }
        let chunk = &mut self.chunks[(slot / CHUNK_SLOTS) as usize];
        if chunk.taken == u64::MAX {
            self.open.push(slot / CHUNK_SLOTS);
        }
        chunk.taken &= !(1 << (slot % CHUNK_SLOTS));
        let removed = chunk.slots[(slot % CHUNK_SLOTS) as usize].take();
        if chunk.taken == 0 {
            // Frees the chunk's memory after a flood of sessions, rather than keeping it for new records.
            chunk.slots = Box::default();
            chunk.earliest = Timestamp::MAX;
        }
        self.shrink();
        removed.expect("a taken slot holds a record")
    }

    /// Marks the record in `slot` as the most recently used.
    pub(crate) fn mark_used(&mut self, slot: u32) {
        if self.order.as_ref().is_some_and(|order| order.newest != slot) {
            self.unlink(slot);
            self.link_newest(slot);
        }
    }

    /// Returns the least recently used slot, or `None` if the shard is empty or does not maintain the order of use.
    pub(crate) fn least_used(&self) -> Option<u32> {
        self.order.as_ref().map(|order| order.oldest).filter(|&slot| slot != NONE)
    }

    /// Removes at most `limit` records that expire at or before `cutoff`, starting with chunk `from`.
    ///
    /// A chunk whose earliest expiry is after `cutoff` is skipped with one comparison for its 64 records.
    pub(crate) fn purge(&mut self, from: usize, cutoff: Timestamp, limit: usize) -> Step {
        let mut removed = Vec::new();
        let mut searched = 0;
        let mut at = from;
        while at < self.chunks.len() && at < from + STEP_CHUNKS && searched < STEP_SEARCHED && removed.len() < limit {
            if self.chunks[at].earliest <= cutoff {
                searched += 1;
                let whole = self.purge_chunk(at, cutoff, limit, &mut removed);
                if !whole {
                    break;
                }
            }
            at += 1;
        }
        Step { removed, next: (at < self.chunks.len()).then_some(at) }
    }

    /// Purges one chunk. Returns `false` if the limit was reached before the end of the chunk.
    fn purge_chunk(&mut self, at: usize, cutoff: Timestamp, limit: usize, removed: &mut Vec<(u32, Entry)>) -> bool {
        let mut earliest = Timestamp::MAX;
        for slot in (at as u32 * CHUNK_SLOTS..).take(CHUNK_SLOTS as usize) {
            let Some(entry) = self.peek(slot) else { continue };
            if entry.record.expires_at > cutoff {
                earliest = earliest.min(entry.record.expires_at);
            } else if removed.len() < limit {
                let entry = self.remove(slot);
                removed.push((slot, entry));
            } else {
                return false;
            }
        }
        self.chunks[at].earliest = earliest;
        true
    }

    /// Returns at most `limit` records from slot `from` on that are live at `now`, and the slot to continue with.
    ///
    /// The slot is `None` at the end of the shard. One call searches a bounded number of slots, so it may return fewer records.
    pub(crate) fn scan(&self, from: u32, now: Timestamp, limit: usize) -> (Vec<(StoreKey, Record)>, Option<u32>) {
        let end = self.chunks.len() as u32 * CHUNK_SLOTS;
        let mut found = Vec::new();
        let stop = end.min(from.saturating_add(STEP_SEARCHED * CHUNK_SLOTS));
        for slot in from..stop {
            if found.len() == limit {
                return (found, Some(slot));
            }
            if let Some(entry) = self.peek(slot).filter(|entry| entry.record.is_live(now)) {
                found.push(entry.to_pair());
            }
        }
        (found, (stop < end).then_some(stop))
    }

    /// Returns the slots of the records that share their decoded form, for tests.
    #[cfg(test)]
    pub(crate) fn decoded(&self) -> Vec<u32> {
        let slots = 0..self.chunks.len() as u32 * CHUNK_SLOTS;
        slots.filter(|&slot| self.peek(slot).is_some_and(|entry| entry.record.shares_decoding())).collect()
    }

    /// Returns whether an emptied shard has freed its memory, for tests.
    #[cfg(test)]
    pub(crate) fn is_small(&self) -> bool {
        self.table.capacity() <= 1024 && self.chunks.iter().all(|chunk| chunk.slots.is_empty())
    }

    fn add_chunk(&mut self) -> u32 {
        let at = u32::try_from(self.chunks.len()).expect("a shard's slots are counted in 32 bits");
        self.chunks.push(Chunk { slots: Box::default(), taken: 0, earliest: Timestamp::MAX });
        self.open.push(at);
        at
    }

    /// Shrinks the table when it has become far too large. This is rare because it rehashes every remaining record.
    fn shrink(&mut self) {
        if self.table.capacity() > 1024 && self.table.len() < self.table.capacity() / 8 {
            let Self { table, chunks, .. } = self;
            table.shrink_to(table.len() * 2, |&slot| hash(&entry(chunks, slot).key));
        }
    }

    fn link_newest(&mut self, slot: u32) {
        let Self { order: Some(order), chunks, .. } = self else { return };
        let second = mem::replace(&mut order.newest, slot);
        entry_mut(chunks, slot).older = second;
        match second {
            NONE => order.oldest = slot,
            second => entry_mut(chunks, second).newer = slot,
        }
    }

    fn unlink(&mut self, slot: u32) {
        let Self { order: Some(order), chunks, .. } = self else { return };
        let entry = entry_mut(chunks, slot);
        let newer = mem::replace(&mut entry.newer, NONE);
        let older = mem::replace(&mut entry.older, NONE);
        match newer {
            NONE => order.newest = older,
            newer => entry_mut(chunks, newer).older = older,
        }
        match older {
            NONE => order.oldest = newer,
            older => entry_mut(chunks, older).newer = newer,
        }
    }
}

fn entry(chunks: &[Chunk], slot: u32) -> &Entry {
    chunks[(slot / CHUNK_SLOTS) as usize].slots[(slot % CHUNK_SLOTS) as usize]
        .as_ref()
        .expect("the table names taken slots only")
}

fn entry_mut(chunks: &mut [Chunk], slot: u32) -> &mut Entry {
    chunks[(slot / CHUNK_SLOTS) as usize].slots[(slot % CHUNK_SLOTS) as usize]
        .as_mut()
        .expect("links name taken slots only")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_stays_small() {
        // The README states the bytes per session. Most of those besides the data are in the entry.
        assert_eq!(size_of::<Option<Entry>>(), 120);
    }
}
