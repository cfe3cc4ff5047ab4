//! Clauses about outages: a server that is gone or silent, and one whose answer is lost.

use std::future::Future;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use session_core::Outcome::{Done, Missing};
use session_core::{Call, ErrorKind, Outcome, Record, Result as CoreResult, StoreKey};

use crate::check::{BOUND, at_once, ensure, errs, is, ok, poll_until, same, shows, within};
use crate::clause::clause;
use crate::context::{Instance, key, next, principal};
use crate::proxy::Proxy;
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "fault.outage",
        [Proxy],
        outage,
        "With the server cut off every operation is Unavailable within the time-out; when it is back the same instance works."
    ),
    clause!(
        "fault.black-hole",
        [Proxy],
        black_hole,
        "The same when packets vanish instead of connections breaking, idle pooled connections included."
    ),
    clause!(
        "fault.lost-reply",
        [Proxy],
        lost_reply,
        "A create, save or delete whose reply is lost either happened or not, and load tells which by version."
    ),
];

async fn outage(cx: Context) -> Verdict {
    let (store, proxy) = cx.behind_proxy().await?;
    let fixed = Fixed::new(&cx, &store).await?;
    // The second outage meets connections that were made after the first.
    for _ in 0..2 {
        proxy.cut();
        fixed.all_unavailable(&cx, &store, "with the server cut off").await?;
        proxy.pass();
        fixed.works_again(&cx, &store, "after the server came back").await?;
    }
    Ok(())
}

async fn black_hole(cx: Context) -> Verdict {
    let (store, proxy) = cx.behind_proxy().await?;
    let fixed = Fixed::new(&cx, &store).await?;
    proxy.stall();
    fixed.all_unavailable(&cx, &store, "with every packet vanishing").await?;
    proxy.pass();
    fixed.works_again(&cx, &store, "after packets arrive again").await?;
    // The pool is idle during a whole outage, so it hands out connections that have ended without notice.
    proxy.stall();
    proxy.forget();
    proxy.pass();
    fixed.works_again(&cx, &store, "after an outage that met only idle connections").await
}

/// A record that was stored before the outage and must remain after it.
struct Fixed {
    key: StoreKey,
    record: Record,
}

impl Fixed {
    /// Creates the record, and fills the store's pool with connections.
    async fn new(cx: &Context, store: &Instance) -> Result<Self, Failure> {
        let (key, record) = (key(), cx.record_of(&principal("ann")?));
        is(store.create(&cx.call(), &key, &record).await, Done, "creating a record through the proxy")?;
        let fixed = Self { key, record };
        fixed.fill_pool(cx, store, "before the outage").await?;
        Ok(fixed)
    }

    async fn fill_pool(&self, cx: &Context, store: &Instance, when: &str) -> Verdict {
        let loads = (0..32).map(|_| {
            let (store, call, key) = (store.clone(), cx.call(), self.key);
            async move { store.load(&call, &key).await }
        });
        for loaded in at_once(loads).await {
            let seen = ok(loaded, format!("one of 32 loads at once {when}"))?;
            let seen = seen.ok_or_else(|| Failure::new(format!("one of 32 loads at once {when} answers None")))?;
            same(&seen, &self.record, format!("one of 32 loads at once {when}"))?;
        }
        Ok(())
    }

    /// Runs all operations at once. Each must answer `Unavailable` in time.
    async fn all_unavailable(&self, cx: &Context, store: &Instance, when: &str) -> Verdict {
        let running = self.operations(cx, store)?.into_iter().map(|(name, operation)| async move {
            let begun = Instant::now();
            let answer = within(cx.patience(), format!("{name} {when}"), operation).await?;
            errs(answer, ErrorKind::Unavailable, format!("{name} {when}, after {} ms", begun.elapsed().as_millis()))
        });
        join_all(running).await.into_iter().collect()
    }

    /// Returns every operation that must reach the server, with its name.
    fn operations<'a>(
        &'a self,
        cx: &Context,
        store: &'a Instance,
    ) -> Result<Vec<(&'static str, Running<'a>)>, Failure> {
        let (ann, farther) = (principal("ann")?, self.record.expires_at.plus(Duration::from_secs(60)));
        let (call, fresh, newer) = (cx.call(), cx.record(), next(&self.record));
        let (key, version) = (&self.key, self.record.version);
        let mut all: Vec<(&'static str, Running<'a>)> = vec![
            ("load", said(store, &call, move |store, call| async move { store.load(&call, key).await })),
            (
                "create",
                said(store, &call, move |store, call| async move {
                    store.create(&call, &crate::context::key(), &fresh).await
                }),
            ),
            (
                "save",
                said(store, &call, move |store, call| async move { store.save(&call, key, version, &newer).await }),
            ),
            (
                "touch",
                said(store, &call, move |store, call| async move { store.touch(&call, key, version, farther).await }),
            ),
            ("delete", said(store, &call, move |store, call| async move { store.delete(&call, key, None).await })),
        ];
        if !cx.can().expires_itself {
            all.push(("purge", said(store, &call, |store, call| async move { store.purge(&call, BOUND).await })));
        }
        if cx.can().by_principal {
            let who = ann.clone();
            all.push((
                "sessions_of",
                said(store, &call, |store, call| async move { store.sessions_of(&call, &who, BOUND).await }),
            ));
            all.push((
                "delete_all",
                said(store, &call, |store, call| async move { store.delete_all(&call, &ann, None).await }),
            ));
        }
        if cx.can().scan {
            all.push(("scan", said(store, &call, |store, call| async move { store.scan(&call, None, BOUND).await })));
        }
        Ok(all)
    }

    /// Checks that the same instance answers again and the record is still stored.
    async fn works_again(&self, cx: &Context, store: &Instance, when: &str) -> Verdict {
        // Reconnecting may take several attempts. The first answer without an error must be right.
        let back = poll_until(3 * cx.patience(), || async {
            match within(cx.patience(), format!("load {when}"), store.load(&cx.call(), &self.key)).await {
                Ok(Err(error)) if error.kind() == ErrorKind::Unavailable => ControlFlow::Continue(error),
                answer => ControlFlow::Break(answer),
            }
        });
        match back.await {
            Ok(answer) => drop(ok(answer?, format!("load {when}"))?),
            Err(error) => {
                return Err(Failure::new(format!("load {when}: the same instance still answers {error}")));
            }
        }
        shows(&**store, &cx.call(), &self.key, Some(&self.record), when).await?;
        self.fill_pool(cx, store, when).await?;
        let (key, record) = (key(), cx.record());
        is(store.create(&cx.call(), &key, &record).await, Done, format!("create {when}"))?;
        let newer = next(&record);
        is(store.save(&cx.call(), &key, record.version, &newer).await, Done, format!("save {when}"))?;
        shows(&**store, &cx.call(), &key, Some(&newer), when).await?;
        is(store.delete(&cx.call(), &key, None).await, Done, format!("delete {when}"))
    }
}

/// An operation with its answer as text, so that all answers have one type.
type Running<'a> = BoxFuture<'a, CoreResult<String>>;

fn said<'a, T, F>(store: &'a Instance, call: &Call, run: impl FnOnce(&'a Instance, Call) -> F) -> Running<'a>
where
    T: std::fmt::Debug,
    F: Future<Output = CoreResult<T>> + Send + 'a,
{
    run(store, call.clone()).map(|answer| answer.map(|answer| format!("{answer:?}"))).boxed()
}

async fn lost_reply(cx: Context) -> Verdict {
    let (store, proxy) = cx.behind_proxy().await?;
    let (witness, call) = (cx.one().await?, cx.call());
    for _ in 0..4 {
        // Runs without a fault first, so that statements are prepared and the lost reply is the operation's own.
        let (key, first) = (key(), cx.record());
        let newer = next(&first);
        is(settled(&cx, || store.create(&call, &key, &first)).await?, Done, "a create")?;
        is(settled(&cx, || store.save(&call, &key, first.version, &newer)).await?, Done, "a save")?;
        is(settled(&cx, || store.delete(&call, &key, None)).await?, Done, "a delete")?;
        round(&cx, &store, &witness, &proxy).await?;
    }
    Ok(())
}

/// Runs a create, a save and a delete, and loses the reply of each.
async fn round(cx: &Context, store: &Instance, witness: &Instance, proxy: &Proxy) -> Verdict {
    let (call, key, first) = (cx.call(), key(), cx.record());
    let newer = next(&first);

    proxy.lose_reply();
    let created = within(cx.patience(), "a create whose reply is lost", store.create(&call, &key, &first)).await?;
    proxy.pass();
    told(created, &[Done], "a create whose reply is lost")?;
    tells(cx, witness, &key, [None, Some(&first)], "after a create whose reply was lost").await?;
    let again = settled(cx, || store.create(&call, &key, &first)).await?;
    is(again, Done, "the identical create again, after its reply was lost")?;

    proxy.lose_reply();
    let save = store.save(&call, &key, first.version, &newer);
    let saved = within(cx.patience(), "a save whose reply is lost", save).await?;
    proxy.pass();
    told(saved, &[Done], "a save whose reply is lost")?;
    tells(cx, witness, &key, [Some(&first), Some(&newer)], "after a save whose reply was lost").await?;
    let again = settled(cx, || store.save(&call, &key, first.version, &newer)).await?;
    is(again, Done, "the identical save again, after its reply was lost")?;
    shows(&**witness, &call, &key, Some(&newer), "after the identical save").await?;

    proxy.lose_reply();
    let deleted = within(cx.patience(), "a delete whose reply is lost", store.delete(&call, &key, None)).await?;
    proxy.pass();
    // A driver that resends a delete finds its own earlier delete.
    told(deleted, &[Done, Missing], "a delete whose reply is lost")?;
    tells(cx, witness, &key, [None, Some(&newer)], "after a delete whose reply was lost").await
}

/// Checks that the answer is one of `allowed`, or `Unavailable`.
fn told(answer: CoreResult<Outcome>, allowed: &[Outcome], what: &str) -> Verdict {
    match answer {
        Ok(outcome) => {
            ensure!(allowed.contains(&outcome), "{what}: should be one of {allowed:?} or Unavailable, is {outcome:?}");
            Ok(())
        }
        Err(error) => errs(Err::<(), _>(error), ErrorKind::Unavailable, what),
    }
}

/// Checks that the stored record is completely one of these two.
async fn tells(cx: &Context, witness: &Instance, key: &StoreKey, either: [Option<&Record>; 2], what: &str) -> Verdict {
    let seen = ok(witness.load(&cx.call(), key).await, what)?;
    let version = seen.as_ref().map(|record| record.version);
    let Some(which) = either.iter().position(|record| record.map(|record| record.version) == version) else {
        let text = format!("{what}: the stored version is {version:?}, neither the one before nor the one written");
        return Err(Failure::new(text));
    };
    match (&seen, either[which]) {
        (Some(seen), Some(want)) => same(seen, want, what),
        _ => Ok(()),
    }
}

/// Returns the first answer that is not transient, because the broken connection may show once more.
async fn settled<T, F>(cx: &Context, call: impl Fn() -> F) -> Result<CoreResult<T>, Failure>
where
    F: Future<Output = CoreResult<T>>,
{
    let answered = poll_until(2 * cx.patience(), || async {
        match within(cx.patience(), "an operation after a reply was lost", call()).await {
            Ok(Err(error)) if error.is_transient() => ControlFlow::Continue(error),
            answer => ControlFlow::Break(answer),
        }
    });
    answered.await.unwrap_or_else(|error| Ok(Err(error)))
}
