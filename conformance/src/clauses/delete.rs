//! Clauses about `delete`, which removes a record for good.

use session_core::Outcome::{Conflict, Done, Missing};
use session_core::{Call, Outcome, Version, hours, minutes};

use crate::check::{all_show, at_once, ensure, is, lists, ok, shows};
use crate::clause::clause;
use crate::context::{key, next, principal};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "delete.removes",
        [],
        removes,
        "A deleted record is gone at once, for every instance, whatever their `now`."
    ),
    clause!("delete.again", [], again, "A second delete, one of an unknown and one of an expired record are Missing."),
    clause!("delete.stale", [], stale, "A delete that expects another version is Conflict and removes nothing."),
    clause!(
        "delete.beats-writers",
        [],
        beats_writers,
        "Whatever saves and touches are in flight, once a delete was Done and they have ended nothing is live under the key."
    ),
];

async fn removes(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    for expecting in [false, true] {
        let (key, record) = (key(), cx.record_of(&ann));
        let (other, bystander) = (crate::context::key(), cx.record());
        is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
        is(a.create(&cx.call(), &other, &bystander).await, Done, "creating a bystander")?;
        // Reads the record on both instances, so that a cache would hold it.
        all_show([&a, &b], &cx.call(), &key, Some(&record), "before the delete").await?;
        let expected = expecting.then_some(record.version);
        is(a.delete(&cx.call(), &key, expected).await, Done, "deleting a live record")?;
        all_show([&a, &b], &cx.call(), &key, None, "after the delete").await?;
        shows(&*b, &Call::new(cx.now().minus(hours(1))), &key, None, "an earlier `now` after the delete").await?;
        all_show([&a, &b], &cx.call(), &other, Some(&bystander), "a bystander of the delete").await?;
        if cx.can().by_principal {
            lists(&*b, &cx.call(), &ann, &[], "after the delete").await?;
        }
        is(b.create(&cx.call(), &key, &next(&record)).await, Done, "creating under the deleted key")?;
        is(b.delete(&cx.call(), &key, None).await, Done, "deleting it once more")?;
    }
    Ok(())
}

async fn again(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record());
    is(a.delete(&cx.call(), &key, None).await, Missing, "deleting an unknown key")?;
    is(a.delete(&cx.call(), &key, Some(Version::random())).await, Missing, "deleting a version of an unknown key")?;
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    is(a.delete(&cx.call(), &key, None).await, Done, "deleting it")?;
    is(b.delete(&cx.call(), &key, None).await, Missing, "deleting it again")?;
    is(b.delete(&cx.call(), &key, Some(record.version)).await, Missing, "deleting its version again")?;
    let expired = crate::context::key();
    is(a.create(&cx.call(), &expired, &record).await, Done, "creating a record that expires")?;
    is(b.delete(&cx.later(hours(1)), &expired, None).await, Missing, "deleting an expired record")?;
    shows(&*a, &cx.later(hours(1)), &expired, None, "after deleting an expired record").await
}

async fn stale(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, first) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
    let second = next(&first);
    is(b.save(&cx.call(), &key, first.version, &second).await, Done, "a save")?;
    is(a.delete(&cx.call(), &key, Some(first.version)).await, Conflict, "deleting the version before")?;
    all_show([&a, &b], &cx.call(), &key, Some(&second), "after a delete that was refused").await?;
    is(a.delete(&cx.call(), &key, Some(second.version)).await, Done, "deleting the version stored")?;
    all_show([&a, &b], &cx.call(), &key, None, "after the delete").await
}

async fn beats_writers(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for round in 0..20_u64 {
        let (key, first) = (key(), cx.record());
        is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
        let farther = first.expires_at.plus(minutes(round));
        // Saves and touches use the version that they have loaded, like a request. Task 12 deletes.
        let writers = (0..13_u64).map(|n| {
            let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
            let first = first.clone();
            async move {
                if n == 12 {
                    return store.delete(&call, &key, None).await;
                }
                let mut last = Done;
                for _ in 0..4 {
                    let seen = store.load(&call, &key).await?.unwrap_or_else(|| first.clone());
                    last = if n % 3 == 0 {
                        store.touch(&call, &key, seen.version, farther).await?
                    } else {
                        store.save(&call, &key, seen.version, &next(&seen)).await?
                    };
                }
                Ok::<Outcome, session_core::Error>(last)
            }
        });
        let mut answers = at_once(writers).await;
        let delete = answers.pop().unwrap_or(Ok(Missing));
        is(delete, Done, "a delete beside saves and touches")?;
        for answer in answers {
            let last = ok(answer, "a save or touch beside a delete")?;
            ensure!(last != Outcome::Exists, "a save or touch answered Exists");
        }
        all_show([&a, &b], &cx.call(), &key, None, "after a delete and the writers it raced with").await?;
    }
    Ok(())
}
