//! Clauses about `sessions_of` and `delete_all`: all sessions of a principal, and no others.

use std::num::NonZeroU32;

use session_core::Outcome::{Conflict, Done, Missing};
use session_core::{Call, Outcome, Principal, Record, StoreKey, Timestamp, hours, minutes};

use crate::check::{BOUND, all_show, at_once, ensure, is, listed, lists, ok, same};
use crate::clause::clause;
use crate::context::{Instance, key, next, principal};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "principal.lists",
        [ByPrincipal],
        lists_all,
        "`sessions_of` answers exactly the live sessions of that principal, with their records, and keeps to `limit`."
    ),
    clause!(
        "principal.exact",
        [ByPrincipal],
        exact,
        "Principals are compared byte for byte: case, blanks, patterns, quotes, emoji and 255 bytes are all different people."
    ),
    clause!(
        "principal.follows",
        [ByPrincipal],
        follows,
        "Saves, deletes, touches, expiries and creates over expired records keep the index true."
    ),
    clause!(
        "principal.delete-all",
        [ByPrincipal],
        delete_all,
        "`delete_all` removes all but `keep`, answers how many live ones, and touches no other principal's, not even as `keep`."
    ),
    clause!(
        "principal.delete-all-races",
        [ByPrincipal],
        delete_all_races,
        "A record that had the principal when `delete_all` began and kept it is gone after it, whatever saves and touches were in flight."
    ),
    clause!(
        "principal.own-clock",
        [ByPrincipal],
        own_clock,
        "A listing or `delete_all` with a `now` in 2099 finds no session and loses no live record's index entry."
    ),
    clause!(
        "principal.heals",
        [ByPrincipal],
        heals,
        "Index entries without records, left by a dead writer, are not shown, and healing them never loses a live record's entry."
    ),
];

async fn create(store: &Instance, call: &Call, record: &Record) -> Result<StoreKey, Failure> {
    let key = key();
    is(store.create(call, &key, record).await, Done, "creating a record of a principal")?;
    Ok(key)
}

async fn lists_all(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (ann, bob) = (principal("ann")?, principal("bob")?);
    lists(&*a, &cx.call(), &ann, &[], "in an empty store").await?;
    let mut rows = Vec::new();
    for n in 0..25 {
        let record = cx.record_of(&ann);
        rows.push((create(if n % 2 == 0 { &a } else { &b }, &cx.call(), &record).await?, record));
        // Other principals', anonymous and expired records between them.
        create(&a, &cx.call(), &cx.record_of(&bob)).await?;
        create(&a, &cx.call(), &cx.record()).await?;
        let mut expired = cx.record_of(&ann);
        expired.expires_at = cx.now();
        create(&a, &cx.call(), &expired).await?;
    }
    let keys: Vec<_> = rows.iter().map(|(key, _)| key).collect();
    for store in [&a, &b] {
        lists(&**store, &cx.call(), &ann, &keys, "25 sessions of ann").await?;
        lists(&**store, &cx.call(), &principal("carol")?, &[], "a principal without sessions").await?;
        for (key, shown) in ok(store.sessions_of(&cx.call(), &ann, BOUND).await, "sessions_of")? {
            let want = rows.iter().find(|(known, _)| *known == key).map(|(_, record)| record);
            same(&shown, want.unwrap_or(&shown), "a record that sessions_of shows")?;
        }
        for limit in [1, 10, 24, 25, 26] {
            let most = NonZeroU32::new(limit).unwrap_or(NonZeroU32::MIN);
            let shown = ok(store.sessions_of(&cx.call(), &ann, most).await, "sessions_of with a limit")?;
            let want = limit.min(25) as usize;
            ensure!(shown.len() == want, "sessions_of with limit {limit} of 25 live sessions answers {}", shown.len());
        }
    }
    Ok(())
}

async fn exact(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let long = "é".repeat(127);
    let texts = [
        "Ann",
        "ann",
        "ANN",
        "ann ",
        " ann",
        "an",
        "ann%",
        "a%",
        "%",
        "_",
        "a_n",
        "a*",
        "*",
        "a?n",
        "[a]nn",
        "ann\\",
        "ann'",
        "ann\"",
        "'; drop table sessions; --",
        "ann:1",
        "ann{1}",
        "ann\n",
        "ann\u{301}",
        "ánn",
        "a\u{301}nn",
        "🦀",
        "🦀🦀",
        "ß",
        "ss",
        "null",
        "NULL",
        "0",
        "00",
        "1",
        "01",
        "1.0",
        "-1",
        "true",
        "$1",
        "?",
    ];
    let mut people: Vec<Principal> = Vec::new();
    for text in texts {
        people.push(principal(text)?);
    }
    for tail in ["a", "b"] {
        people.push(principal(format!("{long}{tail}"))?);
    }
    people.push(principal(&long)?);
    let mut keys = Vec::new();
    for who in &people {
        keys.push(create(&a, &cx.call(), &cx.record_of(who)).await?);
    }
    for (who, key) in people.iter().zip(&keys) {
        lists(&*b, &cx.call(), who, &[key], "each of many principals has one session").await?;
    }
    for (n, who) in people.iter().enumerate() {
        let gone = ok(b.delete_all(&cx.call(), who, None).await, "delete_all of one of many principals")?;
        ensure!(gone == 1, "delete_all({:?}) should remove 1 session, removed {gone}", who.as_str());
        if let (Some(other), Some(key)) = (people.get(n + 1), keys.get(n + 1)) {
            lists(&*a, &cx.call(), other, &[key], format!("after delete_all({:?})", who.as_str())).await?;
        }
    }
    Ok(())
}

async fn follows(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (ann, bob) = (principal("ann")?, principal("bob")?);
    let (key, mut record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating an anonymous record")?;
    lists(&*b, &cx.call(), &ann, &[], "before a login").await?;
    let steps = [
        (Some(&ann), "a login"),
        (Some(&bob), "a change of principal"),
        (Some(&bob), "a save"),
        (None, "a save without"),
    ];
    for (who, name) in steps.into_iter().chain([(Some(&ann), "a login again")]) {
        let before = record.version;
        record = next(&record);
        record.principal = who.cloned();
        is(a.save(&cx.call(), &key, before, &record).await, Done, name)?;
        for person in [&ann, &bob] {
            let want: &[&StoreKey] = if who == Some(person) { &[&key] } else { &[] };
            lists(&*b, &cx.call(), person, want, format!("after {name}")).await?;
        }
    }
    record.expires_at = record.expires_at.plus(hours(1));
    is(b.touch(&cx.call(), &key, record.version, record.expires_at).await, Done, "a touch")?;
    lists(&*a, &cx.later(hours(1)), &ann, &[&key], "after a touch, past the old expiry").await?;
    let expired = Call::new(record.expires_at);
    lists(&*a, &expired, &ann, &[], "at the expiry").await?;
    lists(&*b, &cx.call(), &ann, &[&key], "an earlier `now` after a listing that found it expired").await?;

    let mut fresh = cx.record_of(&bob);
    fresh.expires_at = expired.now.plus(hours(1));
    is(b.create(&expired, &key, &fresh).await, Done, "creating over the expired record")?;
    lists(&*a, &cx.call(), &ann, &[], "the principal of a record that was created over").await?;
    lists(&*a, &expired, &bob, &[&key], "the principal of the record created over it").await?;
    is(a.delete(&expired, &key, Some(fresh.version)).await, Done, "a delete")?;
    lists(&*b, &expired, &bob, &[], "after a delete").await?;
    lists(&*b, &cx.call(), &bob, &[], "after a delete, with an earlier `now`").await
}

async fn delete_all(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (ann, bob) = (principal("ann")?, principal("bob")?);
    let mut anns = Vec::new();
    for _ in 0..5 {
        anns.push(create(&a, &cx.call(), &cx.record_of(&ann)).await?);
    }
    let mut expired = cx.record_of(&ann);
    expired.expires_at = cx.now();
    create(&a, &cx.call(), &expired).await?;
    let (bobs, anonymous) = (cx.record_of(&bob), cx.record());
    let (bobs_key, anonymous_key) = (create(&b, &cx.call(), &bobs).await?, create(&b, &cx.call(), &anonymous).await?);

    let gone = ok(b.delete_all(&cx.call(), &ann, Some(&anns[2])).await, "delete_all that keeps one")?;
    ensure!(gone == 4, "delete_all that keeps 1 of 5 live sessions should answer 4, answers {gone}");
    lists(&*a, &cx.call(), &ann, &[&anns[2]], "after delete_all that keeps one").await?;
    for key in [&anns[0], &anns[4]] {
        all_show([&a, &b], &cx.call(), key, None, "a session that delete_all removed").await?;
    }
    let again = ok(a.delete_all(&cx.call(), &ann, Some(&anns[2])).await, "delete_all again")?;
    ensure!(again == 0, "delete_all with nothing left but `keep` should answer 0, answers {again}");

    create(&a, &cx.call(), &cx.record_of(&ann)).await?;
    let gone = ok(a.delete_all(&cx.call(), &ann, Some(&bobs_key)).await, "delete_all with another's key to keep")?;
    ensure!(gone == 2, "delete_all that keeps another principal's key should remove both sessions, answers {gone}");
    lists(&*b, &cx.call(), &ann, &[], "after delete_all with another's key to keep").await?;
    all_show([&a, &b], &cx.call(), &bobs_key, Some(&bobs), "another principal's session after delete_all").await?;
    all_show([&a, &b], &cx.call(), &anonymous_key, Some(&anonymous), "an anonymous session after delete_all").await?;
    let none = ok(a.delete_all(&cx.call(), &principal("carol")?, None).await, "delete_all without sessions")?;
    ensure!(none == 0, "delete_all of a principal without sessions should answer 0, answers {none}");
    Ok(())
}

async fn delete_all_races(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    for round in 0..10 {
        let mut rows = Vec::new();
        for _ in 0..8 {
            let record = cx.record_of(&ann);
            rows.push((create(&a, &cx.call(), &record).await?, record));
        }
        let writers: Vec<_> = rows
            .iter()
            .cloned()
            .enumerate()
            .map(|(n, (key, record))| {
                let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
                async move { keep_writing(&store, &call, &key, record).await }
            })
            .collect();
        let (store, call, who) = (if round % 2 == 0 { a.clone() } else { b.clone() }, cx.call(), ann.clone());
        let remover = tokio::spawn(async move { store.delete_all(&call, &who, None).await });
        for ended in at_once(writers).await {
            ended?;
        }
        let gone = remover.await.map_err(|broken| Failure::new(format!("delete_all broke: {broken}")))?;
        let gone = ok(gone, "delete_all beside saves and touches")?;
        for (key, _) in &rows {
            all_show([&a, &b], &cx.call(), key, None, "a session saved and touched while delete_all ran").await?;
        }
        ensure!(gone == 8, "delete_all of 8 live sessions beside saves and touches should answer 8, answers {gone}");
        lists(&*b, &cx.call(), &ann, &[], "after delete_all beside saves and touches").await?;
    }
    Ok(())
}

/// Saves and touches a record with its principal until it is gone, or 200 times.
async fn keep_writing(store: &Instance, call: &Call, key: &StoreKey, mut record: Record) -> Verdict {
    for n in 0..200_u64 {
        let newer = next(&record);
        match ok(store.save(call, key, record.version, &newer).await, "a save beside delete_all")? {
            Done => record = newer,
            Missing => return Ok(()),
            other => return Err(Failure::new(format!("the only writer's save beside delete_all answered {other:?}"))),
        }
        let farther = record.expires_at.plus(minutes(n));
        let touched: Outcome = ok(store.touch(call, key, record.version, farther).await, "a touch beside delete_all")?;
        ensure!(touched != Conflict, "the only writer's touch beside delete_all answered Conflict");
    }
    Ok(())
}

async fn own_clock(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    let keys = [create(&a, &cx.call(), &cx.record_of(&ann)).await?, create(&b, &cx.call(), &cx.record_of(&ann)).await?];
    let keys: Vec<_> = keys.iter().collect();
    let in_2099 = Call::new(ok(Timestamp::from_millis(4_070_908_800_000), "an instant in 2099")?);
    lists(&*a, &in_2099, &ann, &[], "with `now` in 2099").await?;
    lists(&*b, &cx.call(), &ann, &keys, "after a listing with `now` in 2099").await?;
    let gone = ok(b.delete_all(&in_2099, &ann, None).await, "delete_all with `now` in 2099")?;
    ensure!(gone == 0, "delete_all with `now` in 2099 should find no live session, answers {gone}");
    let gone = ok(a.delete_all(&cx.call(), &ann, Some(keys[0])).await, "delete_all after one with `now` in 2099")?;
    ensure!(gone == 1, "delete_all that keeps 1 of 2 sessions, after one with `now` in 2099, answers {gone}");
    let mut record = cx.record_of(&ann);
    record.expires_at = in_2099.now.plus(hours(1));
    let late = create(&a, &in_2099, &record).await?;
    lists(&*b, &in_2099, &ann, &[&late], "a session created in 2099").await
}

async fn plant(cx: &Context, who: &Principal, key: &StoreKey) -> Verdict {
    let planted = cx.harness().plant_orphan(cx.namespace(), who, key).await;
    ok(planted, "the harness planting an index entry without a record").map(drop)
}

async fn heals(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let ann = principal("ann")?;
    plant(&cx, &ann, &key()).await?;
    lists(&*a, &cx.call(), &ann, &[], "with an index entry that has no record").await?;
    let gone = ok(b.delete_all(&cx.call(), &ann, None).await, "delete_all over an index entry that has no record")?;
    ensure!(gone == 0, "delete_all should count live sessions, counts {gone} where there are none");

    // A listing may heal the index. The record of the index entry appears at the same time.
    for _ in 0..20 {
        let key = key();
        plant(&cx, &ann, &key).await?;
        let record = cx.record_of(&ann);
        // Task 0 creates, the others list.
        let tasks = (0..7).map(|n| {
            let (store, call, who) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call(), ann.clone());
            let record = record.clone();
            async move {
                if n == 0 {
                    return is(
                        store.create(&call, &key, &record).await,
                        Done,
                        "a create while listings heal the index",
                    );
                }
                let shown = listed(&*store, &call, &who, "a listing while a record is created").await?;
                ensure!(shown.len() <= 1, "more is listed than the one session that was created");
                Ok(())
            }
        });
        for ended in at_once(tasks).await {
            ended?;
        }
        lists(&*b, &cx.call(), &ann, &[&key], "a record created while listings heal the index").await?;
        is(a.delete(&cx.call(), &key, None).await, Done, "deleting it")?;
    }
    Ok(())
}
