//! What the suite needs to know of a Redis server, shared by the targets for Redis and for Valkey.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use conformance::{Harness, Subject};
use session_core::{Error, ErrorKind, Principal, Result, Store, StoreKey, async_trait};
use store_redis::redis::{self, Client, ConnectionAddr, aio::MultiplexedConnection};
use store_redis::{RedisStore, RedisStoreBuilder};

const TIME_OUT: Duration = Duration::from_secs(2);

/// The server at the URL in this variable.
pub(crate) struct Server(&'static str);

impl Server {
    pub(crate) fn new(variable: &'static str) -> Self {
        Self(variable)
    }

    fn url(&self) -> Result<String> {
        let missing = |_| Error::new(ErrorKind::Config, format!("{} names no server to test against", self.0));
        std::env::var(self.0).map_err(missing)
    }

    fn client(&self) -> Result<Client> {
        Client::open(self.url()?).map_err(other)
    }

    async fn raw(&self) -> Result<MultiplexedConnection> {
        self.client()?.get_multiplexed_async_connection().await.map_err(other)
    }
}

fn other(error: redis::RedisError) -> Error {
    Error::fixed(ErrorKind::Unavailable, "the server under test").with_source(&error)
}

async fn open(builder: RedisStoreBuilder, namespace: &str) -> Result<Arc<dyn Store>> {
    Ok(Arc::new(builder.namespace(namespace).timeout(TIME_OUT).open().await?))
}

#[async_trait]
impl Harness for Server {
    async fn subject(&self) -> Result<Subject> {
        let info: String = redis::cmd("INFO").arg("server").query_async(&mut self.raw().await?).await.map_err(other)?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name));
        let server = match (field("valkey_version:"), field("redis_version:")) {
            (Some(version), _) => format!("Valkey {version}"),
            (None, version) => format!("Redis {}", version.unwrap_or("of unknown version")),
        };
        let client = self.client()?;
        let info = client.get_connection_info();
        let mut subject = Subject::new("store-redis", env!("CARGO_PKG_VERSION")).server(server).time_out(TIME_OUT);
        if let ConnectionAddr::Tcp(host, port) = info.addr() {
            subject = subject.address(format!("{host}:{port}"));
        }
        if let Some(password) = info.redis_settings().password() {
            subject = subject.secret(password);
        }
        Ok(subject)
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(RedisStore::builder(&self.url()?)?, namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        let info = self.client()?.get_connection_info().clone();
        let there = ConnectionAddr::Tcp(proxy.ip().to_string(), proxy.port());
        let client = Client::open(info.set_addr(there)).map_err(other)?;
        open(RedisStore::from_client(client), namespace).await
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
