//! Three nodes of a Galera cluster, what an operator does to them, and the suite over stores on different nodes.

use std::net::SocketAddr;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use session_conformance::server::{self, Shared};
use session_conformance::{Harness, Subject};
use session_core::{Namespace, Result, Store, async_trait};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, MySqlConnection, Row as _};
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

use super::{TIME_OUT, open};

/// Longest time for which a change of the cluster is awaited.
const PATIENCE: Duration = Duration::from_secs(60);

/// Number of nodes.
pub(crate) const NODES: usize = 3;

/// The nodes. A node is named by its position in the addresses.
pub(crate) struct Cluster(Arc<server::Server>);

impl Deref for Cluster {
    type Target = server::Server;

    fn deref(&self) -> &server::Server {
        &self.0
    }
}

impl Cluster {
    /// Returns the nodes that the tests of one program share. They may still be joining each other.
    pub(crate) fn get() -> Result<Self> {
        static SERVERS: Shared = Shared::new(|| Box::pin(server::mariadb_galera()));
        SERVERS.get().map(Self)
    }

    /// Returns the URL of one node.
    pub(crate) fn only(&self, node: usize, options: &str) -> String {
        server::with(&self.url_of(node), options)
    }

    /// Returns the URL of all nodes, which begins with one of them.
    pub(crate) fn from(&self, node: usize, options: &str) -> String {
        let hosts: Vec<_> = (0..NODES).map(|n| self.addresses()[(node + n) % NODES].as_str()).collect();
        self.only(node, options).replace(hosts[0], &hosts.join(","))
    }

    /// Opens a connection of `root` to a node.
    pub(crate) async fn root(&self, node: usize) -> sqlx::Result<MySqlConnection> {
        MySqlConnection::connect(&self.url_of(node).replace("//conformance:", "//root:")).await
    }

    /// Runs statements on a node as `root`.
    pub(crate) async fn as_root(&self, node: usize, sql: &str) {
        let mut root = self.root(node).await.expect("a connection");
        let done = root.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await;
        done.unwrap_or_else(|error| panic!("a statement of the test: {error}"));
    }

    /// Returns a status of a node. A node that is starting has none.
    pub(crate) async fn status(&self, node: usize, name: &str) -> Option<String> {
        let mut root = self.root(node).await.ok()?;
        let query = format!("show global status where variable_name = '{name}'");
        root.fetch_optional(AssertSqlSafe(query)).await.ok()??.try_get_unchecked(1).ok()
    }

    /// Waits until a node has this value of a status.
    pub(crate) async fn until(&self, node: usize, name: &str, value: &str) {
        let begun = Instant::now();
        let mut seen = None;
        while seen.as_deref() != Some(value) {
            assert!(begun.elapsed() < PATIENCE, "{name} of node {node} is {seen:?} and not {value}");
            // sleep: the node is asked, because it sends no notification.
            sleep(Duration::from_millis(50)).await;
            seen = self.status(node, name).await;
        }
    }

    /// Waits until all nodes take part.
    pub(crate) async fn whole(&self) {
        for node in 0..NODES {
            self.until(node, "wsrep_cluster_size", "3").await;
            self.until(node, "wsrep_local_state_comment", "Synced").await;
        }
    }

    /// Sends a signal to the process of a node.
    pub(crate) async fn signal(&self, node: usize, signal: &str) {
        let port = self.port(node);
        self.shell(&format!("kill -{signal} $(cat /tmp/galera/{port}.pid)")).await;
    }

    /// Starts a node again. Without its data it gets a copy of another node's.
    pub(crate) async fn start_again(&self, node: usize, with_data: bool) {
        let port = self.port(node);
        let remove = if with_data { String::new() } else { format!("rm -r {port}; ") };
        self.shell(&format!("cd /tmp/galera; {remove}nohup sh start {port} > {port}.log 2>&1 &")).await;
    }

    /// Waits until the process of a node has ended.
    pub(crate) async fn ended(&self, node: usize) {
        let port = self.port(node);
        self.shell(&format!("while [ -e /tmp/galera/{port}.pid ]; do sleep 0.1; done")).await;
    }

    /// Cuts a node off from the others, or connects it again. It still takes clients.
    pub(crate) async fn isolate(&self, node: usize, isolated: bool) {
        let isolated = u8::from(isolated);
        self.as_root(node, &format!("set global wsrep_provider_options = 'gmcast.isolate={isolated}'")).await;
    }

    async fn shell(&self, command: &str) {
        // The nodes do not run as root, so their owner sends them signals.
        self.run(&["sh", "-c", command]).await.unwrap_or_else(|error| panic!("{command}: {error}"));
    }

    fn port(&self, node: usize) -> &str {
        self.addresses()[node].rsplit_once(':').expect("a port").1
    }
}

/// Test subject whose instances are on different nodes.
#[derive(Default)]
pub(crate) struct OnNodes {
    cluster: OnceCell<Cluster>,
    opened: AtomicUsize,
}

impl OnNodes {
    async fn cluster(&self) -> Result<&Cluster> {
        let start = async || {
            let cluster = Cluster::get()?;
            cluster.whole().await;
            Ok(cluster)
        };
        self.cluster.get_or_try_init(start).await
    }

    /// Returns the node of the next instance.
    fn next(&self) -> usize {
        self.opened.fetch_add(1, Ordering::Relaxed) % NODES
    }
}

#[async_trait]
impl Harness for OnNodes {
    async fn subject(&self) -> Result<Subject> {
        let cluster = self.cluster().await?;
        let version = cluster.root(0).await.expect("a connection").fetch_one("select version()").await;
        let version: String = version.expect("a version").get(0);
        let number = version.split('-').next().unwrap_or_default();
        let subject = Subject::new("mariadb-galera", env!("CARGO_PKG_VERSION"));
        let subject = subject.server(format!("MariaDB {number} with Galera, {NODES} nodes")).time_out(TIME_OUT);
        let [first, others @ ..] = cluster.addresses() else { unreachable!("there are nodes") };
        let subject = subject.address(first).secret(cluster.password());
        Ok(others.iter().fold(subject, Subject::node))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(&self.cluster().await?.url_of(self.next()), namespace).await
    }

    async fn open_through_all(&self, proxies: &[(String, SocketAddr)], namespace: &str) -> Result<Arc<dyn Store>> {
        let mut url = self.cluster().await?.from(self.next(), "");
        for (node, proxy) in proxies {
            url = url.replace(node, &proxy.to_string());
        }
        open(&url, namespace).await
    }

    async fn clean(&self, namespace: &str) {
        if let (Ok(cluster), Ok(_)) = (self.cluster().await, Namespace::new(namespace)) {
            let sql = format!(
                "drop table if exists conformance.`{namespace}`; \
                 delete from conformance.`session.layouts` where namespace = '{namespace}'"
            );
            cluster.as_root(0, &sql).await;
        }
    }
}
