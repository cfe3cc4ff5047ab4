//! This project's stores as a subject, whose first session is used through the manager, as in an application.

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use session_core::{Commit, Manager, Session};
use work::{Payload, Subject};

use crate::cas::Filled;
use crate::store::Ours;

/// Sessions of one store. All but the first are loaded and saved as bare records, as the bare drivers do.
///
/// The first session is the one that all tasks write at once when contention is measured. It is used through [`Manager`],
/// because in every application that handles conflicts.
pub(crate) struct OurSessions {
    records: Filled<Ours>,
    manager: Manager,
    cookie: String,
}

impl OurSessions {
    pub(crate) async fn open(url: &str, size: usize) -> Result<Self> {
        let store = session_store_any::connect(url).await?;
        let manager = Manager::new(store.clone());
        let session = manager.open(None).await?;
        let payload = Payload::of_size(size);
        session.insert("count", &payload.count)?;
        session.insert("filler", &payload.filler)?;
        let Commit::Issue(ticket) = manager.close(&session).await? else { bail!("a new session has no cookie") };
        let cookie = ticket.value.as_str().to_owned();
        Ok(Self { records: Filled::new(Ours::new(store), size).await?, manager, cookie })
    }

    async fn first(&self) -> Result<Session> {
        Ok(self.manager.open(Some(&self.cookie)).await?)
    }
}

#[async_trait]
impl Subject for OurSessions {
    async fn create(&self) -> Result<()> {
        self.records.create().await
    }

    async fn load(&self, n: u64) -> Result<u64> {
        match n {
            0 => self.first().await?.get("count")?.context("a session lost its count"),
            _ => self.records.load(n).await,
        }
    }

    async fn add(&self, n: u64) -> Result<()> {
        if n > 0 {
            return self.records.add(n).await;
        }
        let session = self.first().await?;
        session.update("count", |count: &mut u64| *count += 1)?;
        Ok(self.manager.close(&session).await.map(drop)?)
    }

    async fn touch(&self, n: u64) -> Result<()> {
        match n {
            0 => Ok(self.first().await?.touch().await?),
            _ => self.records.touch(n).await,
        }
    }
}
