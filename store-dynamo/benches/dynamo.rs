//! Benchmark of the store, run by `cargo bench -p store-dynamo` on the server of `CONFORMANCE_DYNAMO_URL` or in a container;
//! see `conformance::bench`.

use conformance::{bench, server};
use store_dynamo::DynamoStore;

fn main() {
    bench::run_on("dynamo", || Box::pin(server::dynamo()), DynamoStore::connect);
}
