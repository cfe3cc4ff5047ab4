//! Opens a peer's store by name and URL, and fills it.

use std::sync::Arc;

use anyhow::{Context, Result, bail};
use peers::{MokaStore, mongo, mysql, postgres, redis, sqlite};
use tower_sessions::MemoryStore;
use work::Subject;

use crate::subjects::{core_0_11, core_0_14};

pub(crate) async fn open(name: &str, url: &str, size: usize) -> Result<Arc<dyn Subject>> {
    macro_rules! filled {
        ($store:expr) => {
            Arc::new(core_0_14::Peer::filled($store, size).await?)
        };
    }
    let (_, kind) = name.split_once('/').context("a subject is called PROJECT/STORE")?;
    Ok(match kind {
        "memory" => filled!(MemoryStore::default()),
        "moka" => filled!(MokaStore::new(None)),
        "sqlite" => filled!(sqlite(url).await?),
        "postgres" => filled!(postgres(url, None).await?),
        "mysql" | "mariadb" => filled!(mysql(url, None).await?),
        "redis" | "valkey" => filled!(redis(url, None).await?),
        "mongo" => Arc::new(core_0_11::Peer::filled(mongo(url, None).await?, size).await?),
        _ => bail!("no peer has a store called {kind}"),
    })
}
