//! Conformance harness for a cluster, shared by the targets for Redis and Valkey.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::server::{Server, Start};
use session_conformance::{Harness, Subject};
use session_core::{Error, ErrorKind, Principal, Result, Store, StoreKey, async_trait};
use session_store_redis::redis::{self, RedisError, RedisResult};
use session_store_redis::{RedisStore, RedisStoreBuilder};
use tokio::sync::OnceCell;

use super::nodes::Nodes;

const TIME_OUT: Duration = Duration::from_secs(2);

/// The cluster under test, kept while the suite runs.
pub(crate) struct Cluster {
    /// Name in the table of all stores.
    name: &'static str,
    start: Start,
    server: OnceCell<Server>,
}

impl Cluster {
    pub(crate) const fn on(name: &'static str, start: Start) -> Self {
        Self { name, start, server: OnceCell::const_new() }
    }

    async fn server(&self) -> Result<&Server> {
        self.server.get_or_try_init(|| (self.start)()).await
    }

    async fn nodes(&self) -> Result<Nodes> {
        Nodes::of(self.server().await?).await.map_err(other)
    }

    async fn builder(&self, namespace: &str) -> Result<RedisStoreBuilder> {
        Ok(RedisStore::builder(self.server().await?.url())?.namespace(namespace).timeout(TIME_OUT))
    }
}

fn other(error: RedisError) -> Error {
    Error::fixed(ErrorKind::Unavailable, "the cluster under test").with_source(&error)
}

#[async_trait]
impl Harness for Cluster {
    async fn subject(&self) -> Result<Subject> {
        let mut nodes = self.nodes().await?;
        let info: String =
            redis::cmd("INFO").arg("server").query_async(&mut nodes.0[0].connection).await.map_err(other)?;
        let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (name, version) = match (field("valkey_version:"), field("redis_version:")) {
            (Some(version), _) => ("Valkey", version),
            (None, version) => ("Redis", version.unwrap_or("of unknown version")),
        };
        let named = format!("{name} {version}, {} masters", nodes.0.len());
        let mut subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(named).time_out(TIME_OUT);
        // The announced addresses, because without a mapping the store would bypass a proxy and connect to them.
        let mut addresses = nodes.0.iter().map(|node| &node.address);
        subject = addresses.next().into_iter().fold(subject, Subject::address);
        subject = addresses.fold(subject, Subject::node);
        let secret = Some(self.server().await?.password()).filter(|password| !password.is_empty());
        Ok(secret.into_iter().fold(subject, Subject::secret))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(self.builder(namespace).await?.open().await?))
    }

    async fn open_through_all(&self, proxies: &[(String, SocketAddr)], namespace: &str) -> Result<Arc<dyn Store>> {
        let builder = self.builder(namespace).await?;
        let through = |builder: RedisStoreBuilder, (node, proxy): &(String, SocketAddr)| {
            builder.node_at(node, &proxy.to_string())
        };
        Ok(Arc::new(proxies.iter().fold(builder, through).open().await?))
    }

    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        let mut plant = redis::cmd("ZADD");
        plant.arg(format!("{namespace}:p:{}", principal.as_str())).arg(253_402_300_799_999_i64);
        self.nodes().await?.ask::<()>(plant.arg(&key.as_bytes()[..])).await.map_err(other)?;
        Ok(true)
    }

    async fn clean(&self, namespace: &str) {
        if let Ok(mut nodes) = self.nodes().await {
            // An error is ignored, because the server is about to be stopped.
            let _ = clean(&mut nodes, &format!("{namespace}:")).await;
        }
    }
}

/// Removes all keys with a prefix.
async fn clean(nodes: &mut Nodes, prefix: &str) -> RedisResult<()> {
    for node in &mut nodes.0 {
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{prefix}*")).arg("COUNT").arg(1000);
            let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut node.connection).await?;
            // One command for each key, because the keys are in different slots.
            let mut all = redis::Pipeline::with_capacity(keys.len());
            for key in &keys {
                all.cmd("UNLINK").arg(key).ignore();
            }
            if !keys.is_empty() {
                all.exec_async(&mut node.connection).await?;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
    }
    Ok(())
}
