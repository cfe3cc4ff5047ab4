//! Benchmark of `SqliteStore` in a file with `synchronous=normal`, run with `cargo bench -p store-sqlite`; see `conformance::bench`.

use std::sync::Arc;

use store_sqlite::SqliteStore;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions.db");
    conformance::bench::run("sqlite", async || Ok(Arc::new(SqliteStore::builder(path).open().await?) as _));
}
