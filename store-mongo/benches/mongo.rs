//! Benchmark of the store, run by `cargo bench -p store-mongo` on the server of `CONFORMANCE_MONGO_URL` or in a container;
//! see `conformance::bench`.

use conformance::{bench, server};
use store_mongo::MongoStore;

fn main() {
    bench::run_on("mongo", || Box::pin(server::mongo()), MongoStore::connect);
}
