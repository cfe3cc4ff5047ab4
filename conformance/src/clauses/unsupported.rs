//! Clauses about capabilities that a store does not state: their operations must refuse.

use session_core::ErrorKind::Unsupported;
use session_core::Outcome::Done;

use crate::check::{BOUND, all_show, errs, is};
use crate::clause::clause;
use crate::context::{key, principal};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "unsupported.sessions_of",
        [NotByPrincipal],
        sessions_of,
        "`sessions_of` without the capability answers Unsupported and changes nothing."
    ),
    clause!(
        "unsupported.delete_all",
        [NotByPrincipal],
        delete_all,
        "`delete_all` without the capability answers Unsupported and changes nothing."
    ),
    clause!(
        "unsupported.scan",
        [NotScan],
        scan,
        "`scan` without the capability answers Unsupported and changes nothing."
    ),
];

async fn sessions_of(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    let (key, record) = (key(), cx.record_of(&ann));
    errs(a.sessions_of(&cx.call(), &ann, BOUND).await, Unsupported, "sessions_of in an empty store")?;
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record with a principal")?;
    errs(b.sessions_of(&cx.call(), &ann, BOUND).await, Unsupported, "sessions_of")?;
    all_show([&a, &b], &cx.call(), &key, Some(&record), "after sessions_of was refused").await
}

async fn delete_all(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    let (key, record) = (key(), cx.record_of(&ann));
    errs(a.delete_all(&cx.call(), &ann, None).await, Unsupported, "delete_all in an empty store")?;
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record with a principal")?;
    errs(b.delete_all(&cx.call(), &ann, None).await, Unsupported, "delete_all")?;
    errs(b.delete_all(&cx.call(), &ann, Some(&crate::context::key())).await, Unsupported, "delete_all that keeps one")?;
    all_show([&a, &b], &cx.call(), &key, Some(&record), "after delete_all was refused").await
}

async fn scan(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record());
    errs(a.scan(&cx.call(), None, BOUND).await, Unsupported, "scan of an empty store")?;
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    errs(b.scan(&cx.call(), None, BOUND).await, Unsupported, "scan")?;
    all_show([&a, &b], &cx.call(), &key, Some(&record), "after scan was refused").await
}
