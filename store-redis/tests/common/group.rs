//! Three sentinels, a master and two replicas, with direct connections that bypass the store.

use std::collections::HashMap;
use std::time::Duration;

use session_conformance::server::{Server, Start};
use session_store_redis::redis::{
    self, AsyncConnectionConfig, Client, FromRedisValue, RedisResult, aio::MultiplexedConnection,
};
use tokio::time::{sleep, timeout};

/// Longest time for which a change of the group is awaited.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Group {
    pub(crate) server: Server,
    sentinels: Vec<MultiplexedConnection>,
}

impl Group {
    pub(crate) async fn new(start: Start) -> Self {
        let server = start().await.unwrap();
        let mut sentinels = Vec::new();
        for address in server.addresses() {
            sentinels.push(connection(address, server.password()).await.unwrap());
        }
        Self { server, sentinels }
    }

    /// Sends a command, written with spaces, to a sentinel.
    pub(crate) async fn ask<T: FromRedisValue>(&self, sentinel: usize, command: &str) -> RedisResult<T> {
        let words: Vec<_> = command.split_ascii_whitespace().collect();
        redis::cmd(words[0]).arg(&words[1..]).query_async(&mut self.sentinels[sentinel].clone()).await
    }

    pub(crate) async fn failover(&self) {
        self.ask::<()>(0, "SENTINEL FAILOVER main").await.unwrap();
    }

    /// Returns the address of the master, as most of the sentinels name it.
    pub(crate) async fn master(&self) -> String {
        let mut named = Vec::new();
        for sentinel in 0..3 {
            let (host, port): (String, u16) =
                self.ask(sentinel, "SENTINEL GET-MASTER-ADDR-BY-NAME main").await.unwrap();
            named.push(format!("{host}:{port}"));
        }
        named.sort_unstable();
        named.swap_remove(1)
    }

    /// Returns a connection to one of the servers.
    pub(crate) async fn connection(&self, address: &str) -> MultiplexedConnection {
        connection(address, self.server.password()).await.unwrap()
    }

    /// Waits until most of the sentinels name another master than `before`.
    pub(crate) async fn other_than(&self, before: &str) {
        until(async || self.master().await != before, "the sentinels name no other master").await;
    }

    /// Waits until the master has two replicas, which have all its data, and all sentinels know it.
    pub(crate) async fn healthy(&self) {
        let is_healthy = async || {
            let Ok(mut master) = connection(&self.master().await, self.server.password()).await else { return false };
            let info: RedisResult<String> = redis::cmd("INFO").arg("replication").query_async(&mut master).await;
            let online = info.is_ok_and(|info| info.matches("state=online").count() == 2);
            let mut known = 0;
            for sentinel in 0..3 {
                let quorum: RedisResult<String> = self.ask(sentinel, "SENTINEL CKQUORUM main").await;
                let state: RedisResult<Vec<(String, String)>> = self.ask(sentinel, "SENTINEL MASTER main").await;
                let flags = state.ok().and_then(|state| state.into_iter().find(|(name, _)| name == "flags"));
                let up = flags.is_some_and(|(_, flags)| flags == "master");
                // A replica whose link was down when the sentinel asked last is not chosen.
                let replicas: RedisResult<Vec<HashMap<String, String>>> =
                    self.ask(sentinel, "SENTINEL REPLICAS main").await;
                let linked = replicas.unwrap_or_default().into_iter();
                let linked =
                    linked.filter(|replica| replica["flags"] == "slave" && replica["master-link-status"] == "ok");
                known += usize::from(quorum.is_ok() && up && linked.count() == 2);
            }
            online && known == 3
        };
        until(is_healthy, "the group does not become whole again").await;
    }

    /// Sends a signal to the server at an address.
    pub(crate) async fn signal(&self, signal: &str, address: &str) {
        let port = port(address);
        self.server.run(&["sh", "-c", &format!("kill -{signal} $(cat {port}.pid)")]).await.unwrap();
    }

    /// Starts the server at an address again.
    pub(crate) async fn start(&self, address: &str) {
        let port = port(address);
        let program = if self.server.name().starts_with("valkey") { "valkey-server" } else { "redis-server" };
        self.server.run(&["sh", "-c", &format!("{program} {port}.conf --daemonize yes")]).await.unwrap();
    }
}

fn port(address: &str) -> &str {
    address.rsplit_once(':').expect("a port").1
}

async fn connection(address: &str, password: &str) -> RedisResult<MultiplexedConnection> {
    let client = Client::open(format!("redis://:{password}@{address}/?protocol=resp3"))?;
    // `WAIT` may take longer than the driver's usual time-out.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let connecting = client.get_multiplexed_async_connection_with_config(&config);
    timeout(Duration::from_secs(2), connecting).await.unwrap_or_else(|_| Err(std::io::Error::other("silent").into()))
}

/// Waits until `holds` does.
pub(crate) async fn until(mut holds: impl AsyncFnMut() -> bool, otherwise: &str) {
    let holding = async {
        while !holds().await {
            // sleep: the servers are asked, because they send no notification.
            sleep(Duration::from_millis(20)).await;
        }
    };
    if timeout(PATIENCE, holding).await.is_err() {
        panic!("{otherwise}");
    }
}
