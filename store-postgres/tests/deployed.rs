//! Conformance suite over the store as it is deployed: by an IPv6 address, and as a role with the least rights. `cargo test
//! -p session-store-postgres --test deployed -- --list` names the clauses that a normal run checks.

mod common;

use std::collections::HashSet;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;

use common::{ROLE, Server, Suite, TIME_OUT, grant_least_rights, open};
use session_conformance::variant::{IPV6, LEAST_RIGHTS};
use session_conformance::{ByIpv6, Harness, Subject, run_variants};
use session_core::{Result, Store, async_trait};
use session_store_postgres::PostgresStore;
use tokio::sync::{Mutex, OnceCell};

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
        ("ipv6", &IPV6, Arc::new(ByIpv6::new("postgres-ipv6", Suite::default()))),
        ("least", &LEAST_RIGHTS, Arc::new(WithLeastRights::default())),
    ])
}
