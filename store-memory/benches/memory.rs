//! Benchmark of `MemoryStore`, run with `cargo bench -p store-memory`; see `conformance::bench`.

use std::sync::Arc;

use store_memory::MemoryStore;

fn main() {
    conformance::bench::run("memory", async || Ok(Arc::new(MemoryStore::new()) as _));
}
