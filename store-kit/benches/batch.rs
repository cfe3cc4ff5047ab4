//! Cost of batching itself: calls to a round trip that does nothing.

use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use session_core::StoreKey;
use session_store_kit::batch::{Answers, Batcher, Item, Limits, RoundTrip, Trip, Worker, Workers};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const ROUND: u64 = 1 << 15;

struct Call(u64);

impl Item for Call {
    type Output = u64;

    fn key(&self) -> Option<StoreKey> {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&self.0.to_le_bytes());
        Some(StoreKey::from_bytes(bytes))
    }

    fn len(&self) -> usize {
        32
    }
}

struct Nothing;

impl RoundTrip<Call> for Nothing {
    async fn run(&self, items: &[Call], _trip: Trip) -> Answers<Call> {
        tokio::task::yield_now().await;
        Ok(items.iter().map(|call| Ok(call.0)).collect())
    }
}

impl Worker for Nothing {
    type Item = Call;

    fn run(&mut self, items: &[Call]) -> Answers<Call> {
        Ok(items.iter().map(|call| Ok(call.0)).collect())
    }
}

enum Driver {
    Tasks(Batcher<Nothing, Call>),
    Threads(Workers<Call>),
}

async fn run(driver: &'static Driver, tasks: u64, calls: u64) -> Duration {
    let start = Instant::now();
    let mut running = JoinSet::new();
    for task in 0..tasks {
        running.spawn(async move {
            for i in 0..calls / tasks {
                let call = Call(task << 32 | i);
                let expected = call.0;
                let answer = match driver {
                    Driver::Tasks(batcher) => batcher.call(call).await,
                    Driver::Threads(workers) => workers.call(call).await,
                };
                assert_eq!(answer.expect("an answer"), expected);
            }
        });
    }
    while let Some(done) = running.join_next().await {
        done.expect("a task ends well");
    }
    start.elapsed()
}

fn batch(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let drivers = [
        ("tasks", Driver::Tasks(Batcher::new(Nothing, Limits::for_tasks(4)))),
        ("threads", Driver::Threads(Workers::start("bench", [Nothing], Limits::for_threads()).expect("a thread"))),
    ];
    for (name, driver) in drivers {
        let driver: &'static Driver = Box::leak(Box::new(driver));
        let mut group = c.benchmark_group(format!("batch/{name}"));
        group.throughput(Throughput::Elements(ROUND)).sample_size(10);
        for tasks in [1, 32, 128] {
            group.bench_function(BenchmarkId::from_parameter(tasks), |b| {
                b.iter_custom(|rounds| runtime.block_on(run(driver, tasks, rounds * ROUND)));
            });
        }
        group.finish();
    }
}

criterion_group!(benches, batch);
criterion_main!(benches);
