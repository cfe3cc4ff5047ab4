//! Clauses about `save`, which changes a record only if the writer knows its current version.

use bytes::Bytes;
use session_core::Outcome::{Conflict, Done, Exists, Missing};
use session_core::{ErrorKind, Record, Timestamp, Version, hours, minutes};

use crate::check::{all_show, at_once, ensure, errs, is, lists, ok, same, shows, tally};
use crate::clause::clause;
use crate::context::{key, next, principal};
use crate::{Clause, Context, Failure, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "save.replaces",
        [],
        replaces,
        "Data may grow, shrink and become empty, the principal be set, changed and unset, the expiry move nearer and farther."
    ),
    clause!(
        "save.stale",
        [],
        stale,
        "A save that expects another version than the stored one is Conflict and changes nothing."
    ),
    clause!("save.unknown", [], unknown, "A save under an unknown key is Missing and creates nothing."),
    clause!("save.expired", [], expired, "A save over an expired record is Missing and does not revive it."),
    clause!("save.deleted", [], deleted, "A save over a deleted record is Missing: a logout is never undone."),
    clause!("save.twice", [], twice, "The identical save again is Done; after another writer's save it is Conflict."),
    clause!(
        "save.expires-now",
        [],
        expires_now,
        "A save whose expiry has passed is Done, and the record is not live after it."
    ),
    clause!("save.same-bytes", [], same_bytes, "A save of the same data under a new version is Done."),
    clause!(
        "save.race",
        [],
        race,
        "Of 32 concurrent saves from one version exactly one is Done and all others are Conflict."
    ),
    clause!(
        "save.counter",
        [],
        counter,
        "16 tasks that each add 1 fifty times, by load and save and again on Conflict, end at 800."
    ),
    clause!(
        "save.burst",
        [],
        burst,
        "Of 200 saves at once each gets its own outcome; stale, unknown and oversized ones among them fail alone."
    ),
    clause!(
        "save.waits-for-delete",
        [],
        waits_for_delete,
        "A save that had to wait behind a delete of its record answers Missing, one behind another save answers Conflict."
    ),
];

async fn replaces(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (ann, bob) = (principal("ann")?, principal("bob")?);
    let key = key();
    let mut record = cx.record();
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    let big: Vec<u8> = (0..60_000_u32).map(|n| (n % 256) as u8).collect();
    let steps = [
        ("data grows", Bytes::from(big), None, hours(2)),
        ("data shrinks, a principal is set", Bytes::from_static(b"\0{small}"), Some(&ann), hours(2)),
        ("data becomes empty, the principal changes", Bytes::new(), Some(&bob), hours(2)),
        ("data comes back, the expiry moves nearer", Bytes::from_static(b"{}"), Some(&bob), minutes(1)),
        ("the principal is unset, the expiry moves farther", Bytes::from_static(b"{}"), None, hours(9)),
    ];
    for (n, (name, data, who, lives)) in steps.into_iter().enumerate() {
        let before = record.version;
        let created_at = cx.now().minus(minutes(n as u64));
        record = Record::new(Version::random(), created_at, cx.now().plus(lives), who.cloned(), data);
        let store = if n % 2 == 0 { &b } else { &a };
        is(store.save(&cx.call(), &key, before, &record).await, Done, format!("a save by which {name}"))?;
        all_show([&a, &b], &cx.call(), &key, Some(&record), format!("after a save by which {name}")).await?;
        shows(&*a, &cx.later(lives), &key, None, format!("at the new expiry, after a save by which {name}")).await?;
    }
    Ok(())
}

async fn stale(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, first) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
    let second = next(&first);
    is(b.save(&cx.call(), &key, first.version, &second).await, Done, "a save from the version stored")?;
    let late = next(&first);
    is(a.save(&cx.call(), &key, first.version, &late).await, Conflict, "a save from the version before")?;
    is(a.save(&cx.call(), &key, Version::random(), &late).await, Conflict, "a save from a version that never was")?;
    all_show([&a, &b], &cx.call(), &key, Some(&second), "after saves that were refused").await
}

async fn unknown(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record_of(&principal("ann")?));
    is(a.save(&cx.call(), &key, Version::random(), &record).await, Missing, "a save under an unknown key")?;
    // The expected version is the record's own: promise 5 does not permit a create.
    is(
        b.save(&cx.call(), &key, record.version, &record).await,
        Missing,
        "a save under an unknown key, from its own version",
    )?;
    all_show([&a, &b], &cx.call(), &key, None, "after saves under an unknown key").await?;
    if cx.can().by_principal {
        lists(&*a, &cx.call(), &principal("ann")?, &[], "after saves under an unknown key").await?;
    }
    Ok(())
}

async fn expired(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, mut record) = (key(), cx.record());
    record.expires_at = cx.now().plus(minutes(1));
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record that lives for a minute")?;
    let mut late = next(&record);
    late.expires_at = cx.now().plus(hours(2));
    let then = cx.later(minutes(1));
    is(b.save(&then, &key, record.version, &late).await, Missing, "a save at the instant of the expiry")?;
    all_show([&a, &b], &then, &key, None, "after a save over an expired record").await?;
    // Saving the same version again does not revive the record either.
    let mut same = record.clone();
    same.expires_at = cx.now().plus(hours(2));
    is(
        a.save(&then, &key, record.version, &same).await,
        Missing,
        "an expired record saved again under its own version",
    )?;
    all_show([&a, &b], &then, &key, None, "after a second save over an expired record").await
}

async fn deleted(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record_of(&principal("ann")?));
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    is(b.delete(&cx.call(), &key, None).await, Done, "deleting it")?;
    is(a.save(&cx.call(), &key, record.version, &next(&record)).await, Missing, "a save after the delete")?;
    is(
        b.save(&cx.call(), &key, record.version, &record).await,
        Missing,
        "a save after the delete, under the old version",
    )?;
    all_show([&a, &b], &cx.call(), &key, None, "after saves over a deleted record").await?;
    if cx.can().by_principal {
        lists(&*a, &cx.call(), &principal("ann")?, &[], "after saves over a deleted record").await?;
    }
    Ok(())
}

async fn twice(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, first) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
    let second = next(&first);
    is(a.save(&cx.call(), &key, first.version, &second).await, Done, "a save")?;
    is(b.save(&cx.call(), &key, first.version, &second).await, Done, "the identical save again")?;
    all_show([&a, &b], &cx.call(), &key, Some(&second), "after the identical save").await?;

    let farther = second.expires_at.plus(minutes(10));
    is(a.touch(&cx.call(), &key, second.version, farther).await, Done, "a touch")?;
    is(b.save(&cx.call(), &key, first.version, &second).await, Done, "the identical save after a touch")?;
    let mut touched = second.clone();
    touched.expires_at = farther;
    shows(&*a, &cx.call(), &key, Some(&touched), "the save that came twice must not take the touch back").await?;

    let third = next(&touched);
    is(a.save(&cx.call(), &key, second.version, &third).await, Done, "another writer's save")?;
    is(b.save(&cx.call(), &key, first.version, &second).await, Conflict, "the identical save after another's")?;
    all_show([&a, &b], &cx.call(), &key, Some(&third), "after the save that came too late").await
}

async fn expires_now(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for (name, expires_at) in [("now", cx.now()), ("a day ago", cx.now().minus(hours(24))), ("in 1970", Timestamp::MIN)]
    {
        let (key, record) = (key(), cx.record_of(&principal("ann")?));
        is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
        let mut last = next(&record);
        last.expires_at = expires_at;
        is(b.save(&cx.call(), &key, record.version, &last).await, Done, format!("a save that expires {name}"))?;
        all_show([&a, &b], &cx.call(), &key, None, format!("after a save that expires {name}")).await?;
        let touch = a.touch(&cx.call(), &key, last.version, cx.now().plus(hours(2))).await;
        is(touch, Missing, format!("a touch after a save that expired {name}"))?;
        if cx.can().by_principal {
            lists(&*b, &cx.call(), &principal("ann")?, &[], format!("after a save that expires {name}")).await?;
        }
    }
    Ok(())
}

async fn same_bytes(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, mut record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
    for store in [&b, &a] {
        let before = record.version;
        record.version = Version::random();
        let saved = store.save(&cx.call(), &key, before, &record).await;
        is(saved, Done, "a save that changes nothing but the version")?;
        all_show([&a, &b], &cx.call(), &key, Some(&record), "after a save of the same bytes").await?;
    }
    // Nothing changes at all, not even the version.
    is(a.save(&cx.call(), &key, record.version, &record).await, Done, "a save of exactly what is stored")
}

async fn race(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for _ in 0..4 {
        let (key, first) = (key(), cx.record());
        is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
        let records: Vec<_> = (0..32).map(|_| next(&first)).collect();
        let racers = records.iter().cloned().enumerate().map(|(n, record)| {
            let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
            let expected = first.version;
            async move { store.save(&call, &key, expected, &record).await }
        });
        let mut outcomes = Vec::new();
        for answer in at_once(racers).await {
            outcomes.push(ok(answer, "one of 32 saves from one version")?);
        }
        let [done, _, conflicts, missing] = tally(&outcomes);
        ensure!(
            done == 1 && conflicts == 31,
            "of 32 saves from one version 1 should be Done and 31 Conflict; got {done}, {conflicts}, and {missing} Missing"
        );
        let winner = outcomes.iter().position(|outcome| *outcome == Done).unwrap_or_default();
        all_show([&a, &b], &cx.call(), &key, Some(&records[winner]), "the save that was Done").await?;
    }
    Ok(())
}

async fn counter(cx: Context) -> Verdict {
    const TASKS: u32 = 16;
    const TIMES: u32 = 50;
    let (a, b) = cx.pair().await?;
    let (key, mut zero) = (key(), cx.record());
    zero.data = Bytes::from_static(b"0");
    is(a.create(&cx.call(), &key, &zero).await, Done, "creating the counter")?;
    let tasks = (0..TASKS).map(|n| {
        let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
        async move {
            for _ in 0..TIMES {
                loop {
                    let Some(mut record) = ok(store.load(&call, &key).await, "loading the counter")? else {
                        return Err(Failure::new("the counter's record vanished while tasks added to it"));
                    };
                    let expected = record.version;
                    record.version = Version::random();
                    record.data = Bytes::from((number(&record.data)? + 1).to_string());
                    match ok(store.save(&call, &key, expected, &record).await, "saving the counter")? {
                        Done => break,
                        Conflict => tokio::task::yield_now().await,
                        other => return Err(Failure::new(format!("saving the counter: {other:?} is no answer here"))),
                    }
                }
            }
            Ok(())
        }
    });
    for ended in at_once(tasks).await {
        ended?;
    }
    let end = ok(b.load(&cx.call(), &key).await, "loading the counter")?;
    let end = number(&end.map(|record| record.data).unwrap_or_default())?;
    ensure!(end == TASKS * TIMES, "{TASKS} tasks that each add 1 {TIMES} times should end at 800, ended at {end}");
    Ok(())
}

fn number(data: &[u8]) -> Result<u32, Failure> {
    let text = std::str::from_utf8(data).ok();
    text.and_then(|text| text.parse().ok())
        .ok_or_else(|| Failure::new("the counter's data is no number that was written"))
}

async fn burst(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let too_long = cx.can().max_data_len.map(|longest| Bytes::from(vec![b'x'; longest + 1]));
    let mut saves = Vec::new();
    for n in 0..200 {
        let (key, record) = (key(), cx.record());
        let mut newer = next(&record);
        let (expected, want) = match n % 10 {
            3 => (Version::random(), Ok(Conflict)),
            6 => (record.version, Ok(Missing)),
            9 if too_long.is_some() => (record.version, Err(ErrorKind::TooLarge)),
            _ => (record.version, Ok(Done)),
        };
        if let (Err(_), Some(data)) = (want, &too_long) {
            newer.data = data.clone();
        }
        if want != Ok(Missing) {
            is(a.create(&cx.call(), &key, &record).await, Done, "creating a record")?;
        }
        saves.push((key, record, expected, newer, want));
    }
    let running = saves.iter().cloned().enumerate().map(|(n, (key, _, expected, newer, _))| {
        let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
        async move { store.save(&call, &key, expected, &newer).await }
    });
    for (n, (got, (key, old, _, newer, want))) in at_once(running).await.into_iter().zip(&saves).enumerate() {
        let what = format!("save {n} of 200 at once");
        let stored = match want {
            Ok(outcome) => {
                is(got, *outcome, &what)?;
                if *outcome == Missing { None } else { Some(if *outcome == Done { newer } else { old }) }
            }
            Err(kind) => {
                errs(got, *kind, &what)?;
                Some(old)
            }
        };
        shows(&*b, &cx.call(), key, stored, format!("after {what}")).await?;
    }
    Ok(())
}

async fn waits_for_delete(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for round in 0..24 {
        let (key, first) = (key(), cx.record());
        is(a.create(&cx.call(), &key, &first).await, Done, "creating a record")?;
        let only_first = round % 2 == 0;
        let expected = only_first.then_some(first.version);
        // Tasks 0 to 7 save from the stored version, task 8 deletes.
        let writers = (0..9).map(|n| {
            let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, cx.call());
            let (record, version) = (next(&first), first.version);
            async move {
                if n == 8 {
                    store.delete(&call, &key, expected).await
                } else {
                    store.save(&call, &key, version, &record).await
                }
            }
        });
        let mut outcomes = Vec::new();
        for answer in at_once(writers).await {
            outcomes.push(ok(answer, "one of 8 saves and a delete at once")?);
        }
        let delete = outcomes.pop().unwrap_or(Exists);
        let [done, _, conflicts, missing] = tally(&outcomes);
        ensure!(done + conflicts + missing == 8, "a save answered Exists");
        ensure!(done <= 1, "{done} saves from one version were Done");
        ensure!(
            done == 1 || conflicts == 0,
            "{conflicts} saves answered Conflict though no save was Done: behind a delete the answer is Missing"
        );
        match delete {
            Done if only_first => {
                ensure!(done == 0 && missing == 8, "a delete of the first version and a save from it were both Done")
            }
            Done => {}
            Conflict if only_first => {
                ensure!(
                    done == 1 && conflicts == 7,
                    "behind a save that was Done the others answer Conflict; {missing} answered Missing"
                );
            }
            other => return Err(Failure::new(format!("a delete beside saves answered {other:?}"))),
        }
        let left = ok(b.load(&cx.call(), &key).await, "loading after 8 saves and a delete")?;
        match (delete, left) {
            (Done, None) => {}
            (Done, Some(_)) => return Err(Failure::new("a delete was Done, and a save brought the record back")),
            (_, None) => return Err(Failure::new("a delete answered Conflict, and the record is gone")),
            (_, Some(left)) => {
                let mut want = first.clone();
                (want.version, want.data) = (left.version, left.data.clone());
                same(&left, &want, "what the save that was Done left")?;
            }
        }
    }
    Ok(())
}
