//! Conformance suite over the store behind PgBouncer. `cargo test -p session-store-postgres --test pgbouncer -- --list` names the
//! clauses that a normal run checks.

mod common;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::Pooled;
use session_conformance::variant::{SESSION_POOLER, SILENT_POOLER, TRANSACTION_POOLER};
use session_conformance::{Harness, Subject, run_variants, server};
use session_core::{Result, Store, async_trait};
use session_store_postgres::PostgresStore;
use tokio::sync::OnceCell;

const TIME_OUT: Duration = Duration::from_secs(5);

/// Test subject behind one of the PgBouncers.
struct Bounced {
    name: &'static str,
    /// Position of its PgBouncer.
    node: usize,
    /// Options of the URL.
    options: &'static str,
    servers: Arc<OnceCell<Arc<Pooled>>>,
}

impl Bounced {
    async fn servers(&self) -> Result<&Pooled> {
        self.servers.get_or_try_init(async || Pooled::start().await.map(Arc::new)).await.map(|servers| &**servers)
    }

    async fn open(&self, url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
        let url = server::with(&server::with(url, &server::options(namespace, TIME_OUT)), self.options);
        Ok(Arc::new(PostgresStore::connect(&url).await?))
    }
}

#[async_trait]
impl Harness for Bounced {
    async fn subject(&self) -> Result<Subject> {
        let servers = self.servers().await?;
        let subject = Subject::new(self.name, env!("CARGO_PKG_VERSION")).server(servers.version().await);
        let address = &servers.pooler.addresses()[self.node];
        Ok(subject.address(address).secret(servers.pooler.password()).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open(&self.servers().await?.pooler.url_of(self.node), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        self.open(&self.servers().await?.pooler.url_through(proxy), namespace).await
    }

    async fn clean(&self, namespace: &str) {
        if let Ok(servers) = self.servers().await {
            servers.server.clean(namespace).await;
        }
    }
}

fn main() -> ExitCode {
    let servers = Arc::default();
    let subject = |name, node, options| -> Arc<dyn Harness> {
        Arc::new(Bounced { name, node, options, servers: Arc::clone(&servers) })
    };
    run_variants(vec![
        ("transaction", &TRANSACTION_POOLER, subject("pgbouncer", 0, "")),
        ("prepared", &SILENT_POOLER, subject("pgbouncer-prepared", 1, "")),
        ("session", &SESSION_POOLER, subject("pgbouncer-session", 2, "pooler=session")),
    ])
}
