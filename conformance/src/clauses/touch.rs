//! `touch`: a live record's expiry, moved out.

use std::time::Duration;

use session_core::Outcome::{Done, Missing};
use session_core::{Call, Timestamp, hours, minutes};

use crate::check::{all_show, at_once, is, lists, ok, shows};
use crate::clause::clause;
use crate::context::{key, next, principal};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!("touch.extends", [], extends, "A touch moves the expiry out to the instant given, to the millisecond."),
    clause!(
        "touch.never-shortens",
        [],
        never_shortens,
        "A touch with a nearer instant is Done and leaves the expiry where it is."
    ),
    clause!(
        "touch.keeps-record",
        [],
        keeps_record,
        "A touch leaves version, data, principal, created_at and index as they are; a save from the version before still succeeds."
    ),
    clause!("touch.unknown", [], unknown, "A touch of an unknown or deleted key is Missing and creates nothing."),
    clause!("touch.expired", [], expired, "A touch of an expired record is Missing and does not revive it."),
];

async fn extends(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, mut record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    for millis in [1, 999, 1_000, 3_600_007] {
        record.expires_at = record.expires_at.plus(Duration::from_millis(millis));
        is(b.touch(&cx.call(), &key, record.expires_at).await, Done, format!("a touch by {millis} ms"))?;
        let last = Call::new(record.expires_at.minus(Duration::from_millis(1)));
        all_show([&a, &b], &last, &key, Some(&record), format!("1 ms before an expiry moved by {millis} ms")).await?;
        shows(&*a, &Call::new(record.expires_at), &key, None, format!("at an expiry moved by {millis} ms")).await?;
    }
    // A touch from just before the old expiry counts after it.
    let last = Call::new(record.expires_at.minus(Duration::from_millis(1)));
    record.expires_at = record.expires_at.plus(hours(1));
    is(a.touch(&last, &key, record.expires_at).await, Done, "a touch in the last live millisecond")?;
    shows(&*b, &Call::new(last.now.plus(minutes(30))), &key, Some(&record), "after a touch in the last millisecond")
        .await
}

async fn never_shortens(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    let nearer = [
        ("a millisecond nearer", record.expires_at.minus(Duration::from_millis(1))),
        ("at the expiry itself", record.expires_at),
        ("in the past", cx.now().minus(minutes(1))),
        ("in 1970", Timestamp::MIN),
    ];
    for (name, at) in nearer {
        is(b.touch(&cx.call(), &key, at).await, Done, format!("a touch {name}"))?;
        all_show([&a, &b], &cx.call(), &key, Some(&record), format!("after a touch {name}")).await?;
    }
    // Touches in any order end at the farthest.
    let touches = (0..16).map(|n| {
        let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
        let at = record.expires_at.plus(minutes(if n == 5 { 100 } else { n }));
        async move { store.touch(&call, &key, at).await }
    });
    for touched in at_once(touches).await {
        is(touched, Done, "one of 16 touches at once")?;
    }
    let mut farthest = record.clone();
    farthest.expires_at = record.expires_at.plus(minutes(100));
    shows(&*a, &cx.call(), &key, Some(&farthest), "after 16 touches at once").await
}

async fn keeps_record(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    let (key, mut record) = (key(), cx.record_of(&ann));
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    let before = record.version;
    record.expires_at = record.expires_at.plus(hours(3));
    is(b.touch(&cx.call(), &key, record.expires_at).await, Done, "a touch")?;
    all_show([&a, &b], &cx.call(), &key, Some(&record), "after a touch").await?;
    if cx.can().by_principal {
        // Past the old expiry: an index that expires has to move with the record.
        lists(&*a, &cx.later(hours(2)), &ann, &[&key], "after a touch, past the old expiry").await?;
        let rows = ok(b.sessions_of(&cx.call(), &ann, crate::context::BOUND).await, "sessions_of after a touch")?;
        if let Some((_, shown)) = rows.first() {
            crate::check::same(shown, &record, "the record that sessions_of shows after a touch")?;
        }
    }
    let newer = next(&record);
    is(a.save(&cx.call(), &key, before, &newer).await, Done, "a save from the version before the touch")?;
    all_show([&a, &b], &cx.call(), &key, Some(&newer), "after a touch and a save").await
}

async fn unknown(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record());
    let farther = cx.now().plus(hours(2));
    is(a.touch(&cx.call(), &key, farther).await, Missing, "a touch of an unknown key")?;
    all_show([&a, &b], &cx.call(), &key, None, "after a touch of an unknown key").await?;
    is(a.create(&cx.call(), &key, &record).await, Done, "creating under a key that was only touched")?;
    is(b.delete(&cx.call(), &key, None).await, Done, "deleting it")?;
    is(a.touch(&cx.call(), &key, farther).await, Missing, "a touch of a deleted key")?;
    all_show([&a, &b], &cx.call(), &key, None, "after a touch of a deleted key").await
}

async fn expired(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    let then = Call::new(record.expires_at);
    is(b.touch(&then, &key, cx.now().plus(hours(5))).await, Missing, "a touch at the instant of the expiry")?;
    all_show([&a, &b], &then, &key, None, "after a touch of an expired record").await
}
