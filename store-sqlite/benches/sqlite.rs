//! Benchmark of `SqliteStore` in a file with `synchronous=normal`, run with `cargo bench -p session-store-sqlite`; see `session_conformance::bench`.

use std::sync::Arc;

use session_store_sqlite::SqliteStore;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions.db");
    session_conformance::bench::run("sqlite", async || Ok(Arc::new(SqliteStore::builder(path).open().await?) as _));
}
