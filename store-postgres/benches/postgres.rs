//! Benchmark of the store, run by `cargo bench -p session-store-postgres` on the server of `CONFORMANCE_POSTGRES_URL` or in a
//! container; see `session_conformance::bench`.

use session_conformance::{bench, server};
use session_store_postgres::PostgresStore;

fn main() {
    bench::run_on("postgres", || Box::pin(server::postgres()), PostgresStore::connect);
}
