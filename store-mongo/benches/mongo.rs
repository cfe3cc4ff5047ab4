//! Benchmark of the store, run by `cargo bench -p session-store-mongo` on the server of `CONFORMANCE_MONGO_URL` or in a container;
//! see `session_conformance::bench`.

use session_conformance::{bench, server};
use session_store_mongo::MongoStore;

fn main() {
    bench::run_on("mongo", || Box::pin(server::mongo()), MongoStore::connect);
}
