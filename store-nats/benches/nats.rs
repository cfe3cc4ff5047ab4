//! Benchmark of `NatsStore`, run with `cargo bench -p session-store-nats`; see `session_conformance::bench`.
//! Uses the server of `CONFORMANCE_NATS_URL`, or a container.

use session_conformance::{bench, server};
use session_store_nats::NatsStore;

fn main() {
    bench::run_on("nats", || Box::pin(server::nats()), NatsStore::connect);
}
