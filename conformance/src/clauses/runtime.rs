//! Clauses about one instance that is used from two tokio runtimes.

use std::future::Future;
use std::sync::Arc;
use std::thread;

use session_core::Outcome::Done;
use session_core::Version;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};

use crate::check::{BOUND, at_once, is, lists, ok, shows, within};
use crate::clause::clause;
use crate::context::{Instance, key, next, principal};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "runtime.idle",
        [],
        idle,
        "An instance opened and used on a runtime that does not run now answers on another runtime within the time-out."
    ),
    clause!(
        "runtime.stalled",
        [],
        stalled,
        "An instance answers within the time-out though another runtime stopped in the middle of calls for other sessions."
    ),
    clause!(
        "runtime.gone",
        [],
        gone,
        "An instance answers within the time-out after the runtime that opened and used it was dropped."
    ),
];

/// Number of concurrent calls.
const CALLS: usize = 40;

/// A runtime that runs only while [`run`](Self::run) waits for it.
///
/// Dropping it ends the runtime with all of its tasks.
struct Other(Option<Arc<Runtime>>);

impl Other {
    fn start() -> Result<Self, Failure> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| Failure::new(format!("the suite cannot start a runtime: {error}")))?;
        Ok(Self(Some(Arc::new(runtime))))
    }

    /// Runs the future on this runtime, which stops when the future is ready.
    async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> Result<T, Failure> {
        let (told, result) = oneshot::channel();
        let runtime = self.0.clone().ok_or_else(|| Failure::new("the other runtime has ended"))?;
        thread::spawn(move || {
            let result = runtime.block_on(work);
            // Dropped first, because the caller may drop its own handle next, and that one must be the last.
            drop(runtime);
            told.send(result)
        });
        result.await.map_err(|_| Failure::new("a panic on another runtime"))
    }
}

impl Drop for Other {
    /// Ends the runtime without waiting for its threads, because waiting is forbidden where futures are polled.
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take().and_then(Arc::into_inner) {
            runtime.shutdown_background();
        }
    }
}

/// Opens and uses an instance on another runtime.
async fn opened_on(cx: &Context, other: &Other) -> Result<Instance, Failure> {
    let cx = cx.clone();
    let opening = async move {
        let store = cx.one().await?;
        used(&cx, &store, "on the runtime that opened the store").await?;
        Ok(store)
    };
    other.run(opening).await?
}

/// Leaves calls in flight on another runtime.
async fn leave_calls(cx: &Context, other: &Other, store: &Instance) -> Verdict {
    let (cx, store) = (cx.clone(), Arc::clone(store));
    let leaving = async move {
        let mut tasks = JoinSet::new();
        for _ in 0..CALLS {
            let (cx, store) = (cx.clone(), Arc::clone(&store));
            tasks.spawn(async move {
                for _ in 0..CALLS {
                    // The answer is not checked here.
                    let _ = life(&cx, &store).await;
                    yield_now().await;
                }
            });
        }
        for _ in 0..3 {
            yield_now().await;
        }
        tasks.detach_all();
    };
    other.run(leaving).await
}

async fn idle(cx: Context) -> Verdict {
    let other = Other::start()?;
    let store = opened_on(&cx, &other).await?;
    used(&cx, &store, "while the runtime that opened the store does not run").await?;
    let (again, same) = (cx.clone(), Arc::clone(&store));
    let returning = async move { used(&again, &same, "on the first runtime, after another one used the store").await };
    other.run(returning).await?
}

async fn stalled(cx: Context) -> Verdict {
    let other = Other::start()?;
    let store = opened_on(&cx, &other).await?;
    leave_calls(&cx, &other, &store).await?;
    used(&cx, &store, "while calls stand still on another runtime").await
}

async fn gone(cx: Context) -> Verdict {
    let other = Other::start()?;
    let store = opened_on(&cx, &other).await?;
    leave_calls(&cx, &other, &store).await?;
    drop(other);
    used(&cx, &store, "after the runtime that opened the store is gone").await
}

/// Checks that every operation works, alone and among others.
async fn used(cx: &Context, store: &Instance, when: &str) -> Verdict {
    let alone = every_operation(cx, store);
    within(cx.patience(), format!("a call of each kind {when}"), alone).await?.map_err(|why| told(when, &why))?;
    let together = async {
        let calls = (0..CALLS).map(|_| {
            let (cx, store) = (cx.clone(), Arc::clone(store));
            async move { every_operation(&cx, &store).await }
        });
        at_once(calls).await
    };
    let ended = within(cx.patience(), format!("{CALLS} calls at once {when}"), together).await?;
    ended.into_iter().try_for_each(|ended| ended.map_err(|why| told(when, &why)))
}

fn told(when: &str, why: &Failure) -> Failure {
    Failure::new(format!("{when}: {why}"))
}

/// Runs a session from its creation to its deletion.
async fn life(cx: &Context, store: &Instance) -> Verdict {
    let (call, key, record) = (cx.call(), key(), cx.record());
    let newer = next(&record);
    is(store.create(&call, &key, &record).await, Done, "create")?;
    is(store.save(&call, &key, record.version, &newer).await, Done, "save")?;
    shows(&**store, &call, &key, Some(&newer), "load").await?;
    is(store.delete(&call, &key, Some(newer.version)).await, Done, "delete")
}

/// Runs a session's life, and the operations on several sessions.
async fn every_operation(cx: &Context, store: &Instance) -> Verdict {
    life(cx, store).await?;
    let call = cx.call();
    if cx.can().by_principal {
        let (key, who) = (key(), principal(format!("{:?}", Version::random()))?);
        is(store.create(&call, &key, &cx.record_of(&who)).await, Done, "create")?;
        lists(&**store, &call, &who, &[&key], "sessions_of").await?;
        is(store.delete_all(&call, &who, None).await, 1, "delete_all")?;
    }
    if cx.can().scan {
        ok(store.scan(&call, None, BOUND).await, "scan")?;
    }
    ok(store.purge(&call, BOUND).await.map(drop), "purge")
}
