//! Store layer that seals the data of records.

use std::fmt;
use std::num::NonZeroU32;

use session_core::{
    Bytes, Call, Capabilities, Cursor, Error, ErrorKind, Outcome, Page, Principal, Purged, Record, Result, Store,
    StoreKey, Timestamp, Version, async_trait,
};
use session_crypto::{KeyRing, Sealer};
use session_store_kit::fits;

/// First byte of sealed data, the format number of `session-crypto`. Plain data begins with `{`, 0xde, or 0 for a tombstone.
const SEALED: u8 = 1;

/// Store that seals the data of every record in another store. See the [crate's documentation](crate).
///
/// ```
/// use session_crypto::KeyRing;
/// use session_store_layers::Sealed;
/// use session_store_memory::MemoryStore;
///
/// # fn main() -> session_core::Result<()> {
/// # let secret: Vec<u8> = (0..32).collect();
/// let store = Sealed::new(MemoryStore::new(), &KeyRing::new(&secret)?);
/// # Ok(())
/// # }
/// ```
pub struct Sealed<S> {
    store: S,
    sealer: Sealer,
    accept_plain: bool,
}

impl<S: Store> Sealed<S> {
    /// Creates a layer over `store`. Data is sealed with the first key of `ring` and opened with any of its keys.
    pub fn new(store: S, ring: &KeyRing) -> Self {
        Self { store, sealer: ring.sealer("store", "record"), accept_plain: false }
    }

    /// Sets whether to read unsealed records, which were stored before this layer was added. Default: no, they are [`ErrorKind::Corrupt`].
    #[must_use]
    pub fn accept_plain(mut self, accept: bool) -> Self {
        self.accept_plain = accept;
        self
    }

    fn seal(&self, key: &StoreKey, record: &Record) -> Result<Record> {
        if let Some(max) = self.capabilities().max_data_len {
            fits(record, max)?;
        }
        let data = self.sealer.seal(&context(key, record), &record.data).into();
        // A new record, because a copy would bring what the core has decoded along, unsealed.
        Ok(Record::new(record.version, record.created_at, record.expires_at, record.principal.clone(), data))
    }

    fn open(&self, key: &StoreKey, mut record: Record) -> Result<Record> {
        if record.data.first() != Some(&SEALED) && self.accept_plain {
            return Ok(record);
        }
        let Some(opened) = self.sealer.open(&context(key, &record), &record.data) else {
            return Err(Error::fixed(
                ErrorKind::Corrupt,
                "a record's seal does not open: it was made with another key ring, or for another record",
            ));
        };
        record.data = Bytes::copy_from_slice(&opened.data);
        Ok(record)
    }

    /// Opens a record of a list. Returns `None` and logs a warning if it does not open.
    fn opened(&self, key: StoreKey, record: Record) -> Option<(StoreKey, Record)> {
        match self.open(&key, record) {
            Ok(record) => Some((key, record)),
            Err(error) => {
                tracing::warn!(%error, "a session cannot be read, and is left out of a list");
                None
            }
        }
    }

    fn open_all(&self, records: Vec<(StoreKey, Record)>) -> Vec<(StoreKey, Record)> {
        records.into_iter().filter_map(|(key, record)| self.opened(key, record)).collect()
    }
}

/// Context that the seal covers besides the data.
///
/// Different records have different contexts, because the fields before the principal have fixed lengths, and a byte marks that there is one.
fn context(key: &StoreKey, record: &Record) -> Vec<u8> {
    let mut context = key.as_bytes().to_vec();
    context.extend_from_slice(&record.version.as_i64().to_be_bytes());
    context.extend_from_slice(&record.created_at.as_millis().to_be_bytes());
    if let Some(principal) = &record.principal {
        context.push(1);
        context.extend_from_slice(principal.as_str().as_bytes());
    }
    context
}

impl<S: fmt::Debug> fmt::Debug for Sealed<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sealed").field(&self.store).finish()
    }
}

#[async_trait]
impl<S: Store> Store for Sealed<S> {
    fn capabilities(&self) -> Capabilities {
        let can = self.store.capabilities();
        can.max_data_len(can.max_data_len.map(|max| max.saturating_sub(Sealer::OVERHEAD))).shares_decoding(false)
    }

    async fn create(&self, call: &Call, key: &StoreKey, record: &Record) -> Result<Outcome> {
        self.store.create(call, key, &self.seal(key, record)?).await
    }

    async fn load(&self, call: &Call, key: &StoreKey) -> Result<Option<Record>> {
        self.store.load(call, key).await?.map(|record| self.open(key, record)).transpose()
    }

    async fn save(&self, call: &Call, key: &StoreKey, expected: Version, record: &Record) -> Result<Outcome> {
        self.store.save(call, key, expected, &self.seal(key, record)?).await
    }

    async fn touch(&self, call: &Call, key: &StoreKey, expected: Version, expires_at: Timestamp) -> Result<Outcome> {
        self.store.touch(call, key, expected, expires_at).await
    }

    async fn delete(&self, call: &Call, key: &StoreKey, expected: Option<Version>) -> Result<Outcome> {
        self.store.delete(call, key, expected).await
    }

    async fn purge(&self, call: &Call, limit: NonZeroU32) -> Result<Purged> {
        self.store.purge(call, limit).await
    }

    async fn sessions_of(
        &self,
        call: &Call,
        principal: &Principal,
        limit: NonZeroU32,
    ) -> Result<Vec<(StoreKey, Record)>> {
        let mut asked = limit;
        loop {
            let found = self.store.sessions_of(call, principal, asked).await?;
            let count = found.len();
            let mut opened = self.open_all(found);
            // Records that do not open must not reduce the number of those that do.
            let enough = limit.saturating_add(u32::try_from(count - opened.len()).unwrap_or(u32::MAX));
            if count < asked.get() as usize || enough <= asked {
                opened.truncate(limit.get() as usize);
                return Ok(opened);
            }
            asked = enough;
        }
    }

    async fn delete_all(&self, call: &Call, principal: &Principal, keep: Option<&StoreKey>) -> Result<u64> {
        self.store.delete_all(call, principal, keep).await
    }

    async fn scan(&self, call: &Call, after: Option<Cursor>, limit: NonZeroU32) -> Result<Page> {
        let Page { records, next, .. } = self.store.scan(call, after, limit).await?;
        Ok(Page::new(self.open_all(records), next))
    }

    async fn close(&self) -> Result<()> {
        self.store.close().await
    }
}

#[cfg(test)]
mod tests {
    use session_core::{Clock as _, SystemClock};

    use super::*;

    #[test]
    fn a_sealed_record_brings_nothing_unsealed_along() {
        let secret: Vec<u8> = (0..32).collect();
        let ring = KeyRing::new(&secret).unwrap();
        let layer = Sealed::new(session_core::NullStore, &ring);
        let mut record =
            Record::new(Version::random(), SystemClock.now(), Timestamp::MAX, None, Bytes::from_static(b"{}"));
        record.share_decoding();
        let sealed = layer.seal(&StoreKey::from_bytes([1; 32]), &record).unwrap();
        assert!(!sealed.shares_decoding());
        assert_ne!(sealed.data, record.data);
    }
}
