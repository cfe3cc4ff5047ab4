//! Conformance harness for a single server, shared by the targets for Redis and Valkey.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::server::{Server, Start};
use session_conformance::{Harness, Subject};
use session_core::{Error, ErrorKind, Principal, Result, Store, StoreKey, async_trait};
use session_store_redis::RedisStore;
use session_store_redis::redis::{self, Client, RedisError, aio::MultiplexedConnection};
use tokio::sync::OnceCell;

const TIME_OUT: Duration = Duration::from_secs(2);

/// The server under test, kept while the suite runs.
pub(crate) struct Redis {
    /// Name in the table of all stores.
    name: &'static str,
    start: Start,
    server: OnceCell<Server>,
}

impl Redis {
    pub(crate) const fn on(name: &'static str, start: Start) -> Self {
        Self { name, start, server: OnceCell::const_new() }
    }

    async fn server(&self) -> Result<&Server> {
        self.server.get_or_try_init(|| (self.start)()).await
    }

    async fn raw(&self) -> Result<MultiplexedConnection> {
        let client = Client::open(self.server().await?.url()).map_err(other)?;
        client.get_multiplexed_async_connection().await.map_err(other)
    }
}

fn other(error: RedisError) -> Error {
    Error::fixed(ErrorKind::Unavailable, "the server under test").with_source(&error)
}

async fn open(url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(RedisStore::builder(url)?.namespace(namespace).timeout(TIME_OUT).open().await?))
}

#[async_trait]
impl Harness for Redis {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.raw().await?).await.map_err(other)?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let named = match (field("valkey_version:"), field("redis_version:")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, version) => format!("Redis {}", version.unwrap_or("of unknown version")),
        };
        let subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(named).time_out(TIME_OUT);
        let secret = Some(server.password()).filter(|password| !password.is_empty());
        let subject = subject.address(server.address());
        Ok(secret.into_iter().fold(subject, Subject::secret))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(self.server().await?.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        open(&self.server().await?.url_through(proxy), namespace).await
    }

    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        let mut plant = redis::cmd("ZADD");
        plant.arg(format!("{namespace}:p:{}", principal.as_str())).arg(253_402_300_799_999_i64);
        plant.arg(&key.as_bytes()[..]).exec_async(&mut self.raw().await?).await.map_err(other)?;
        Ok(true)
    }

    async fn clean(&self, namespace: &str) {
        let Ok(mut server) = self.raw().await else { return };
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{namespace}:*")).arg("COUNT").arg(1000);
            let Ok((next, keys)) = scan.query_async::<(u64, Vec<Vec<u8>>)>(&mut server).await else { return };
            if !keys.is_empty() && redis::cmd("UNLINK").arg(keys).exec_async(&mut server).await.is_err() {
                return;
            }
            cursor = next;
            if cursor == 0 {
                return;
            }
        }
    }
}
