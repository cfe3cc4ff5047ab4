//! Clauses about closing a store.

use std::sync::Arc;

use futures_util::future::join_all;
use session_core::Outcome::Done;
use session_core::{ErrorKind, Outcome, Record, Result as CoreResult, StoreKey};
use tokio::sync::Semaphore;

use crate::check::{is, ok, shows, within};
use crate::clause::clause;
use crate::context::{key, next};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "close.kept",
        [Durable],
        kept,
        "What was confirmed before a store was closed is there when it is opened again."
    ),
    clause!(
        "close.twice",
        [],
        twice,
        "Closing a store again does nothing and is no error, and later calls are Unavailable or as usual."
    ),
    clause!(
        "close.in-flight",
        [Durable],
        in_flight,
        "A call in flight when the store is closed is Done or Unavailable, and what was Done is there when it is opened again."
    ),
];

async fn kept(cx: Context) -> Verdict {
    let (first, gone) = (key(), key());
    let mut record = cx.record();
    let store = cx.one().await?;
    is(store.create(&cx.call(), &first, &record).await, Done, "creating a record")?;
    is(store.create(&cx.call(), &gone, &cx.record()).await, Done, "creating another")?;
    for n in 1..=3 {
        let store = if n == 1 { Arc::clone(&store) } else { cx.one().await? };
        let newer = next(&record);
        is(store.save(&cx.call(), &first, record.version, &newer).await, Done, format!("save {n}"))?;
        record = newer;
        if n == 1 {
            is(store.delete(&cx.call(), &gone, None).await, Done, "deleting the other")?;
        }
        closes(&cx, &store, "after the last call").await?;
        let again = cx.one().await?;
        shows(&*again, &cx.call(), &first, Some(&record), format!("after the store was closed {n} times")).await?;
        shows(&*again, &cx.call(), &gone, None, "a record that was deleted before the store was closed").await?;
    }
    Ok(())
}

async fn twice(cx: Context) -> Verdict {
    let (store, key, record) = (cx.one().await?, key(), cx.record());
    is(store.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    let clone = Arc::clone(&store);
    for (instance, when) in [(&store, "for the first time"), (&store, "again"), (&clone, "by its clone")] {
        closes(&cx, instance, when).await?;
        let loaded =
            within(cx.patience(), "a load after the store was closed", instance.load(&cx.call(), &key)).await?;
        match loaded {
            Err(error) if error.kind() == ErrorKind::Unavailable => {}
            Ok(Some(found)) if found == record => {}
            other => return Err(Failure::new(format!("a load after the store was closed {when} answers {other:?}"))),
        }
    }
    Ok(())
}

async fn in_flight(cx: Context) -> Verdict {
    for round in 0..8 {
        let store = cx.one().await?;
        let records: Vec<(StoreKey, Record)> = (0..32).map(|_| (key(), cx.record())).collect();
        let begun = Arc::new(Semaphore::new(0));
        let creates = records.iter().map(|(key, record)| {
            let (store, call, key, record, begun) =
                (Arc::clone(&store), cx.call(), *key, record.clone(), Arc::clone(&begun));
            tokio::spawn(async move {
                begun.add_permits(1);
                store.create(&call, &key, &record).await
            })
        });
        let creates: Vec<_> = creates.collect();
        // So many have begun. The others meet a store that is closing or closed.
        drop(begun.acquire_many(round * 4).await);
        closes(&cx, &store, "with calls in flight").await?;
        let mut answers: Vec<CoreResult<Outcome>> = Vec::new();
        for create in join_all(creates).await {
            answers.push(create.map_err(|_| Failure::new("a create panicked while the store was closed"))?);
        }
        let again = cx.one().await?;
        for ((key, record), answer) in records.iter().zip(answers) {
            match answer {
                Ok(Done) => {
                    shows(&*again, &cx.call(), key, Some(record), "a create that was Done while the store was closed")
                        .await?;
                }
                Err(error) if error.kind() == ErrorKind::Unavailable => {}
                other => return Err(Failure::new(format!("a create while the store was closed answers {other:?}"))),
            }
        }
    }
    Ok(())
}

/// Closes the store, which takes no longer than a call.
async fn closes(cx: &Context, store: &crate::context::Instance, when: &str) -> Verdict {
    ok(
        within(cx.patience(), format!("closing the store {when}"), store.close()).await?,
        format!("closing the store {when}"),
    )
}
