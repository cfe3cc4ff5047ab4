//! Clauses about `purge`, which removes expired records, a limited number at a time.

use std::num::NonZeroU32;
use std::time::Duration;

use session_core::Outcome::{Done, Missing};
use session_core::{Call, Clock as _, Record, StoreKey, SystemClock, Timestamp, hours, minutes, seconds};

use crate::check::{BOUND, all_show, at_once, ensure, is, lists, ok, shows};
use crate::clause::clause;
use crate::context::{Instance, key, next, principal, today};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "purge.only-expired",
        [KeepsExpired],
        only_expired,
        "A purge removes what is expired and keeps what is live."
    ),
    clause!(
        "purge.takes-nothing-live",
        [KeepsExpired],
        takes_nothing_live,
        "Purges with a limit, among many live records, remove exactly the expired ones, whatever order they were written in."
    ),
    clause!(
        "purge.two-clocks",
        [KeepsExpired],
        two_clocks,
        "A purge removes only what both `now` and the server's clock call expired: neither a `now` in 2099 nor one in the past removes more."
    ),
    clause!(
        "purge.bounded",
        [KeepsExpired],
        bounded,
        "A purge never removes more than `limit`, says `more` until it is done, and its counts add up."
    ),
    clause!(
        "purge.later-now",
        [KeepsExpired],
        later_now,
        "When purges that say `more` go on with a later `now`, the last of them leaves nothing that had expired by the first of these."
    ),
    clause!(
        "purge.spares-done",
        [KeepsExpired],
        spares_done,
        "What a touch or save answered Done for while purges run is still there."
    ),
];

/// Returns a record that was live two hours ago by the system's clock and has expired since.
fn past(cx: &Context, expired_for: Duration) -> Record {
    let mut record = cx.record();
    record.created_at = today().minus(hours(3));
    record.expires_at = today().minus(expired_for);
    record
}

/// Returns a call made two hours ago.
fn back_then() -> Call {
    Call::new(today().minus(hours(2)))
}

/// Returns a call made now, by the system's clock.
fn at_present() -> Call {
    Call::new(SystemClock.now())
}

/// Purges until there is no more. Returns the number of removed records.
async fn purge_all(store: &Instance, call: &Call, limit: NonZeroU32) -> Result<u32, Failure> {
    let mut removed = 0;
    for _ in 0..1_000 {
        let purged = ok(store.purge(call, limit).await, "purge")?;
        ensure!(purged.removed <= limit.get(), "a purge with limit {limit} removed {}", purged.removed);
        removed += purged.removed;
        if !purged.more {
            return Ok(removed);
        }
    }
    Err(Failure::new("purge still says `more` after 1000 calls"))
}

async fn only_expired(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    let purged = ok(a.purge(&at_present(), BOUND).await, "purging an empty store")?;
    ensure!(purged.removed == 0 && !purged.more, "purging an empty store answers {purged:?}");

    let (mut expired, mut live) = (Vec::new(), Vec::new());
    for n in 0..12_u64 {
        let mut old = past(&cx, seconds(1 + n * n * 40));
        old.principal = (n % 2 == 0).then(|| ann.clone());
        let mut young = cx.record();
        young.expires_at = today().plus(minutes(5 + n));
        for (record, keys) in [(old, &mut expired), (young, &mut live)] {
            let key = key();
            is(a.create(&back_then(), &key, &record).await, Done, "creating a record two hours ago")?;
            shows(&*b, &back_then(), &key, Some(&record), "a record created two hours ago, two hours ago").await?;
            keys.push((key, record));
        }
    }
    let removed = purge_all(&b, &at_present(), BOUND).await?;
    ensure!(removed == 12, "12 records are expired; purge removed {removed}");
    for (key, _) in &expired {
        all_show([&a, &b], &back_then(), key, None, "a purged record, seen with an earlier `now`").await?;
    }
    for (key, record) in &live {
        all_show([&a, &b], &at_present(), key, Some(record), "a live record after a purge").await?;
    }
    if cx.can().by_principal {
        lists(&*a, &back_then(), &ann, &[], "the principal of purged records").await?;
    }
    Ok(())
}

/// Writes so many records that some of them have the same place in different partitions of a table.
async fn takes_nothing_live(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (mut expired, mut live) = (Vec::new(), Vec::new());
    for n in 0..96 {
        let (key, mut record) = (key(), past(&cx, minutes(30)));
        if n % 3 != 0 {
            record.expires_at = today().plus(minutes(30));
        }
        is(a.create(&back_then(), &key, &record).await, Done, "creating a record two hours ago")?;
        if n % 3 == 0 { expired.push(key) } else { live.push((key, record)) }
    }
    let limit = NonZeroU32::new(10).unwrap_or(NonZeroU32::MIN);
    let removed = purge_all(&a, &at_present(), limit).await?;
    for (key, record) in &live {
        shows(&*b, &at_present(), key, Some(record), "a live record after purges").await?;
    }
    let left = left(&b, &expired).await?;
    ensure!(removed == 32 && left == 0, "32 records are expired; purges removed {removed} and left {left} of them");
    Ok(())
}

async fn two_clocks(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (live, mut record) = (key(), cx.record());
    record.expires_at = today().plus(minutes(30));
    is(a.create(&at_present(), &live, &record).await, Done, "creating a record for half an hour")?;
    let (old, expired) = (key(), past(&cx, hours(1)));
    is(a.create(&back_then(), &old, &expired).await, Done, "creating a record two hours ago")?;

    let slow = ok(a.purge(&back_then(), BOUND).await, "a purge by a clock that is two hours slow")?;
    ensure!(slow.removed == 0, "a purge with `now` two hours ago removed {} records that were live then", slow.removed);
    all_show([&a, &b], &back_then(), &old, Some(&expired), "after a purge by a clock that is two hours slow").await?;

    let in_2099 = Call::new(ok(Timestamp::from_millis(4_070_908_800_000), "an instant in 2099")?);
    let removed = purge_all(&b, &in_2099, BOUND).await?;
    ensure!(
        removed == 1,
        "a purge with `now` in 2099 should remove the 1 record that the server's clock calls expired, removed {removed}"
    );
    all_show([&a, &b], &at_present(), &live, Some(&record), "after a purge with `now` in 2099").await
}

async fn bounded(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let mut keys = Vec::new();
    for _ in 0..20 {
        let (key, record) = (key(), past(&cx, hours(1)));
        is(a.create(&back_then(), &key, &record).await, Done, "creating a record two hours ago")?;
        keys.push(key);
    }
    let limit = NonZeroU32::new(7).unwrap_or(NonZeroU32::MIN);
    let (mut removed, mut calls) = (0, 0);
    loop {
        let before = left(&b, &keys).await?;
        let purged = ok(a.purge(&at_present(), limit).await, "a purge with limit 7")?;
        let after = left(&b, &keys).await?;
        removed += purged.removed;
        calls += 1;
        ensure!(before - after <= 7, "a purge with limit 7 removed {}", before - after);
        ensure!(purged.removed == before - after, "a purge says {} and removed {}", purged.removed, before - after);
        ensure!(purged.more || after == 0, "a purge says that there is no more, and {after} expired records are left");
        ensure!(calls <= 40, "20 records with limit 7 are not purged after {calls} calls");
        if !purged.more {
            break;
        }
    }
    ensure!(removed == 20, "20 records are expired; the purges' counts add up to {removed}");
    Ok(())
}

async fn later_now(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let mut keys = Vec::new();
    // A store that purges in the order of its keys meets most of the later ones before the last of the earlier ones.
    for n in 0..40 {
        let (key, record) = (key(), past(&cx, if n < 6 { minutes(90) } else { minutes(30) }));
        is(a.create(&back_then(), &key, &record).await, Done, "creating a record two hours ago")?;
        keys.push(key);
    }
    let limit = NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN);
    let first = ok(a.purge(&Call::new(today().minus(hours(1))), limit).await, "a purge with `now` an hour ago")?;
    ensure!(first.removed == 5 && first.more, "6 records had expired an hour ago; a purge with limit 5 says {first:?}");
    let removed = purge_all(&a, &at_present(), limit).await?;
    let left = left(&b, &keys).await?;
    ensure!(
        removed == 35 && left == 0,
        "35 expired records are left by a purge an hour ago; those after it, with the present `now`, removed {removed} and left {left}"
    );
    Ok(())
}

/// Returns how many of the expired records are still stored.
async fn left(store: &Instance, keys: &[StoreKey]) -> Result<u32, Failure> {
    let mut count = 0;
    for key in keys {
        count += u32::from(ok(store.load(&back_then(), key).await, "loading with an earlier `now`")?.is_some());
    }
    Ok(count)
}

async fn spares_done(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let limit = NonZeroU32::new(5).unwrap_or(NonZeroU32::MIN);
    for _ in 0..5 {
        let mut rows = Vec::new();
        for _ in 0..24 {
            let (key, record) = (key(), past(&cx, hours(1)));
            is(a.create(&back_then(), &key, &record).await, Done, "creating a record two hours ago")?;
            rows.push((key, record));
        }
        // A node with a slow clock still writes records that are expired by the right time, while others purge.
        let future = today().plus(hours(1));
        let writers = rows.iter().cloned().enumerate().map(|(n, (key, record))| {
            let store = if n % 2 == 0 { a.clone() } else { b.clone() };
            async move {
                if n % 3 == 0 {
                    return store.touch(&back_then(), &key, record.version, future).await;
                }
                let mut newer = next(&record);
                newer.expires_at = future;
                store.save(&back_then(), &key, record.version, &newer).await
            }
        });
        let store = b.clone();
        let purges = tokio::spawn(async move { purge_all(&store, &at_present(), limit).await });
        let answers = at_once(writers).await;
        purges.await.map_err(|broken| Failure::new(format!("a purge broke: {broken}")))??;
        for (answer, (key, _)) in answers.into_iter().zip(&rows) {
            let outcome = ok(answer, "a touch or save beside purges")?;
            let stored = ok(a.load(&at_present(), key).await, "loading after the purges")?.is_some();
            match outcome {
                Done => ensure!(stored, "a touch or save was Done, and a purge removed the record all the same"),
                Missing => ensure!(!stored, "a touch or save was Missing, and the record is live"),
                other => return Err(Failure::new(format!("a touch or save beside purges answered {other:?}"))),
            }
        }
    }
    Ok(())
}
