//! Conformance suite over the store. `cargo test -p session-store-dynamo --test conformance -- --list` names the clauses.

mod common;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use common::Server;
use session_conformance::{Harness, Subject, server};
use session_core::{Error, ErrorKind, Principal, Result, Store, StoreKey, async_trait};
use session_store_dynamo::DynamoStore;
use tokio::sync::OnceCell;

/// Time-out of a call. It is generous because DynamoDB Local starts slowly, and because signing requests is slow without
/// optimization.
const TIME_OUT: Duration = Duration::from_secs(10);

/// Time limit of a clause, longer than for other stores because DynamoDB Local is slow.
const CLAUSE_LIMIT: Duration = Duration::from_secs(600);
/// Number of operations in the history, smaller than for other stores because DynamoDB Local is slow.
const HISTORY_OPS: usize = 10_000;

/// Upper limit for the removal of expired items, which DynamoDB Local looks for about every ten seconds.
const EXPIRY_DELAY: Duration = Duration::from_secs(60);

/// Test subject. All its namespaces share one server, where they must not see each other.
struct Dynamo(OnceCell<Server>);

impl Dynamo {
    async fn server(&self) -> Result<&Server> {
        self.0.get_or_try_init(async || Server::start()).await
    }
}

async fn open(url: &str, namespace: &str) -> Result<Arc<dyn Store>> {
    let url = server::with(url, &server::options(namespace, TIME_OUT));
    Ok(Arc::new(DynamoStore::connect(&url).await?))
}

#[async_trait]
impl Harness for Dynamo {
    async fn subject(&self) -> Result<Subject> {
        let server = self.server().await?;
        let subject = Subject::new("dynamo", env!("CARGO_PKG_VERSION")).server("DynamoDB Local");
        let subject = subject.address(server.address()).secret(server.password()).time_out(TIME_OUT);
        Ok(subject.expiry_delay(EXPIRY_DELAY).clause_limit(CLAUSE_LIMIT).history_ops(HISTORY_OPS))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        open(self.server().await?.url(), namespace).await
    }

    async fn open_through(&self, proxy: SocketAddr, namespace: &str) -> Result<Arc<dyn Store>> {
        open(&self.server().await?.url_through(proxy), namespace).await
    }

    async fn plant_orphan(&self, namespace: &str, principal: &Principal, key: &StoreKey) -> Result<bool> {
        let mut entry = common::entry(principal, key);
        entry.insert("ttl".to_owned(), common::number(253_402_300_799));
        let planted = self.server().await?.put(namespace, entry).await;
        planted.map(|()| true).map_err(|why| Error::new(ErrorKind::Other, why))
    }

    async fn clean(&self, namespace: &str) {
        if let Ok(server) = self.server().await {
            server.clean(namespace).await;
        }
    }
}

fn main() -> ExitCode {
    session_conformance::run(Dynamo(OnceCell::new()))
}
