//! Runs the conformance suite on each layer around a memory store.

use std::process::ExitCode;
use std::sync::Arc;

use session_conformance::{Harness, Subject};
use session_core::{Result, Store, async_trait};
use session_crypto::KeyRing;
use session_store_layers::Sealed;
use session_store_memory::MemoryStore;

struct Layers(KeyRing);

#[async_trait]
impl Harness for Layers {
    async fn subject(&self) -> Result<Subject> {
        Ok(Subject::new("sealed", env!("CARGO_PKG_VERSION")).without_namespaces())
    }

    async fn open(&self, _: &str) -> Result<Arc<dyn Store>> {
        // Bounded, so that the suite also checks the layer's limit on the length of data.
        let store = MemoryStore::builder().max_bytes(4 << 20).build()?;
        Ok(Arc::new(Sealed::new(store, &self.0)))
    }
}

fn main() -> ExitCode {
    session_conformance::run(Layers(KeyRing::ephemeral()))
}
