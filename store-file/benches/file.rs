//! Benchmark of `FileStore` with `durable=false`, run with `cargo bench -p store-file`; see `conformance::bench`.

use std::sync::Arc;

use store_file::FileStore;

fn main() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("sessions");
    conformance::bench::run("file", async || Ok(Arc::new(FileStore::builder(path).open().await?) as _));
}
