//! Runs the conformance suite over the store.

use std::process::ExitCode;
use std::sync::Arc;

use first_store::MapStore;
use session_conformance::{Harness, Subject};
use session_core::{Result, Store, async_trait};

struct Map;

#[async_trait]
impl Harness for Map {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("first-store", env!("CARGO_PKG_VERSION")).without_namespaces())
    }

    async fn open(&self, _namespace: &str) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(MapStore::default()))
    }
}

fn main() -> ExitCode {
    session_conformance::run(Map)
}
