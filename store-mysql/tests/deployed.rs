//! Conformance suite over the store as it is deployed: by an IPv6 address, behind a TCP proxy, and as an account with the least rights.
//! `cargo test -p session-store-mysql --test deployed -- --list` names the clauses that a normal run checks.

mod common;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use common::{ACCOUNT, Kind, Server, Suite, TIME_OUT, grant_least_rights, open};
use session_conformance::variant::{IPV6, LEAST_RIGHTS, TCP_PROXY};
use session_conformance::{ByIpv6, Harness, Subject, run_variants, server};
use session_core::{Result, Store, async_trait};
use session_store_mysql::MysqlStore;
use tokio::sync::{Mutex, OnceCell};

/// Test subject behind a TCP proxy.
#[derive(Default)]
struct BehindProxy(OnceCell<Proxied>);

struct Proxied {
    // Dropped first.
    proxy: server::Server,
    server: Server,
}

impl BehindProxy {
    async fn servers(&self) -> Result<&Proxied> {
        self.0
            .get_or_try_init(async || {
                let server = Server::shared(Kind::Mysql)?;
                Ok(Proxied { proxy: server::haproxy(&server).await?, server })
            })
            .await
    }
}

#[async_trait]
impl Harness for BehindProxy {
    async fn subject(&self) -> Result<Subject> {
        let Proxied { proxy, server } = self.servers().await?;
        let version = format!("HAProxy, {}", server.version().await);
        let subject = Subject::new("mysql-haproxy", env!("CARGO_PKG_VERSION")).server(version);
        Ok(subject.address(proxy.address()).secret(proxy.password()).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(self.servers().await?.proxy.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        open(&self.servers().await?.proxy.url_through(proxy), namespace).await
    }

    async fn clean(&self, namespace: &str) {
        if let Ok(servers) = self.servers().await {
            servers.server.clean(namespace).await;
        }
    }
}

/// Test subject as an account that may do no more than the README grants.
struct WithLeastRights {
    name: &'static str,
    kind: Kind,
    server: OnceCell<Server>,
    /// Namespaces whose tables the account may use.
    granted: Mutex<HashSet<String>>,
}

impl WithLeastRights {
    fn on(name: &'static str, kind: Kind) -> Arc<Self> {
        Arc::new(Self { name, kind, server: OnceCell::new(), granted: Mutex::default() })
    }

    async fn server(&self) -> Result<&Server> {
        self.server.get_or_try_init(async || Server::shared(self.kind)).await
    }

    async fn open(&self, url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
        if MysqlStore::schema(namespace).is_ok() {
            let mut granted = self.granted.lock().await;
            if granted.insert(namespace.to_owned()) {
                grant_least_rights(self.server().await?, namespace).await;
            }
        }
        open(&format!("{}&create=false", url.replace("//conformance:", &format!("//{ACCOUNT}:"))), namespace).await
    }
}

#[async_trait]
impl Harness for WithLeastRights {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(server.version().await);
        Ok(subject.address(server.address()).secret(server.password()).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open(self.server().await?.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open(&self.server().await?.url_through(proxy), namespace).await
    }

    async fn clean(&self, namespace: &str) {
        if let Ok(server) = self.server().await {
            server.clean(namespace).await;
            self.granted.lock().await.remove(namespace);
        }
    }
}

fn main() -> ExitCode {
    run_variants(vec![
        ("ipv6", &IPV6, Arc::new(ByIpv6::new("mysql-ipv6", Suite::on("mysql", Kind::Mysql)))),
        ("haproxy", &TCP_PROXY, Arc::new(BehindProxy::default())),
        ("least", &LEAST_RIGHTS, WithLeastRights::on("mysql-least-rights", Kind::Mysql)),
        ("mariadb-least", &LEAST_RIGHTS, WithLeastRights::on("mariadb-least-rights", Kind::Mariadb)),
    ])
}
