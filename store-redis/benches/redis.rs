//! What `cargo bench -p store-redis` measures, on Redis and then on Valkey: the servers of `CONFORMANCE_REDIS_URL` and
//! `CONFORMANCE_VALKEY_URL`, or in containers; see `conformance::bench`.

use conformance::{bench, server};
use store_redis::RedisStore;

fn main() {
    bench::run_on("redis", || Box::pin(server::redis()), RedisStore::connect);
    bench::run_on("valkey", || Box::pin(server::valkey()), RedisStore::connect);
}
