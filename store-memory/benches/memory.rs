//! Benchmark of `MemoryStore`, run with `cargo bench -p session-store-memory`; see `session_conformance::bench`.

use std::sync::Arc;

use session_store_memory::MemoryStore;

fn main() {
    session_conformance::bench::run("memory", async || Ok(Arc::new(MemoryStore::new()) as _));
}
