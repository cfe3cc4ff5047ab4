//! Runs the conformance suite on the store. `cargo test -p session-store-memory --test conformance -- --list` lists the clauses.

use std::process::ExitCode;
use std::sync::Arc;

use session_conformance::{Harness, Subject};
use session_core::{Result, Store, async_trait};
use session_store_memory::MemoryStore;

struct Memory;

#[async_trait]
impl Harness for Memory {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("memory", env!("CARGO_PKG_VERSION")).without_namespaces())
    }

    async fn open(&self, _: &str) -> Result<Arc<dyn Store>> {
        Ok(Arc::new(MemoryStore::new()))
    }
}

fn main() -> ExitCode {
    session_conformance::run(Memory)
}
