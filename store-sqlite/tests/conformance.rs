//! Runs the conformance suite on the store. `cargo test -p session-store-sqlite --test conformance -- --list` lists the clauses.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use session_conformance::{Harness, Subject};
use session_core::{Result, Store, async_trait};
use session_store_sqlite::SqliteStore;
use tempfile::TempDir;

const TIME_OUT: Duration = Duration::from_secs(5);

/// Harness that keeps all namespaces in one file, where they must be independent.
struct Sqlite(TempDir);

#[async_trait]
impl Harness for Sqlite {
    async fn subject(&self) -> Result<Subject> {
        let server = format!("SQLite {}", rusqlite::version());
        Ok(Subject::new("sqlite", env!("CARGO_PKG_VERSION")).server(server).time_out(TIME_OUT))
    }

    async fn open(&self, namespace: &str) -> Result<Arc<dyn Store>> {
        let store = SqliteStore::builder(self.0.path().join("sessions.db"));
        Ok(Arc::new(store.namespace(namespace).timeout(TIME_OUT).open().await?))
    }
}

fn main() -> ExitCode {
    session_conformance::run(Sqlite(TempDir::new().expect("a temporary directory")))
}
