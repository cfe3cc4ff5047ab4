//! On the server that `CONFORMANCE_POSTGRES_URL` names: `load` and `load+save` of 1000 sessions of 200 bytes by 1, 32 and 128 tasks.
//! Lost updates are counted: there are none.

use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use session_core::{Bytes, Call, Clock, Outcome, Record, Store, StoreKey, SystemClock, Version, hours};
use store_postgres::PostgresStore;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const SESSIONS: u64 = 1000;
const ROUND: u64 = 1 << 12;

/// Bytes that are as uniform as those of real keys.
fn key(n: u64) -> StoreKey {
    let mut bytes = [0; 32];
    for (i, word) in bytes.chunks_exact_mut(8).enumerate() {
        let mut z = (n * 4 + i as u64).wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word.copy_from_slice(&(z ^ (z >> 27)).to_le_bytes());
    }
    StoreKey::from_bytes(bytes)
}

/// A session of 200 bytes that begins with a count.
fn record(count: u64) -> Record {
    let now = SystemClock.now();
    let mut data = vec![b'x'; 200];
    data[..8].copy_from_slice(&count.to_le_bytes());
    Record::new(Version::random(), now, now.plus(hours(24)), None, Bytes::from(data))
}

fn count(record: &Record) -> u64 {
    u64::from_le_bytes(record.data[..8].try_into().expect("eight bytes"))
}

async fn load(store: &dyn Store, n: u64) -> Record {
    store.load(&Call::new(SystemClock.now()), &key(n)).await.expect("a load").expect("a live session")
}

async fn increment(store: &dyn Store, n: u64) {
    loop {
        let old = load(store, n).await;
        let new = record(count(&old) + 1);
        match store.save(&Call::new(SystemClock.now()), &key(n), old.version, &new).await.expect("a save") {
            Outcome::Done => return,
            Outcome::Conflict => {}
            other => panic!("the session went: {other:?}"),
        }
    }
}

async fn total(store: &dyn Store) -> u64 {
    let mut total = 0;
    for n in 0..SESSIONS {
        total += count(&load(store, n).await);
    }
    total
}

/// `rounds` times `ROUND` operations, spread over `tasks`.
async fn run(store: &Arc<dyn Store>, rounds: u64, tasks: u64, save: bool) -> Duration {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        let store = Arc::clone(store);
        running.spawn(async move {
            for i in 0..rounds * ROUND / tasks {
                let n = (task * 7919 + i * 31) % SESSIONS;
                if save { increment(&*store, n).await } else { drop(load(&*store, n).await) }
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.expect("a task ends well");
    }
    start.elapsed()
}

fn postgres(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let url = std::env::var("CONFORMANCE_POSTGRES_URL").expect("CONFORMANCE_POSTGRES_URL names the server");
    let store: Arc<dyn Store> = runtime.block_on(async {
        let separator = if url.contains('?') { '&' } else { '?' };
        let store = PostgresStore::connect(&format!("{url}{separator}namespace=bench")).await.expect("a store");
        for n in 0..SESSIONS {
            let _ = store.create(&Call::new(SystemClock.now()), &key(n), &record(0)).await.expect("a create");
        }
        Arc::new(store) as _
    });
    for (name, save) in [("load", false), ("load+save", true)] {
        let mut group = c.benchmark_group(format!("postgres/{name}"));
        group.throughput(Throughput::Elements(ROUND)).sample_size(10);
        for tasks in [1, 32, 128] {
            group.bench_function(BenchmarkId::from_parameter(tasks), |b| {
                b.iter_custom(|rounds| {
                    let before = runtime.block_on(total(&*store));
                    let took = runtime.block_on(run(&store, rounds, tasks, save));
                    let saved = runtime.block_on(total(&*store)) - before;
                    assert_eq!(saved, if save { rounds * ROUND } else { 0 }, "lost updates");
                    took
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, postgres);
criterion_main!(benches);
