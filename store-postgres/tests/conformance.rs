//! Conformance suite over the store. `cargo test -p session-store-postgres --test conformance -- --list` names the clauses.

mod common;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::Server;
use session_conformance::{Harness, Subject, server};
use session_core::{Result, Store, async_trait};
use session_store_postgres::PostgresStore;
use tokio::sync::OnceCell;

const TIME_OUT: Duration = Duration::from_secs(5);

/// Test subject. All its namespaces share one database, where they must not see each other.
struct Postgres(OnceCell<Server>);

impl Postgres {
    async fn server(&self) -> Result<&Server> {
        self.0.get_or_try_init(async || Server::start()).await
    }
}

async fn open(url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
    let url = server::with(url, &server::options(namespace, TIME_OUT));
    Ok(Arc::new(PostgresStore::connect(&url).await?))
}

#[async_trait]
impl Harness for Postgres {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let subject = Subject::new("postgres", env!("CARGO_PKG_VERSION")).server(server.version().await);
        Ok(subject.address(server.address()).secret(server.password()).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(self.server().await?.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        open(&self.server().await?.url_through(proxy), namespace).await
    }

    async fn clean(&self, namespace: &str) {
        if let Ok(server) = self.server().await {
            server.clean(namespace).await;
        }
    }
}

fn main() -> ExitCode {
    session_conformance::run(Postgres(OnceCell::new()))
}
