//! Conformance suite over the store as it is deployed: by an IPv6 address, and as a role with the least rights. `cargo test
//! -p session-store-postgres --test deployed -- --list` names the clauses that a normal run checks.

mod common;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::{ROLE, Server, grant_least_rights};
use session_conformance::variant::{IPV6, LEAST_RIGHTS};
use session_conformance::{Harness, Subject, peers, run_variants, server};
use session_core::{Error, ErrorKind, Result, Store, async_trait};
use session_store_postgres::PostgresStore;
use tokio::sync::{Mutex, OnceCell};

const TIME_OUT: Duration = Duration::from_secs(5);

async fn open(url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
    let url = server::with(url, &server::options(namespace, TIME_OUT));
    Ok(Arc::new(PostgresStore::connect(&url).await?))
}

async fn on_ipv6(server: &str) -> Result<SocketAddr> {
    let no_address = |error: &_| Error::fixed(ErrorKind::Unsupported, "no IPv6 address").with_source(error);
    peers::on_ipv6(server).await.map_err(|error| no_address(&error))
}

/// Test subject by an IPv6 address.
#[derive(Default)]
struct ByIpv6(OnceCell<(Server, SocketAddr)>);

impl ByIpv6 {
    async fn reached(&self) -> Result<&(Server, SocketAddr)> {
        self.0
            .get_or_try_init(async || {
                let server = Server::start()?;
                let address = on_ipv6(server.address()).await?;
                Ok((server, address))
            })
            .await
    }
}

#[async_trait]
impl Harness for ByIpv6 {
    async fn subject(&self) -> Result<Subject> {
        let (server, address) = self.reached().await?;
        let subject = Subject::new("postgres-ipv6", env!("CARGO_PKG_VERSION")).server(server.version().await);
        Ok(subject.address(address.to_string()).secret(server.password()).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        let (server, address) = self.reached().await?;
        open(&server.url_through(*address), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        let (server, _) = self.reached().await?;
        open(&server.url_through(on_ipv6(&proxy.to_string()).await?), namespace).await
    }

    async fn clean(&self, namespace: &str) {
        if let Ok((server, _)) = self.reached().await {
            server.clean(namespace).await;
        }
    }
}

/// Test subject as a role that may do no more than the README grants.
#[derive(Default)]
struct WithLeastRights {
    server: OnceCell<Server>,
    /// Namespaces whose tables the role may use.
    granted: Mutex<HashSet<String>>,
}

impl WithLeastRights {
    async fn server(&self) -> Result<&Server> {
        self.server.get_or_try_init(async || Server::start()).await
    }

    async fn open(&self, url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
        if PostgresStore::schema(namespace).is_ok() {
            let mut granted = self.granted.lock().await;
            if granted.insert(namespace.to_owned()) {
                grant_least_rights(self.server().await?, namespace).await;
            }
        }
        open(&format!("{}&create=false", url.replace("//conformance:", &format!("//{ROLE}:"))), namespace).await
    }
}

#[async_trait]
impl Harness for WithLeastRights {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let subject = Subject::new("postgres-least-rights", env!("CARGO_PKG_VERSION")).server(server.version().await);
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
        ("ipv6", &IPV6, Arc::new(ByIpv6::default())),
        ("least", &LEAST_RIGHTS, Arc::new(WithLeastRights::default())),
    ])
}
