//! This project's stores behind [`Cas`].

use std::sync::Arc;

use anyhow::{Result, ensure};
use session_core::{Bytes, Call, Clock, Outcome, Record, Store, StoreKey, SystemClock, Version, hours};

use crate::cas::{Cas, Key};

pub(crate) struct Ours(Arc<dyn Store>);

impl Ours {
    pub(crate) const fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }
}

fn now() -> Call {
    Call::new(SystemClock.now())
}

fn record(Call { now, .. }: &Call, version: i64, data: Vec<u8>) -> Result<Record> {
    Ok(Record::new(Version::from_i64(version)?, *now, now.plus(hours(24)), None, data.into()))
}

impl Cas for Ours {
    type Data = Bytes;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        let call = now();
        let created = self.0.create(&call, &StoreKey::from_bytes(*key), &record(&call, version, data)?).await?;
        ensure!(created == Outcome::Done, "a fresh key was taken");
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Bytes)>> {
        let loaded = self.0.load(&now(), &StoreKey::from_bytes(*key)).await?;
        Ok(loaded.map(|record| (record.version.as_i64(), record.data)))
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        let (call, key, expected) = (now(), StoreKey::from_bytes(*key), Version::from_i64(expected)?);
        let saved = self.0.save(&call, &key, expected, &record(&call, version, data)?).await?;
        ensure!(saved != Outcome::Missing, "a session went");
        Ok(saved == Outcome::Done)
    }

    async fn touch(&self, key: &Key, expected: i64) -> Result<bool> {
        let (call, key, expected) = (now(), StoreKey::from_bytes(*key), Version::from_i64(expected)?);
        let touched = self.0.touch(&call, &key, expected, call.now.plus(hours(24))).await?;
        ensure!(touched != Outcome::Missing, "a session went");
        Ok(touched == Outcome::Done)
    }
}
