//! Three servers, and what an operator does to them.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions};
use serde_json::Value;
use session_conformance::server::{self, Shared};
use tokio::time::{Instant, sleep, timeout};

/// Longest time for which a change of the cluster is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest time for an answer of a server, which may be stopped.
const ANSWER: Duration = Duration::from_secs(1);

/// Number of servers.
pub(crate) const SERVERS: usize = 3;

/// The servers. One is named by its position in the addresses.
pub(crate) struct Servers(Arc<server::Server>);

impl Deref for Servers {
    type Target = server::Server;

    fn deref(&self) -> &server::Server {
        &self.0
    }
}

impl Servers {
    /// Returns the servers that the tests of this program share.
    pub(crate) fn get() -> session_core::Result<Self> {
        static SERVERS: Shared = Shared::new(|| Box::pin(server::nats_cluster()));
        SERVERS.get().map(Self)
    }

    /// Asks a server about the bucket. `None` if no leader answers there.
    async fn info(&self, server: usize) -> Option<Value> {
        let asking = async {
            let options = ConnectOptions::with_user_and_password("conformance".into(), self.password().into());
            let options = options.request_timeout(Some(ANSWER)).ignore_discovered_servers();
            let client: Client = options.connect(&self.addresses()[server]).await.ok()?;
            let reply = client.request("$JS.API.STREAM.INFO.KV_sessions", "".into()).await.ok()?;
            serde_json::from_slice(&reply.payload).ok()
        };
        timeout(2 * ANSWER, asking).await.ok()?
    }

    /// Asks a server about the bucket until `answer` finds what it looks for.
    pub(crate) async fn until<T>(&self, server: usize, answer: impl Fn(&Value) -> Option<T>) -> T {
        let begun = Instant::now();
        let mut seen = None;
        loop {
            if let Some(found) = seen.as_ref().and_then(&answer) {
                return found;
            }
            assert!(begun.elapsed() < PATIENCE, "server {server} says of the bucket: {seen:?}");
            // sleep: the server is asked, because it sends no notification.
            sleep(Duration::from_millis(50)).await;
            seen = self.info(server).await;
        }
    }

    /// Returns the leader of the bucket, as this server knows it.
    pub(crate) async fn leader(&self, asked: usize) -> usize {
        self.until(asked, |info| {
            let name = info["cluster"]["leader"].as_str()?;
            Some(name.strip_prefix("server-")?.parse::<usize>().ok()? - 1)
        })
        .await
    }

    /// Waits until all servers have all of the bucket.
    pub(crate) async fn whole(&self) {
        for server in 0..SERVERS {
            self.until(server, |info| {
                let others = info["cluster"]["replicas"].as_array()?;
                let is_current = |other: &Value| other["current"] == true && other["offline"] != true;
                (others.len() == SERVERS - 1 && others.iter().all(is_current)).then_some(())
            })
            .await;
        }
    }

    /// Sends a signal to the process of a server.
    pub(crate) async fn signal(&self, server: usize, signal: &str) {
        self.shell(&format!("kill -{signal} $(cat /tmp/sessions/{}.pid)", self.port(server))).await;
    }

    /// Starts a server again.
    pub(crate) async fn start_again(&self, server: usize) {
        let port = self.port(server);
        self.shell(&format!("nohup sh /tmp/sessions/start {port} > /tmp/sessions/{port}.log 2>&1 &")).await;
    }

    async fn shell(&self, command: &str) {
        self.run(&["sh", "-c", command]).await.unwrap_or_else(|error| panic!("{command}: {error}"));
    }

    fn port(&self, server: usize) -> &str {
        self.addresses()[server].rsplit_once(':').expect("a port").1
    }
}
