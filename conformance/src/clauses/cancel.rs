//! Clauses about futures that are dropped before they are ready, and about futures that their caller stops polling.
//!
//! A server drops a request's future when the client hangs up.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;

use futures_util::future::poll_fn;
use session_core::Outcome::{Conflict, Done};
use session_core::{Record, StoreKey};

use crate::check::{at_once, ensure, is, ok, same, shows, within};
use crate::clause::clause;
use crate::context::{Instance, key, next};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "cancel.save",
        [],
        save,
        "A save dropped at any await point leaves the old record or the new one, and the store works."
    ),
    clause!(
        "cancel.load",
        [],
        load,
        "A load dropped at any await point leaves no lock and no half-used connection behind."
    ),
    clause!(
        "cancel.burst",
        [],
        burst,
        "When half of a burst is dropped the others get their answers, and as many calls at once as before still work."
    ),
    clause!(
        "cancel.stalled",
        [],
        stalled,
        "A load and a save whose caller stops polling them hold up no other call, and are answered when it polls again."
    ),
];

/// Upper limit of the await points of a store's future.
const MOST_POLLS: usize = 40;

/// Polls the future `polls` times and drops it. Returns its answer if it was ready by then.
/// `F` may be a reference to a future, which is then kept.
async fn dropped_after<F: Future>(polls: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut polled = 0;
    poll_fn(|waker| {
        if polled == polls {
            return Poll::Ready(None);
        }
        polled += 1;
        match future.as_mut().poll(waker) {
            Poll::Ready(answer) => Poll::Ready(Some(answer)),
            // Ends right after the last poll. The next wake-up may come only when the future is ready.
            Poll::Pending if polled == polls => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Returns the early answer, or waits for the rest of the call.
async fn answer<F: Future>(early: Option<F::Output>, rest: F) -> F::Output {
    match early {
        Some(answer) => answer,
        None => rest.await,
    }
}

async fn save(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let mut whole = 0;
    for polls in 0..MOST_POLLS {
        let (key, first) = (key(), cx.record());
        is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
        let second = next(&first);
        let when = format!("after a save was dropped at its await point {polls}");
        let call = cx.call();
        let cut = dropped_after(polls, a.save(&call, &key, first.version, &second));
        if let Some(saved) = within(cx.patience(), "a save that is dropped", cut).await? {
            is(saved, Done, "a save that was not dropped after all")?;
            shows(&*b, &cx.call(), &key, Some(&second), "after a save that was not dropped").await?;
            whole += 1;
            if whole == 3 {
                break;
            }
            continue;
        }
        old_or_new(&cx, &b, &key, [&first, &second], &when).await?;
        within(cx.patience(), format!("writing {when}"), goes_on(&cx, &b, &key, &when)).await??;
    }
    capacity(&cx, [&a, &b], "after saves were dropped").await
}

async fn old_or_new(cx: &Context, store: &Instance, key: &StoreKey, either: [&Record; 2], when: &str) -> Verdict {
    let load = store.load(&cx.call(), key).await;
    let seen = ok(load, format!("load {when}"))?;
    let Some(seen) = seen else {
        return Err(Failure::new(format!("{when} there is neither the old record nor the new one")));
    };
    let want = if seen.version == either[0].version { either[0] } else { either[1] };
    same(&seen, want, format!("{when} (old record or new one, whole)"))
}

/// Checks that the record can be saved and deleted, whether or not the dropped save took effect.
async fn goes_on(cx: &Context, store: &Instance, key: &StoreKey, when: &str) -> Verdict {
    // The dropped save may still take effect between a load and a save, once.
    for _ in 0..2 {
        let Some(seen) = ok(store.load(&cx.call(), key).await, format!("load {when}"))? else { break };
        match ok(store.save(&cx.call(), key, seen.version, &next(&seen)).await, format!("a save {when}"))? {
            Done => return is(store.delete(&cx.call(), key, None).await, Done, format!("a delete {when}")),
            Conflict => {}
            other => return Err(Failure::new(format!("a save {when} answers {other:?}"))),
        }
    }
    Err(Failure::new(format!("{when} a save of what load shows never succeeds")))
}

async fn load(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, other) = (key(), crate::context::key());
    let (record, decoy) = (cx.record(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    is(a.create(&cx.call(), &other, &decoy).await, Done, "creating another record")?;
    for polls in 0..MOST_POLLS {
        // More loads than any pool has connections. An answer for the decoy must not reach the next caller.
        let cuts = (0..48).map(|n| {
            let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
            async move { dropped_after(polls, store.load(&call, &other)).await }
        });
        let answers = within(cx.patience(), "loads that are dropped", at_once(cuts)).await?;
        let what = format!("a load after loads were dropped at await point {polls}");
        within(cx.patience(), &what, shows(&*a, &cx.call(), &key, Some(&record), &what)).await??;
        within(cx.patience(), &what, shows(&*b, &cx.call(), &key, Some(&record), &what)).await??;
        if answers.iter().all(Option::is_some) {
            break;
        }
    }
    let newer = next(&record);
    let save = a.save(&cx.call(), &key, record.version, &newer).await;
    is(save, Done, "a save after loads of its record were dropped")?;
    capacity(&cx, [&a, &b], "after loads were dropped").await
}

async fn burst(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for polls in [1, 2, 3, 5] {
        let mut rows = Vec::new();
        for _ in 0..64 {
            let (key, record) = (key(), cx.record());
            is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
            rows.push((key, record.clone(), next(&record)));
        }
        let running = rows.iter().cloned().enumerate().map(|(n, (key, old, new))| {
            let (store, call) = (if n % 4 < 2 { a.clone() } else { b.clone() }, cx.call());
            async move {
                let save = store.save(&call, &key, old.version, &new);
                if n % 2 == 0 { dropped_after(polls, save).await } else { Some(save.await) }
            }
        });
        let what = format!("a burst of 64 saves, each other dropped at await point {polls}");
        let answers = within(2 * cx.patience(), &what, at_once(running)).await?;
        for (n, (answer, (key, old, new))) in answers.into_iter().zip(&rows).enumerate() {
            let finished = answer.is_some();
            ensure!(finished || n % 2 == 0, "{what}: save {n} was not dropped and has no answer");
            if let Some(answer) = answer {
                is(answer, Done, format!("save {n} in {what}"))?;
                shows(&*b, &cx.call(), key, Some(new), format!("save {n} in {what}")).await?;
            } else {
                old_or_new(&cx, &b, key, [old, new], &format!("after {what}")).await?;
            }
        }
    }
    capacity(&cx, [&a, &b], "after bursts that were half dropped").await
}

async fn stalled(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let mut whole = 0;
    for polls in 1..MOST_POLLS {
        let (key, first) = (key(), cx.record());
        is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
        let second = next(&first);
        let call = cx.call();
        let mut load = a.load(&call, &key);
        let mut save = a.save(&call, &key, first.version, &second);
        let begun = async { (dropped_after(polls, &mut load).await, dropped_after(polls, &mut save).await) };
        let (loaded, saved) = within(cx.patience(), "a load and a save that are begun", begun).await?;
        let ready = loaded.is_some() && saved.is_some();

        let when = format!("while a load and a save of one session stand still at their await point {polls}");
        let others = async {
            for store in [&a, &b] {
                old_or_new(&cx, store, &key, [&first, &second], &when).await?;
                life(&cx, store).await.map_err(|failure| Failure::new(format!("{when}: {failure}")))?;
            }
            Ok(())
        };
        within(cx.patience(), format!("the calls of others {when}"), others).await??;

        let late = format!("that stood still at its await point {polls}");
        let ends = async { (answer(loaded, load).await, answer(saved, save).await) };
        let (loaded, saved) = within(cx.patience(), format!("a call {late}"), ends).await?;
        let seen = ok(loaded, format!("a load {late}"))?;
        ensure!(seen.is_some_and(|seen| seen == first || seen == second), "a load {late} shows neither record");
        is(saved, Done, format!("a save {late}"))?;
        shows(&*b, &cx.call(), &key, Some(&second), format!("after a save {late}")).await?;
        whole += u32::from(ready);
        if whole == 3 {
            break;
        }
    }
    Ok(())
}

/// Checks that 128 concurrent calls work, so that the dropped ones leak no connection.
async fn capacity(cx: &Context, stores: [&Instance; 2], when: &str) -> Verdict {
    let calls = (0..128).map(|n| {
        let (cx, store) = (cx.clone(), stores[n % 2].clone());
        async move { life(&cx, &store).await }
    });
    let what = format!("128 tasks at once {when}");
    for ended in within(4 * cx.patience(), &what, at_once(calls)).await? {
        ended.map_err(|failure| Failure::new(format!("one of {what}: {failure}")))?;
    }
    Ok(())
}

/// Runs a session from its creation to its deletion.
async fn life(cx: &Context, store: &Instance) -> Verdict {
    let (call, key, record) = (cx.call(), key(), cx.record());
    is(store.create(&call, &key, &record).await, Done, "create")?;
    let newer = next(&record);
    is(store.save(&call, &key, record.version, &newer).await, Done, "save")?;
    shows(&**store, &call, &key, Some(&newer), "load").await?;
    is(store.delete(&call, &key, Some(newer.version)).await, Done, "delete")
}
