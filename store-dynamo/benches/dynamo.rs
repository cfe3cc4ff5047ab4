//! Benchmark of the store, run by `cargo bench -p session-store-dynamo` on the server of `CONFORMANCE_DYNAMO_URL` or in a container;
//! see `session_conformance::bench`.

use session_conformance::{bench, server};
use session_store_dynamo::DynamoStore;

fn main() {
    bench::run_on("dynamo", || Box::pin(server::dynamo()), DynamoStore::connect);
}
