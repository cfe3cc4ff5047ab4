//! Benchmark of `MemcachedStore`, run with `cargo bench -p session-store-memcached`; see `session_conformance::bench`.
//! Uses the server of `CONFORMANCE_MEMCACHED_URL`, or a container.

use session_conformance::{bench, server};
use session_store_memcached::MemcachedStore;

fn main() {
    bench::run_on("memcached", || Box::pin(server::memcached()), MemcachedStore::connect);
}
