//! Clauses about data that a store may refuse.

use bytes::Bytes;
use session_core::ErrorKind::TooLarge;
use session_core::Outcome::Done;

use crate::check::{all_show, errs, is};
use crate::clause::clause;
use crate::context::{key, next};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[clause!(
    "limits.too-large",
    [MaxDataLen],
    too_large,
    "One byte over the stated length is TooLarge and changes nothing, and the store still works."
)];

async fn too_large(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let longest = cx.can().max_data_len.unwrap_or_default();
    let over = Bytes::from(vec![b'x'; longest + 1]);
    let (key, record) = (key(), cx.record());
    let mut fat = cx.record();
    fat.data = over.clone();
    errs(a.create(&cx.call(), &key, &fat).await, TooLarge, "creating one byte over the limit")?;
    all_show([&a, &b], &cx.call(), &key, None, "after a create over the limit").await?;
    is(a.create(&cx.call(), &key, &record).await, Done, "creating after a create over the limit")?;

    let mut fat = next(&record);
    fat.data = over.slice(..);
    errs(b.save(&cx.call(), &key, record.version, &fat).await, TooLarge, "saving one byte over the limit")?;
    all_show([&a, &b], &cx.call(), &key, Some(&record), "after a save over the limit").await?;
    fat.data = over.slice(1..);
    is(b.save(&cx.call(), &key, record.version, &fat).await, Done, "saving exactly as much as the limit")?;
    all_show([&a, &b], &cx.call(), &key, Some(&fat), "after a save of exactly as much as the limit").await
}
