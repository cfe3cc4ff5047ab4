//! Benchmark of the store, run by `cargo bench -p store-postgres` on the server of `CONFORMANCE_POSTGRES_URL` or in a
//! container; see `conformance::bench`.

use conformance::{bench, server};
use store_postgres::PostgresStore;

fn main() {
    bench::run_on("postgres", || Box::pin(server::postgres()), PostgresStore::connect);
}
