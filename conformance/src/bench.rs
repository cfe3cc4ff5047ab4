//! Benchmark for every store: `load` and `load+save` of 1,000 sessions of 200 bytes by 1, 32 and 128 tasks.
//!
//! A save increments the count in a session. At the end the counts are added up: a lost update fails the benchmark.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use session_conformance::bench;
//! use session_store_memory::MemoryStore;
//!
//! // A bench target with `harness = false`, run by `cargo bench`.
//! fn main() {
//!     bench::run("memory", async || Ok(Arc::new(MemoryStore::new()) as _));
//! }
//! ```

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput};
use session_core::{Outcome, Record, Result, Store, StoreKey, hours};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::fixtures::{increment, now, number, record};

const SESSIONS: u64 = 1000;
/// Few enough that a database on a slow disk completes ten rounds in a minute, enough to keep 128 tasks busy.
const ROUND: u64 = 1 << 10;

/// Measures the empty store that `open` returns. Takes criterion's usual arguments.
///
/// # Panics
/// If the store answers an error, or updates are lost.
pub fn run(name: &str, open: impl AsyncFnOnce() -> Result<Arc<dyn Store>>) {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = Runtime::new().expect("a runtime");
    let store = runtime.block_on(async {
        let store = open().await.expect("a store");
        for n in 0..SESSIONS {
            let created = store.create(&now(), &key(n), &session()).await.expect("a create");
            assert_eq!(created, Outcome::Done, "the store is not empty");
        }
        store
    });
    for (work, saves) in [("load", false), ("load+save", true)] {
        let mut group = criterion.benchmark_group(format!("{name}/{work}"));
        group.throughput(Throughput::Elements(ROUND)).sample_size(10);
        for tasks in [1, 32, 128] {
            group.bench_function(BenchmarkId::from_parameter(tasks), |bencher| {
                bencher.iter_custom(|rounds| runtime.block_on(measure(&store, rounds, tasks, saves)));
            });
        }
        group.finish();
    }
    criterion.final_summary();
}

/// Measures a store on a server, in a random namespace. Keeps the server for the whole run.
///
/// `connect` gets the server's URL with the option `namespace`. The namespace makes it safe to use a server with
/// other data.
///
/// ```no_run
/// use session_conformance::{bench, server};
/// # use session_store_memory::MemoryStore as PostgresStore;
///
/// fn main() {
///     bench::run_on("postgres", || Box::pin(server::postgres()), PostgresStore::connect);
/// }
/// ```
///
/// # Panics
/// If there is no server, if the store answers an error, or if updates are lost.
#[cfg(feature = "containers")]
pub fn run_on<S: Store>(
    name: &str,
    start: crate::server::Start,
    connect: impl for<'u> AsyncFnOnce(&'u str) -> Result<S>,
) {
    let mut held = None;
    run(name, async || {
        let server = held.insert(start().await?);
        let url = server.url_with(&format!("namespace=bench_{:x}", rand::random::<u64>()));
        Ok(Arc::new(connect(&url).await?) as _)
    });
}

/// Runs `rounds` times `ROUND` operations, spread over `tasks`.
async fn measure(store: &Arc<dyn Store>, rounds: u64, tasks: u64, saves: bool) -> Duration {
    let before = total(&**store).await;
    let each = rounds * ROUND / tasks;
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let store = Arc::clone(store);
        running.spawn(async move {
            for i in 0..each {
                let n = (task * 7919 + i * 31) % SESSIONS;
                if saves { increment(&*store, &key(n)).await } else { drop(load(&*store, n).await) }
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.expect("a task ends well");
    }
    let took = start.elapsed();
    let counted = total(&**store).await - before;
    assert_eq!(counted, if saves { each * tasks } else { 0 }, "lost updates");
    took
}

async fn load(store: &dyn Store, n: u64) -> Record {
    store.load(&now(), &key(n)).await.expect("a load").expect("a live session")
}

async fn total(store: &dyn Store) -> u64 {
    let mut total = 0;
    for n in 0..SESSIONS {
        total += number(&load(store, n).await);
    }
    total
}

/// Returns a key of uniform bytes, like a real one, but equal in each run.
fn key(n: u64) -> StoreKey {
    let mut bytes = [0; StoreKey::LEN];
    for (word, i) in bytes.chunks_exact_mut(8).zip(1..) {
        // The mixing step of SplitMix64.
        let mut z = (n * 4 + i).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word.copy_from_slice(&(z ^ (z >> 27)).to_le_bytes());
    }
    StoreKey::from_bytes(bytes)
}

/// Returns a session of 200 bytes that begins with a count of zero and outlives the run.
fn session() -> Record {
    let mut data = [b'x'; 200];
    data[..8].fill(0);
    let mut session = record(&data);
    session.expires_at = session.created_at.plus(hours(24));
    session
}
