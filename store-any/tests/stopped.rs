//! Stops a database server while calls are running and starts it again, for every store that has a server.
//!
//! The clauses `fault.…` of the suite cut the network. Here the server itself stops, as in an upgrade or a crash.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use libtest_mimic::{Arguments, Failed, Trial};
use session_conformance::server::{ALL, Server, Start};
use session_core::{
    Bytes, Call, Clock, Error, ErrorKind, Outcome, Record, Result, SessionId, Store, StoreKey, SystemClock, Version,
    hours,
};

const TIME_OUT: Duration = Duration::from_secs(1);
/// Longest time that a call may take: the time-out plus what a busy machine adds.
const PATIENCE: Duration = Duration::from_secs(3);
/// Longest time that a store may take to reconnect to its server.
const RETURN: Duration = Duration::from_secs(30);
const TASKS: usize = 32;
/// Number of concurrent calls during the outage, many times the length of the store's queue.
const CROWD: usize = 4_000;
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let trial = |&(name, start): &(&'static str, Start)| {
        Trial::test(format!("{name}::a_stopped_server_is_an_outage_and_passes"), move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
            runtime.block_on(outage(start))
        })
    };
    // One trial at a time, because each measures the memory of the whole process.
    let arguments = Arguments { test_threads: Some(1), ..Arguments::from_args() };
    libtest_mimic::run(&arguments, ALL.iter().map(trial).collect()).exit_code()
}

async fn open(server: &Server) -> Result<Arc<dyn Store>> {
    let options = format!("namespace=stopped&queue=256&timeout={}", TIME_OUT.as_millis());
    session_store_any::connect(&server.url_with(&options)).await
}

async fn outage(start: Start) -> Result<(), Failed> {
    let server = start().await?;
    // Just after its start, a server may need longer to create a table than the time-out of a call.
    let store = until_some(RETURN, "no store can be opened", async || open(&server).await.ok()).await?;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let working: Vec<_> =
        (0..TASKS).map(|_| tokio::spawn(work(Arc::clone(&store), Arc::clone(&stop), Arc::clone(&done)))).collect();
    until(RETURN, "the tasks do not get going", async || done.load(Ordering::Relaxed) >= 10 * TASKS).await?;
    server.stop().await?;
    crowds(&store).await?;

    server.start().await?;
    // DynamoDB Local has lost its tables. Opening another store creates them again.
    let _second =
        until_some(RETURN, "no store can be opened after the outage", async || open(&server).await.ok()).await?;
    let back = async || rounds(&*store).await.is_ok();
    until(RETURN, "the same store does not find its server again", back).await?;
    stop.store(true, Ordering::Relaxed);
    for task in working {
        task.await??;
    }
    // Checks that the recovery was not a matter of luck.
    for round in join_all((0..TASKS).map(|_| rounds(&*store))).await {
        round?;
    }
    Ok(())
}

/// Runs rounds until stopped. Each call must succeed or be `Unavailable` in time.
async fn work(store: Arc<dyn Store>, stop: Arc<AtomicBool>, done: Arc<AtomicUsize>) -> Result<(), String> {
    while !stop.load(Ordering::Relaxed) {
        match rounds(&*store).await {
            Ok(()) => drop(done.fetch_add(1, Ordering::Relaxed)),
            // A call in flight when the server stopped may have been carried out or not. The next round uses a new key.
            Err(Wrong::Unavailable) => tokio::task::yield_now().await,
            Err(Wrong::Other(what)) => return Err(what),
        }
    }
    Ok(())
}

#[derive(Debug)]
enum Wrong {
    Unavailable,
    Other(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{self:?}")
    }
}

/// Creates, saves, loads and deletes one record.
async fn rounds(store: &dyn Store) -> Result<(), Wrong> {
    let (call, key) = (Call::new(SystemClock.now()), StoreKey::derive("stopped", &SessionId::random()));
    let data = Bytes::from_static(b"{}");
    let first = Record::new(Version::random(), call.now, call.now.plus(hours(1)), None, data);
    let mut second = first.clone();
    second.version = Version::random();
    is(timed(store.create(&call, &key, &first)).await?, Outcome::Done)?;
    is(timed(store.save(&call, &key, first.version, &second)).await?, Outcome::Done)?;
    is(timed(store.load(&call, &key)).await?, Some(second))?;
    is(timed(store.delete(&call, &key, None)).await?, Outcome::Done)
}

async fn timed<T>(call: impl Future<Output = Result<T>>) -> Result<T, Wrong> {
    let begun = Instant::now();
    let answer = call.await;
    if begun.elapsed() > PATIENCE {
        return Err(Wrong::Other(format!("a call took {:?}", begun.elapsed())));
    }
    answer.map_err(|error: Error| match error.kind() {
        ErrorKind::Unavailable => Wrong::Unavailable,
        _ => Wrong::Other(format!("a call answers {error}: {error:?}")),
    })
}

fn is<T: PartialEq + std::fmt::Debug>(seen: T, expected: T) -> Result<(), Wrong> {
    if seen == expected { Ok(()) } else { Err(Wrong::Other(format!("{seen:?} instead of {expected:?}"))) }
}

/// Repeatedly makes far more calls than may wait. All must be `Unavailable` in time, and must not leak memory.
async fn crowds(store: &Arc<dyn Store>) -> Result<(), Failed> {
    let mut before = None;
    for round in 0..ROUNDS {
        let calls = (0..CROWD).map(|_| {
            let store = Arc::clone(store);
            tokio::spawn(async move {
                let key = StoreKey::derive("stopped", &SessionId::random());
                timed(store.load(&Call::new(SystemClock.now()), &key)).await
            })
        });
        for answer in join_all(calls).await {
            match answer? {
                Err(Wrong::Unavailable) => {}
                other => return Err(format!("with the server stopped, round {round}: {other:?}").into()),
            }
        }
        let now = resident();
        let first = *before.get_or_insert(now);
        if now > first + (32 << 20) {
            return Err(format!("an outage takes more and more memory: from {first} to {now} bytes").into());
        }
    }
    Ok(())
}

/// Resident memory in bytes, from `/proc` with pages of 4 KiB. Returns 0 on systems without it.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or_default() * 4096
}

async fn until(limit: Duration, otherwise: &str, check: impl AsyncFn() -> bool) -> Result<(), Failed> {
    until_some(limit, otherwise, async || check().await.then_some(())).await
}

async fn until_some<T>(limit: Duration, otherwise: &str, check: impl AsyncFn() -> Option<T>) -> Result<T, Failed> {
    let begun = Instant::now();
    loop {
        if let Some(found) = check().await {
            return Ok(found);
        }
        if begun.elapsed() > limit {
            return Err(otherwise.into());
        }
        // sleep: nothing signals when the server and the driver are ready again.
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
