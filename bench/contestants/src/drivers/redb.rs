//! One table. A load is a read transaction of its own in the caller's task. A write is a transaction that waits for the disk, as this
//! project's store does unless told otherwise, on the runtime's threads for blocking work.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use redb::{Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::now;
use crate::cas::{Cas, Key, LIFE};

/// Version, expiry and data of each session.
const TABLE: TableDefinition<'static, &[u8; 32], (i64, i64, &[u8])> = TableDefinition::new("bare");

/// Bytes of the cache, as in this project's store.
const CACHE: usize = 64 << 20;

pub(crate) struct Driver(Arc<Database>);

impl Driver {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let path = url.strip_prefix("redb://").context("a redb URL")?;
        let database = Database::builder().set_cache_size(CACHE).create(path)?;
        let made = database.begin_write()?;
        drop(made.open_table(TABLE)?);
        made.commit()?;
        Ok(Self(Arc::new(database)))
    }

    /// Writes what `change` makes of the stored version, expiry and data. Returns whether it was written.
    async fn write(
        &self,
        key: &Key,
        change: impl for<'a> FnOnce(Option<(i64, i64, &'a [u8])>) -> Option<(i64, i64, Vec<u8>)> + Send + 'static,
    ) -> Result<bool> {
        let (database, key) = (Arc::clone(&self.0), *key);
        tokio::task::spawn_blocking(move || {
            let mut writing = database.begin_write()?;
            writing.set_durability(Durability::Immediate)?;
            let mut table = writing.open_table(TABLE)?;
            let changed = change(table.get(&key)?.as_ref().map(|stored| stored.value()));
            let Some((version, expires_at, data)) = changed else {
                drop(table);
                writing.abort()?;
                return Ok(false);
            };
            table.insert(&key, (version, expires_at, &data[..]))?;
            drop(table);
            writing.commit()?;
            Ok(true)
        })
        .await?
    }
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        let created = self.write(key, move |stored| stored.is_none().then(|| (version, now() + LIFE, data))).await?;
        ensure!(created, "a fresh key was taken");
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        let table = self.0.begin_read()?.open_table(TABLE)?;
        let stored = table.get(key)?;
        let live = stored.as_ref().map(|stored| stored.value()).filter(|&(_, expires_at, _)| expires_at > now());
        Ok(live.map(|(version, _, data)| (version, data.to_vec())))
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        self.write(key, move |stored| {
            stored
                .is_some_and(|(version, expires_at, _)| version == expected && expires_at > now())
                .then(|| (version, now() + LIFE, data))
        })
        .await
    }

    async fn touch(&self, key: &Key, expected: i64) -> Result<bool> {
        self.write(key, move |stored| {
            stored
                .filter(|&(version, expires_at, _)| version == expected && expires_at > now())
                .map(|(version, expires_at, data)| (version, expires_at.max(now() + LIFE), data.to_vec()))
        })
        .await
    }
}
