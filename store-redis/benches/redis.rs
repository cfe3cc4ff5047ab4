//! Benchmark of `RedisStore` on Redis and then on Valkey, run with `cargo bench -p session-store-redis`; see `session_conformance::bench`.
//! Uses the servers of `CONFORMANCE_REDIS_URL` and `CONFORMANCE_VALKEY_URL`, or containers.

use session_conformance::{bench, server};
use session_store_redis::RedisStore;

fn main() {
    bench::run_on("redis", || Box::pin(server::redis()), RedisStore::connect);
    bench::run_on("valkey", || Box::pin(server::valkey()), RedisStore::connect);
}
