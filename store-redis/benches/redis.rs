//! Benchmark of `RedisStore` on Redis and then on Valkey, run with `cargo bench -p store-redis`; see `conformance::bench`.
//! Uses the servers of `CONFORMANCE_REDIS_URL` and `CONFORMANCE_VALKEY_URL`, or containers.

use conformance::{bench, server};
use store_redis::RedisStore;

fn main() {
    bench::run_on("redis", || Box::pin(server::redis()), RedisStore::connect);
    bench::run_on("valkey", || Box::pin(server::valkey()), RedisStore::connect);
}
