//! Clauses about opening a store: several instances at once, and again after closing.

use session_core::Outcome::Done;

use crate::check::{at_once, is, lists, shows};
use crate::clause::clause;
use crate::context::{key, next, principal};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!("open.concurrent", [], concurrent, "Eight instances opened at once on a fresh namespace all work."),
    clause!("open.again", [Durable], again, "A new instance sees what the closed ones wrote."),
];

async fn concurrent(cx: Context) -> Verdict {
    for _ in 0..3 {
        let namespace = if cx.subject().namespaces { cx.another_namespace() } else { cx.namespace().to_owned() };
        let opening = (0..8).map(|_| {
            let (cx, namespace) = (cx.clone(), namespace.clone());
            async move { cx.open(&namespace).await }
        });
        let mut stores = Vec::new();
        for opened in at_once(opening).await {
            stores.push(opened?);
        }
        for (n, store) in stores.iter().enumerate() {
            let (key, record) = (key(), cx.record());
            let what = format!("creating on instance {n} of 8 that were opened at once");
            is(store.create(&cx.call(), &key, &record).await, Done, what)?;
            let seen_by = if cx.can().shared { (n + 1) % 8 } else { n };
            let what = format!("a record of instance {n}, seen by instance {seen_by}, both opened at once");
            shows(&*stores[seen_by], &cx.call(), &key, Some(&record), what).await?;
        }
    }
    Ok(())
}

async fn again(cx: Context) -> Verdict {
    let ann = principal("ann")?;
    let (kept, gone) = (key(), key());
    let mut record = cx.record_of(&ann);
    for n in 0..3 {
        let store = cx.one().await?;
        if n == 0 {
            is(store.create(&cx.call(), &kept, &record).await, Done, "creating a record")?;
            is(store.create(&cx.call(), &gone, &cx.record()).await, Done, "creating another")?;
            is(store.delete(&cx.call(), &gone, None).await, Done, "deleting the other")?;
        } else {
            let what = format!("after the store was closed and opened {n} times");
            shows(&*store, &cx.call(), &kept, Some(&record), &what).await?;
            shows(&*store, &cx.call(), &gone, None, format!("{what}: a deleted record")).await?;
            if cx.can().by_principal {
                lists(&*store, &cx.call(), &ann, &[&kept], &what).await?;
            }
            let newer = next(&record);
            is(store.save(&cx.call(), &kept, record.version, &newer).await, Done, format!("{what}: a save"))?;
            record = newer;
        }
    }
    Ok(())
}
