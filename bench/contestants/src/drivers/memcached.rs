//! Connections that each serve one call at a time, which is all that the driver can do. The version is the number that the server
//! compares. This project's store cannot use it so, because older servers choose that number themselves.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use async_memcached::{AsciiProtocol, Client, Error, MetaProtocol, MetaValue, Status};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::now;
use crate::cas::{Cas, Key, LIFE};

/// Number of connections, as in this project's store.
const CONNECTIONS: usize = 4;

pub(crate) struct Driver {
    free: Mutex<Vec<Client>>,
    waiting: Semaphore,
}

impl Driver {
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let (login, rest) =
            url.strip_prefix("memcached://").and_then(|rest| rest.split_once('@')).context("a login")?;
        let (address, login) = (rest.split('/').next().unwrap_or(rest), login.replacen(':', " ", 1));
        let mut free = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut client = Client::new(format!("tcp://{address}")).await?;
            // Sent as a value, user and password are the login.
            client.set("login", &*login, None, None).await?;
            free.push(client);
        }
        Ok(Self { free: Mutex::new(free), waiting: Semaphore::new(CONNECTIONS) })
    }

    /// Waits for a free connection, which its caller gives back.
    async fn take(&self) -> Result<(SemaphorePermit<'_>, Client)> {
        let turn = self.waiting.acquire().await?;
        let client = self.free().pop().context("as many connections as turns")?;
        Ok((turn, client))
    }

    fn free(&self) -> MutexGuard<'_, Vec<Client>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stores a value under this condition. Returns whether it was stored.
    async fn set(&self, key: &Key, version: i64, data: Vec<u8>, condition: &str) -> Result<bool> {
        let flags = [format!("T{}", expiry()), format!("E{version}")];
        let (_turn, mut client) = self.take().await?;
        let flags = [&*flags[0], &*flags[1], condition];
        let answer = client.meta_set(name(key), &data[..], false, None, Some(&flags)).await;
        self.free().push(client);
        match answer {
            Ok(_) => Ok(true),
            Err(Error::Protocol(Status::Exists | Status::NotStored | Status::NotFound)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Reads a value, or what these flags ask for.
    async fn get(&self, key: &Key, flags: &[&str]) -> Result<Option<MetaValue>> {
        let (_turn, mut client) = self.take().await?;
        let answer = client.meta_get(name(key), false, None, Some(flags)).await;
        self.free().push(client);
        Ok(answer?)
    }
}

/// Returns the second in which a session expires.
fn expiry() -> i64 {
    (now() + LIFE) / 1000 + 1
}

/// Returns a name without white space.
fn name(key: &Key) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    "bare:".chars().chain(key.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])).collect()
}

impl Cas for Driver {
    type Data = Vec<u8>;

    async fn create(&self, key: &Key, version: i64, data: Vec<u8>) -> Result<()> {
        ensure!(self.set(key, version, data, "ME").await?, "a fresh key was taken");
        Ok(())
    }

    async fn load(&self, key: &Key) -> Result<Option<(i64, Vec<u8>)>> {
        let Some(found) = self.get(key, &["v", "c"]).await? else { return Ok(None) };
        Ok(Some((found.cas.context("no number")?.try_into()?, found.data.context("no value")?)))
    }

    async fn save(&self, key: &Key, expected: i64, version: i64, data: Vec<u8>) -> Result<bool> {
        self.set(key, version, data, &format!("C{expected}")).await
    }

    /// Uses the server's own command, which compares no version.
    async fn touch(&self, key: &Key, _: i64) -> Result<bool> {
        Ok(self.get(key, &[&format!("T{}", expiry())]).await?.is_some())
    }
}
