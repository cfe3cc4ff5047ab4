//! Clauses about `create`, which stores a record under a key without a live record.

use std::time::Duration;

use bytes::Bytes;
use session_core::Outcome::{Done, Exists, Missing};
use session_core::{Record, StoreKey, Timestamp, minutes};

use crate::check::{all_show, at_once, ensure, is, lists, ok, same, shows, tally};
use crate::clause::clause;
use crate::context::{Instance, key, next, principal};
use crate::{Clause, Context, Verdict};

pub(super) const CLAUSES: &[Clause] = &[
    clause!(
        "create.round-trip",
        [],
        round_trip,
        "Every field, and data of all 256 byte values, of no byte, of 64 KiB and of the greatest length, come back as they went in."
    ),
    clause!(
        "create.exists",
        [],
        exists,
        "Creating over a live key answers Exists and changes nothing of what is there."
    ),
    clause!(
        "create.over-expired",
        [],
        over_expired,
        "Creating over an expired record that is still stored succeeds and leaves nothing of the old one, its index entry included."
    ),
    clause!(
        "create.race",
        [],
        race,
        "Of 32 concurrent creates of one key, fresh or expired, exactly one is Done and the record is that one's."
    ),
    clause!("create.twice", [], twice, "The identical create again is Done and changes nothing."),
    clause!(
        "create.expires-now",
        [],
        expires_now,
        "A create whose expiry has passed already is Done, and the record is not live after it."
    ),
];

async fn round_trip(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let longest = cx.can().max_data_len.unwrap_or(1 << 20);
    let every_byte: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
    let bodies = [
        ("of all byte values", every_byte),
        ("of no bytes", Vec::new()),
        ("of one zero byte", vec![0]),
        ("of 64 KiB", (0..65_536_u32).map(|n| (n * 7 % 251) as u8).collect()),
        ("of the greatest length", (0..longest).map(|n| (n % 241) as u8).collect()),
    ];
    for (name, body) in bodies {
        let (key, mut record) = (key(), cx.record());
        record.data = Bytes::from(body);
        // Instants with milliseconds, which only this clause and those about expiry use.
        record.created_at = record.created_at.plus(Duration::from_millis(7));
        record.expires_at = record.expires_at.plus(Duration::from_millis(501));
        is(a.create(&cx.call(), &key, &record).await, Done, format!("creating a record with data {name}"))?;
        all_show([&a, &b], &cx.call(), &key, Some(&record), format!("a record with data {name}")).await?;
    }
    let zero = ok(session_core::Version::from_i64(0), "the least version")?;
    let most = ok(session_core::Version::from_i64(i64::MAX), "the greatest version")?;
    let oldest = Record::new(zero, Timestamp::MIN, cx.now().plus(minutes(1)), None, Bytes::new());
    let newest = Record::new(most, cx.now(), Timestamp::MAX, Some(principal("Zoë 🦀 'n \"co\"")?), Bytes::new());
    for (name, record) in [("the least values", oldest), ("the greatest values", newest)] {
        let key = key();
        is(a.create(&cx.call(), &key, &record).await, Done, format!("creating a record with {name}"))?;
        all_show([&a, &b], &cx.call(), &key, Some(&record), format!("a record with {name}")).await?;
    }
    Ok(())
}

async fn exists(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, first) = (key(), cx.record_of(&principal("ann")?));
    is(a.create(&cx.call(), &key, &first).await, Done, "creating under a fresh key")?;
    let mut other = cx.record_of(&principal("bob")?);
    other.expires_at = other.expires_at.plus(minutes(5));
    is(b.create(&cx.call(), &key, &other).await, Exists, "creating over a live record")?;
    all_show([&a, &b], &cx.call(), &key, Some(&first), "after the refused create").await?;
    let last_instant = Timestamp::minus(first.expires_at, Duration::from_millis(1));
    let last = session_core::Call::new(last_instant);
    is(b.create(&last, &key, &other).await, Exists, "creating over a record in its last live millisecond")?;
    shows(&*a, &cx.call(), &key, Some(&first), "after the second refused create").await
}

async fn over_expired(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (ann, bob) = (principal("ann")?, principal("bob")?);
    let (key, mut old) = (key(), cx.record_of(&ann));
    old.expires_at = cx.now().plus(minutes(1));
    is(a.create(&cx.call(), &key, &old).await, Done, "creating under a fresh key")?;

    // Exactly at its expiry the old record is no longer live.
    let then = cx.later(minutes(1));
    let mut new = cx.record_of(&bob);
    new.created_at = then.now;
    new.data = Bytes::new();
    is(b.create(&then, &key, &new).await, Done, "creating over a record at the instant of its expiry")?;
    all_show([&a, &b], &then, &key, Some(&new), "after creating over an expired record").await?;
    shows(&*a, &cx.call(), &key, Some(&new), "an earlier `now` must not bring the old record back").await?;
    if cx.can().by_principal {
        lists(&*a, &cx.call(), &ann, &[], "the old record's principal").await?;
        lists(&*b, &then, &bob, &[&key], "the new record's principal").await?;
    }
    Ok(())
}

async fn race(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for round in 0..6 {
        let key = key();
        let mut call = cx.call();
        let over_expired = round % 2 == 1;
        if over_expired {
            let mut old = cx.record();
            old.expires_at = cx.now().plus(minutes(1));
            is(a.create(&call, &key, &old).await, Done, "creating the record that expires")?;
            call = cx.later(minutes(2));
        }
        let what = if over_expired { "32 creates over an expired record" } else { "32 creates under a fresh key" };
        let records: Vec<_> = (0..32).map(|_| cx.record()).collect();
        let racers = records.iter().cloned().enumerate().map(|(n, record)| {
            let (store, call) = (if n % 2 == 0 { a.clone() } else { b.clone() }, call.clone());
            async move { store.create(&call, &key, &record).await }
        });
        one_winner(&b, &call, &key, &records, at_once(racers).await, what).await?;
    }
    Ok(())
}

async fn one_winner(
    store: &Instance,
    call: &session_core::Call,
    key: &StoreKey,
    records: &[Record],
    answers: Vec<session_core::Result<session_core::Outcome>>,
    what: &str,
) -> Verdict {
    let mut outcomes = Vec::new();
    for answer in answers {
        outcomes.push(ok(answer, what)?);
    }
    let [done, exists, ..] = tally(&outcomes);
    ensure!(done == 1 && exists == 31, "{what}: 1 should be Done and 31 Exists; got {done} and {exists}");
    let stored = ok(store.load(call, key).await, what)?;
    let winner = outcomes.iter().position(|outcome| *outcome == Done).map(|n| &records[n]);
    match (stored, winner) {
        (Some(stored), Some(winner)) => same(&stored, winner, format!("{what}: the record of the one that was Done")),
        _ => Err(crate::Failure::new(format!("{what}: nothing is stored afterwards"))),
    }
}

async fn twice(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    let (key, record) = (key(), cx.record());
    is(a.create(&cx.call(), &key, &record).await, Done, "creating under a fresh key")?;
    is(b.create(&cx.call(), &key, &record).await, Done, "the identical create again")?;
    shows(&*a, &cx.call(), &key, Some(&record), "after the identical create").await?;

    let farther = record.expires_at.plus(minutes(10));
    is(a.touch(&cx.call(), &key, record.version, farther).await, Done, "a touch")?;
    is(b.create(&cx.call(), &key, &record).await, Done, "the identical create after a touch")?;
    let mut touched = record.clone();
    touched.expires_at = farther;
    shows(&*a, &cx.call(), &key, Some(&touched), "the create that came twice must not take the touch back").await?;

    let newer = next(&touched);
    is(a.save(&cx.call(), &key, record.version, &newer).await, Done, "a save")?;
    is(b.create(&cx.call(), &key, &record).await, Exists, "the identical create after another save")?;
    shows(&*b, &cx.call(), &key, Some(&newer), "after the create that came late").await
}

async fn expires_now(cx: Context) -> Verdict {
    let (a, b) = cx.pair().await?;
    for (name, expires_at) in [("now", cx.now()), ("in 1970", Timestamp::MIN)] {
        let (key, mut record) = (key(), cx.record());
        record.expires_at = expires_at;
        is(a.create(&cx.call(), &key, &record).await, Done, format!("creating a record that expires {name}"))?;
        all_show([&a, &b], &cx.call(), &key, None, format!("a record that expires {name}")).await?;
        let save = b.save(&cx.call(), &key, record.version, &next(&record)).await;
        is(save, Missing, format!("saving over a record that expired {name}"))?;
        is(b.create(&cx.call(), &key, &cx.record()).await, Done, format!("creating over one that expired {name}"))?;
    }
    Ok(())
}
