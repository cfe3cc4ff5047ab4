//! Benchmark of `RedbStore` with `durability=immediate`, run with `cargo bench -p session-store-redb`; see `session_conformance::bench`.

use std::sync::Arc;

use session_store_redb::RedbStore;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions.redb");
    session_conformance::bench::run("redb", async || Ok(Arc::new(RedbStore::builder(path).open().await?) as _));
}
