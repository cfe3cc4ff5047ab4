//! Benchmark of `FileStore` with `durable=false`, run with `cargo bench -p session-store-file`; see `session_conformance::bench`.

use std::sync::Arc;

use session_store_file::FileStore;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions");
    session_conformance::bench::run("file", async || Ok(Arc::new(FileStore::builder(path).open().await?) as _));
}
