//! Clauses about `touch`, which extends the expiry of a live record.

use std::time::Duration;

use session_core::Outcome::{Conflict, Done, Missing};
use session_core::{Call, Timestamp, Version, hours, minutes, seconds};

use crate::check::{all_show, at_once, ensure, is, lists, ok, shows};
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
    clause!(
        "touch.conflict",
        [],
        conflict,
        "A touch that expects another version is Conflict and moves nothing, whatever has taken the record's place."
    ),
    clause!("touch.twice", [], twice, "The same touch again is Done and changes nothing."),
    clause!(
        "touch.race",
        [],
        race,
        "A touch beside a save from the same version never moves the saved record, and is Conflict once the save is Done."
    ),
    clause!(
        "touch.burst",
        [],
        burst,
        "Of many touches at once, of right, other and no versions, each gets its own answer."
    ),
];

async fn extends(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, mut record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    for millis in [1, 999, 1_000, 3_600_007] {
        record.expires_at = record.expires_at.plus(Duration::from_millis(millis));
        is(
            b.touch(&cx.call(), &key, record.version, record.expires_at).await,
            Done,
            format!("a touch by {millis} ms"),
        )?;
        let last = Call::new(record.expires_at.minus(Duration::from_millis(1)));
        all_show([&a, &b], &last, &key, Some(&record), format!("1 ms before an expiry moved by {millis} ms")).await?;
        shows(&*a, &Call::new(record.expires_at), &key, None, format!("at an expiry moved by {millis} ms")).await?;
    }
    // A touch just before the old expiry still counts after it.
    let last = Call::new(record.expires_at.minus(Duration::from_millis(1)));
    record.expires_at = record.expires_at.plus(hours(1));
    is(a.touch(&last, &key, record.version, record.expires_at).await, Done, "a touch in the last live millisecond")?;
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
        is(b.touch(&cx.call(), &key, record.version, at).await, Done, format!("a touch {name}"))?;
        all_show([&a, &b], &cx.call(), &key, Some(&record), format!("after a touch {name}")).await?;
    }
    // Concurrent touches end at the latest instant, in any order.
    let touches = (0..16).map(|n| {
        let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
        let at = record.expires_at.plus(minutes(if n == 5 { 100 } else { n }));
        let version = record.version;
        async move { store.touch(&call, &key, version, at).await }
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
    is(b.touch(&cx.call(), &key, before, record.expires_at).await, Done, "a touch")?;
    all_show([&a, &b], &cx.call(), &key, Some(&record), "after a touch").await?;
    if cx.can().by_principal {
        // Past the old expiry: an index entry that expires must be extended with the record.
        lists(&*a, &cx.later(hours(2)), &ann, &[&key], "after a touch, past the old expiry").await?;
        let rows = ok(b.sessions_of(&cx.call(), &ann, crate::check::BOUND).await, "sessions_of after a touch")?;
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
    is(a.touch(&cx.call(), &key, record.version, farther).await, Missing, "a touch of an unknown key")?;
    all_show([&a, &b], &cx.call(), &key, None, "after a touch of an unknown key").await?;
    is(a.create(&cx.call(), &key, &record).await, Done, "creating under a key that was only touched")?;
    is(b.delete(&cx.call(), &key, None).await, Done, "deleting it")?;
    is(a.touch(&cx.call(), &key, record.version, farther).await, Missing, "a touch of a deleted key")?;
    all_show([&a, &b], &cx.call(), &key, None, "after a touch of a deleted key").await
}

async fn expired(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    let then = Call::new(record.expires_at);
    is(
        b.touch(&then, &key, record.version, cx.now().plus(hours(5))).await,
        Missing,
        "a touch at the instant of the expiry",
    )?;
    all_show([&a, &b], &then, &key, None, "after a touch of an expired record").await
}

async fn conflict(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    let (key, first) = (key(), cx.record_of(&ann));
    is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
    let farther = cx.now().plus(hours(24));
    let refused = async |stored, expected, at, what: &str| {
        is(b.touch(&cx.call(), &key, expected, at).await, Conflict, format!("a touch of {what}"))?;
        all_show([&a, &b], &cx.call(), &key, Some(stored), format!("after a touch of {what}")).await
    };
    refused(&first, Version::random(), farther, "a version that never was").await?;

    let second = next(&first);
    is(a.save(&cx.call(), &key, first.version, &second).await, Done, "a save")?;
    refused(&second, first.version, farther, "the version before the save").await?;
    refused(&second, first.version, second.expires_at, "the version before the save, out to the expiry").await?;
    refused(&second, first.version, Timestamp::MIN, "the version before the save, out to 1970").await?;

    // A logout leaves a record for a minute. A late request must not extend it.
    let mut last = next(&second);
    (last.data, last.principal, last.expires_at) = (b"\0"[..].into(), None, cx.now().plus(seconds(60)));
    is(b.save(&cx.call(), &key, second.version, &last).await, Done, "a save that leaves a record for a minute")?;
    refused(&last, second.version, farther, "the version before that save").await?;
    let gone = cx.later(seconds(60));
    all_show([&a, &b], &gone, &key, None, "a minute later, after a touch of the version before").await?;
    is(a.touch(&gone, &key, second.version, farther).await, Missing, "a touch of the version before, a minute later")?;
    if cx.can().by_principal {
        lists(&*a, &cx.call(), &ann, &[], "after touches of versions of theirs that are no longer stored").await?;
    }

    is(a.delete(&cx.call(), &key, None).await, Done, "a delete")?;
    let again = cx.record();
    is(b.create(&cx.call(), &key, &again).await, Done, "creating under the key again")?;
    refused(&again, last.version, farther, "the version before the delete").await
}

async fn twice(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, mut record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    record.expires_at = record.expires_at.plus(minutes(7));
    for (store, what) in [(&a, "a touch"), (&a, "the same touch again"), (&b, "the same touch by another instance")] {
        is(store.touch(&cx.call(), &key, record.version, record.expires_at).await, Done, what)?;
        all_show([&a, &b], &cx.call(), &key, Some(&record), format!("after {what}")).await?;
    }
    Ok(())
}

async fn race(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for round in 0..20 {
        let (key, first) = (key(), cx.record());
        is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
        let (second, farther) = (next(&first), first.expires_at.plus(hours(1)));
        let calls = (0..9).map(|n| {
            let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
            let (expected, second) = (first.version, second.clone());
            async move {
                match n == round % 9 {
                    true => store.save(&call, &key, expected, &second).await,
                    false => store.touch(&call, &key, expected, farther).await,
                }
            }
        });
        for (n, answer) in at_once(calls).await.into_iter().enumerate() {
            if n == round % 9 {
                is(answer, Done, "the only save, beside touches of the version that it expects")?;
                continue;
            }
            let touched = ok(answer, "a touch beside a save")?;
            ensure!(matches!(touched, Done | Conflict), "a touch beside a save answered {touched:?}");
        }
        all_show([&a, &b], &cx.call(), &key, Some(&second), "after a save and touches of the version before").await?;
        is(b.touch(&cx.call(), &key, first.version, farther).await, Conflict, "a touch after the save was Done")?;
        shows(&*a, &cx.call(), &key, Some(&second), "after a touch that came after the save").await?;
    }
    Ok(())
}

async fn burst(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for round in 0..4 {
        let mut rows = Vec::new();
        for n in 0..64 {
            let (key, mut record) = (key(), cx.record());
            if n % 4 == 3 {
                record.expires_at = cx.now();
            }
            if n % 4 != 2 {
                is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
            }
            let expected = if n % 4 == 1 { Version::random() } else { record.version };
            rows.push((key, record, expected));
        }
        let farther = cx.now().plus(hours(2 + round));
        let touches = rows.iter().enumerate().map(|(n, (key, _, expected))| {
            let (store, call) = (if n % 8 < 4 { a.clone() } else { b.clone() }, cx.call());
            let (key, expected) = (*key, *expected);
            async move { store.touch(&call, &key, expected, farther).await }
        });
        let answers = at_once(touches).await;
        for (n, (answer, (key, record, _))) in answers.into_iter().zip(&mut rows).enumerate() {
            let (want, what) = match n % 4 {
                0 => (Done, "a touch of the version stored, beside many"),
                1 => (Conflict, "a touch of another version, beside many"),
                2 => (Missing, "a touch of an unknown key, beside many"),
                _ => (Missing, "a touch of an expired record, beside many"),
            };
            is(answer, want, what)?;
            if want == Done {
                record.expires_at = farther;
            }
            let shown = Some(&*record).filter(|_| want != Missing);
            shows(&*b, &cx.call(), key, shown, format!("after {what}")).await?;
        }
    }
    Ok(())
}
