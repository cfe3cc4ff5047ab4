//! One connection for all tasks, used on the runtime's threads for blocking work. rusqlite blocks, so calling it in a task would
//! hold up the other requests of that thread.

use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};
use rusqlite::{Connection, OptionalExtension, params};

use super::now;
use crate::cas::{Cas, Key, LIFE};

pub(crate) struct Driver(Arc<Mutex<Connection>>);

impl Driver {
    pub(crate) fn open(url: &str) -> Result<Self> {
        let rest = url.strip_prefix("sqlite://").context("a sqlite URL")?;
        let (path, synchronous) = rest.split_once("?synchronous=").unwrap_or((rest, "normal"));
        let connection = Connection::open(path)?;
        connection.pragma_update(None, "journal_mode", "wal")?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute_batch(
            "create table if not exists bare (key blob primary key, version integer not null, \
             expires_at integer not null, data blob not null) without rowid",
        )?;
        Ok(Self(Arc::new(Mutex::new(connection))))
    }

    async fn on<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let connection = Arc::clone(&self.0);
        let done =
            tokio::task::spawn_blocking(move || work(&connection.lock().unwrap_or_else(PoisonError::into_inner))).await;
        Ok(done??)
    }
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        let key = *key;
        self.on(move |connection| {
            let mut insert = connection.prepare_cached("insert into bare values (?, ?, ?, ?)")?;
            insert.execute(params![key, version, now() + LIFE, data])
        })
        .await?;
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        let key = *key;
        self.on(move |connection| {
            let sql = "select version, data from bare where key = ? and expires_at > ?";
            let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
            connection.prepare_cached(sql)?.query_row(params![key, now()], row).optional()
        })
        .await
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        let key = *key;
        self.on(move |connection| {
            let sql = "update bare set version = ?, expires_at = ?, data = ? where key = ? and version = ? and expires_at > ?";
            let saved = connection.prepare_cached(sql)?.execute(params![version, now() + LIFE, data, key, expected, now()])?;
            Ok(saved == 1)
        })
        .await
    }

    async fn touch(&self, key: &Key, expected: i64) -> Result<bool> {
        let key = *key;
        self.on(move |connection| {
            let sql =
                "update bare set expires_at = max(expires_at, ?) where key = ? and version = ? and expires_at > ?";
            Ok(connection.prepare_cached(sql)?.execute(params![now() + LIFE, key, expected, now()])? == 1)
        })
        .await
    }
}
