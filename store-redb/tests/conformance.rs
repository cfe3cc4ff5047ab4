//! Runs the conformance suite on the store. `cargo test -p session-store-redb --test conformance -- --list` lists the clauses.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Harness, Subject};
use session_core::{Result, Store, async_trait};
use session_store_redb::RedbStore;
use tempfile::TempDir;

const TIME_OUT: Duration = Duration::from_secs(5);

/// Harness that keeps all namespaces in one file, where they must be independent.
struct Redb(TempDir);

#[async_trait]
impl Harness for Redb {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("redb", env!("CARGO_PKG_VERSION")).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        let store = RedbStore::builder(self.0.path().join("sessions.redb"));
        Ok(Arc::new(store.namespace(namespace).timeout(TIME_OUT).open().await?))
    }
}

fn main() -> ExitCode {
    session_conformance::run(Redb(TempDir::new().expect("a temporary directory")))
}
